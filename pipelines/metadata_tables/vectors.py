"""The vectors of utterances, from the side files of all parts into one array on disk, so that no corpus is too large for memory."""

# pyarrow makes its compute functions when it is imported, where pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from valle_data.errors import InputError, ReasonCode
from valle_data.shards.commit import CommitRecord, read_vectors
from valle_data.shards.index import VECTOR_COLUMNS


@dataclass(frozen=True)
class Vectors:
    """`values` `[M, D]` float16, mapped from a file without a name, belong to the rows `rows` `[M]` of the table they were read for."""

    values: NDArray[np.float16]
    rows: NDArray[np.int64]


def gather_vectors(dataset: Path, records: Sequence[CommitRecord], rows: pa.Table, side: str, looked_at: Callable[[], None] = lambda: None) -> Vectors:
    """The vectors named `side` of `rows` (columns `utt_id`, `part`; by part). Rows without one are left out.

    Raises InputError `dataset_mismatch` when no part has such vectors or two parts have vectors of two sizes, and what reading a damaged file raises.
    """
    if records and not any(side in record.sides for record in records):
        known = sorted({name for record in records for name in record.sides})
        raise InputError(
            ReasonCode.DATASET_MISMATCH,
            f"{dataset} has no {side!r} vectors ({', '.join(known) or 'none at all'}). Prepare it with the stage that makes them, such as `{side}: {{}}`.",
        )
    parts = rows["part"].to_numpy()
    found: list[NDArray[np.int64]] = []
    size = 0
    with tempfile.TemporaryFile() as file:
        for record in records:
            first, last = np.searchsorted(parts, record.part, side="left"), np.searchsorted(parts, record.part, side="right")
            if side in record.sides and last > first:
                table = _checked(dataset, record, side, read_vectors(dataset, record, side))
                size = size or table["vector"].type.list_size
                if table["vector"].type.list_size != size:
                    message = (
                        f"{record.shard} has {side!r} vectors of {table['vector'].type.list_size} numbers, parts before it of {size}. Prepare the data again."
                    )
                    raise InputError(ReasonCode.DATASET_MISMATCH, message)
                places = pc.index_in(rows["utt_id"].slice(first, last - first).combine_chunks(), value_set=table["utt_id"].combine_chunks())
                present = np.flatnonzero(places.is_valid().to_numpy(zero_copy_only=False))
                vectors = _matrix(table["vector"], size)[places.drop_null().to_numpy()]
                file.write(np.ascontiguousarray(vectors).tobytes())
                found.append(first + present)
            looked_at()
        file.flush()
        numbers = np.concatenate([np.zeros(0, dtype=np.int64), *found])
        if not len(numbers):
            return Vectors(np.zeros((0, max(size, 1)), dtype=np.float16), numbers)
        return Vectors(np.memmap(file, dtype=np.float16, mode="r", shape=(len(numbers), size)), numbers)


def _checked(dataset: Path, record: CommitRecord, side: str, table: pa.Table) -> pa.Table:
    kind = table.schema.field("vector").type if tuple(table.column_names) == VECTOR_COLUMNS else None
    if kind is None or not pa.types.is_fixed_size_list(kind) or kind.value_type != pa.float16():
        message = f"The {side!r} vectors of {record.shard} in {dataset} are no columns utt_id and vector (float16 of one size). Prepare the data again."
        raise InputError(ReasonCode.DATASET_MISMATCH, message)
    return table


def _matrix(column: pa.ChunkedArray, size: int) -> NDArray[np.float16]:
    return column.combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, size)


def spread(vectors: Vectors, num_rows: int, block: int = 65_536) -> NDArray[np.float16]:
    """The vectors as `[num_rows, D]`, NaN for rows without one; mapped from a file without a name."""
    shape = (num_rows, vectors.values.shape[1])
    if not num_rows:
        return np.zeros(shape, dtype=np.float16)
    with tempfile.TemporaryFile() as file:
        values = np.memmap(file, dtype=np.float16, mode="w+", shape=shape)
        values[:] = np.nan
        for first in range(0, len(vectors.rows), block):
            values[vectors.rows[first : first + block]] = vectors.values[first : first + block]
        return values
