"""Where the sounds of a column lie: in the Arrow file itself, in files that it names, or in a copy beside Parquet."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from valle_data import files
from valle_data.errors import InputError, ReasonCode, UsageError

BATCH_ROWS = 64
FOOTER_BYTES = 1 << 16


@dataclass(frozen=True)
class Cell:
    """A sound: a range of bytes of the file `path`, or the file itself. All None: there is none."""

    path: str | None
    offset: int | None = None
    nbytes: int | None = None


def cells_in_place(column: pa.Array, mapped: pa.Buffer, path: str) -> list[Cell]:
    """The sounds of a column of the Arrow file `path`, which lies in memory as `mapped`. Raises UsageError for packed buffers."""
    content, names = _children(column)
    lengths, starts = _extents(content)
    data = None if pa.types.is_null(content.type) else content.buffers()[2]
    begin = 0 if data is None else data.address - mapped.address
    if data is not None and data.size and not 0 <= begin <= begin + data.size <= mapped.size:
        raise UsageError(f"The sounds in {path!r} are packed. Load the data set with `datasets` and save it again with `save_to_disk`.")
    is_there, named = content.is_valid().to_pylist(), names.to_pylist()
    return [Cell(path, begin + int(starts[row]), int(lengths[row])) if is_there[row] else Cell(named[row]) for row in range(len(content))]


def spool_cells(parquet: pq.ParquetFile, column: str, path: str, spool: Path | None) -> Iterator[Cell]:
    """The sounds of a column of a Parquet file, from one file in `spool` that holds them end to end; it is written when it is not there yet.

    Holds 8 bytes a row of this one file. Raises UsageError without a spool, InputError `storage_failed`.
    """
    target = None if spool is None else spool / f"{Path(path).stem}-{_footer_digest(path)}.sounds"
    if target is not None and not target.exists():
        _write(parquet, column, target)
    size = 0
    for batch in parquet.iter_batches(BATCH_ROWS, columns=[column]):
        content, names = _children(batch.column(0))
        lengths, _ = _extents(content)
        is_there, named = content.is_valid().to_pylist(), names.to_pylist()
        for row in range(len(content)):
            if not is_there[row]:
                yield Cell(named[row])
                continue
            if target is None:
                raise UsageError(f"The sounds in {path!r} lie in packed pages. Name a folder for copies of them: `corpus.spool`.")
            yield Cell(str(target), size, int(lengths[row]))
            size += int(lengths[row])


def _children(column: pa.Array) -> tuple[pa.Array, pa.Array]:
    """The bytes and the paths of a column of {bytes, path}, of bytes alone, or of paths alone."""
    column = column.storage if isinstance(column, pa.ExtensionArray) else column
    kind = column.type
    if pa.types.is_struct(kind):
        parts = dict(zip([kind.field(index).name for index in range(kind.num_fields)], column.flatten(), strict=True))
        content, names = parts.get("bytes"), parts.get("path")
        content = pa.nulls(len(column), pa.binary()) if content is None else content
        return content, pa.nulls(len(column), pa.string()) if names is None else names
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return column, pa.nulls(len(column), pa.string())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pa.nulls(len(column), pa.binary()), column
    raise UsageError(f"A column of sounds holds {{bytes, path}}, bytes or paths; this one holds {kind}. Name another one in `corpus.columns.audio`.")


def _extents(content: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Length of each cell, and its start in the data buffer."""
    buffer = None if pa.types.is_null(content.type) else content.buffers()[1]
    if not len(content) or buffer is None:
        return np.zeros(len(content), np.int64), np.zeros(len(content), np.int64)
    width = np.int64 if pa.types.is_large_binary(content.type) else np.int32
    offsets = np.frombuffer(buffer, width)[content.offset : content.offset + len(content) + 1].astype(np.int64)
    return np.diff(offsets), offsets[:-1]


def _footer_digest(path: str) -> str:
    """A hash of a Parquet file's end, which says where everything in it lies and how long it is, and of its size."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        file.seek(max(size - FOOTER_BYTES, 0))
        return xxhash.xxh3_64_hexdigest(file.read() + str(size).encode())


def _write(parquet: pq.ParquetFile, column: str, target: Path) -> None:
    """All sounds end to end, whole or not at all."""
    files.make_folder(target.parent)
    temporary = files.temporary_for(target)
    try:
        with open(temporary, "xb") as file:
            for batch in parquet.iter_batches(BATCH_ROWS, columns=[column]):
                content, _ = _children(batch.column(0))
                for cell in content:
                    file.write(cell.as_buffer() or b"")
            file.flush()
            os.fsync(file.fileno())
        files.move(temporary, target)
        files.sync_folder(target.parent)
    except OSError as error:
        message = f"The sounds cannot be copied to {os.fspath(target)!r}: {error.strerror}. Free space or repair the disk and run the same command again."
        raise InputError(ReasonCode.STORAGE_FAILED, message) from error
    finally:
        with suppress(OSError):
            os.unlink(temporary)
