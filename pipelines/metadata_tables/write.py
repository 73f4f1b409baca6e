"""The files in `metadata/`: each whole or not there, `stats.json` last. The same parts and rule give the same bytes."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.metadata_tables.splits import Splits
from pipelines.metadata_tables.statistics import Statistics
from valle_data import files
from valle_data.errors import InputError, ReasonCode
from valle_data.shards.commit import CommitRecord, read_part_index
from valle_data.shards.index import CORE, encode_table, index_schema, pack, write_options

FOLDER = "metadata"
INDEX, SPEAKERS, GROUPS, SPLITS, STATS = "index.parquet", "speakers.parquet", "groups.parquet", "splits.parquet", "stats.json"
SIMILAR, DUPLICATES = "similar.parquet", "duplicates.parquet"
HASHES = "tables.json"
"""sha256 of the tables that sub-commands write one at a time; `stats.json` has those that belong together."""
ROW_GROUP = 65_536
CHUNK_BYTES = 1 << 20


def write_metadata(
    dataset: Path, records: Sequence[CommitRecord], statistics: Statistics, splits: Splits, written: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Write all tables of `metadata/` and return what `stats.json` says; `written` hears of each part that went into the index."""
    folder = dataset / FOLDER
    rows = statistics.gathered.rows
    files.write_atomically(folder / SPLITS, encode_table(splits.table(rows, statistics.rule)))
    files.write_atomically(folder / SPEAKERS, encode_table(statistics.speakers))
    files.write_atomically(folder / GROUPS, encode_table(statistics.groups))
    _write_index(folder / INDEX, dataset, records, statistics, splits, written)
    stats = statistics.to_json()
    stats["files"] = {name: sha256_of(folder / name) for name in (INDEX, SPEAKERS, GROUPS, SPLITS)}
    stats["checksum"] = _checksum(stats)
    files.write_atomically(folder / STATS, (json.dumps(stats, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())
    return stats


def load_stats(dataset: Path) -> dict[str, Any] | None:
    """What `stats.json` says, None where there is none; InputError `corrupt_shard` when it does not match its own checksum."""
    path = dataset / FOLDER / STATS
    if not path.is_file():
        return None
    try:
        stats = json.loads(files.read(path))
        checksum = stats.pop("checksum")
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise InputError(ReasonCode.CORRUPT_SHARD, f"{path} is damaged ({type(error).__name__}). Run `valle metadata {dataset}` again.") from error
    if (found := _checksum(stats)) != checksum:
        raise InputError(
            ReasonCode.CORRUPT_SHARD, f"{path} has checksum {found[:12]}, it should be {str(checksum)[:12]}. Run `valle metadata {dataset}` again."
        )
    return stats


def write_table(dataset: Path, name: str, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """Write `metadata/name` and note its hash for `valle metadata check`. Only for the holder of the lock.

    While the table has another hash than is noted none is, so that a kill in between leaves no table that looks damaged.
    """
    hashes = load_hashes(dataset)
    if hashes.pop(name, None):
        _note_hashes(dataset, hashes)
    write_stream(dataset / FOLDER / name, schema, tables)
    _note_hashes(dataset, hashes | {name: sha256_of(dataset / FOLDER / name)})


def _note_hashes(dataset: Path, hashes: dict[str, str]) -> None:
    data = {"files": hashes, "checksum": _checksum(hashes)}
    files.write_atomically(dataset / FOLDER / HASHES, (json.dumps(data, indent=1, sort_keys=True) + "\n").encode())


def load_hashes(dataset: Path) -> dict[str, str]:
    """Name -> sha256 of the tables that `write_table` wrote; InputError `corrupt_shard` when the note does not match its own checksum."""
    path = dataset / FOLDER / HASHES
    if not path.is_file():
        return {}
    try:
        data = json.loads(files.read(path))
        hashes, checksum = dict(data["files"]), data["checksum"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise InputError(ReasonCode.CORRUPT_SHARD, f"{path} is damaged ({type(error).__name__}). Remove it; only `valle metadata check` reads it.") from error
    if _checksum(hashes) != checksum:
        raise InputError(ReasonCode.CORRUPT_SHARD, f"{path} does not match its checksum. Remove it; only `valle metadata check` reads it.")
    return hashes


def _checksum(stats: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(stats, sort_keys=True).encode()).hexdigest()


def sha256_of(path: Path) -> str:
    if not files.store_of(path).renames:
        return hashlib.sha256(files.read(path)).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_index(path: Path, dataset: Path, records: Sequence[CommitRecord], statistics: Statistics, splits: Splits, written: Callable[[], None]) -> None:
    """The rows of all parts with split and speaker as gathered, a few parts in memory at a time."""
    gathered = {"split": splits.names, "speaker": statistics.gathered.rows["speaker"]}

    def rows() -> Iterator[pa.Table]:
        first = 0
        for record in records:
            table = read_part_index(dataset, record)
            for name, values in gathered.items():
                table = table.set_column(table.schema.get_field_index(name), CORE.field(name), values.slice(first, table.num_rows))
            yield table
            first += table.num_rows
            written()

    write_stream(path, index_schema(statistics.manifest.columns), rows())


def write_stream(path: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """One Parquet file of all `tables`, whole or not there, of which ROW_GROUP rows are in memory at a time; for an object store, the bytes of the file."""
    if not files.store_of(path).renames:
        sink = pa.BufferOutputStream()
        _write_groups(sink, schema, tables)
        files.write_atomically(path, sink.getvalue().to_pybytes())
        return
    temporary = files.temporary_for(path)
    try:
        _write_groups(temporary, schema, tables)
        _sync(temporary)
        files.move(temporary, path)
    finally:
        files.discard(temporary)
    files.sync_folder(path.parent)


def _write_groups(sink: Path | pa.BufferOutputStream, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    stored = pack(schema.empty_table()).schema
    with pq.ParquetWriter(sink, stored, **write_options(stored)) as writer:
        waiting: list[pa.Table] = []
        for table in tables:
            waiting.append(table)
            if sum(table.num_rows for table in waiting) >= ROW_GROUP:
                writer.write_table(pack(pa.concat_tables(waiting)), row_group_size=ROW_GROUP)
                waiting = []
        if waiting:
            writer.write_table(pack(pa.concat_tables(waiting)), row_group_size=ROW_GROUP)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
