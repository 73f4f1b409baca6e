"""`valle metadata compact`: all commit records and indices in two files, so that opening 100,000 parts does not read 200,000.

What is merged here is a copy. It is used while the names, sizes and times of the commit records are the ones it was made from, and otherwise ignored; records
and indices of parts stay the only truth, and `valle metadata --check` reads those.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from valle_data import files
from valle_data.errors import InputError
from valle_data.shards.commit import committed_parts, read_part_index
from valle_data.shards.index import encode_table, index_schema, pack, write_options
from valle_data.shards.manifest import DatasetManifest
from valle_data.shards.parts import Parts, refuse_foreign
from valle_data.shards.record import CommitRecord

FOLDER = "metadata"
ROWS, PARTS, STAMP = "compact-rows.parquet", "compact-parts.parquet", "compact.json"
ROW_GROUP = 65_536
_AS_DICTIONARY = ["speaker", "group", "language", "phones.list.element"]


@dataclass(frozen=True)
class Compact:
    """Merged parts that are those of the data set."""

    parts: Parts
    num_rows: NDArray[np.int32]
    _file: pq.ParquetFile

    def rows(self, columns: Sequence[str]) -> Iterator[tuple[pa.Table, NDArray[np.int64]]]:
        """Rows of many parts at a time, and for each row the number of its part among `parts`."""
        numbers, first = np.repeat(np.arange(len(self.parts)), self.num_rows), 0
        for group in range(self._file.num_row_groups):
            table = self._file.read_row_group(group, list(columns), use_threads=False).select(list(columns))
            yield table, numbers[first : first + len(table)]
            first += len(table)


def compact(dataset: Path) -> int:
    """Merge the parts of the data set in `dataset`, every byte verified against its commit record, and return how many there are.

    The files are replaced one by one, the stamp that vouches for them last. Raises InputError for a damaged part, naming it. Only for the holder of the
    lock on `metadata/`.
    """
    manifest = DatasetManifest.load(dataset)
    key = _key(dataset, manifest)
    records = committed_parts(dataset)
    folder = dataset / FOLDER
    files.make_folder(folder)
    files.discard(folder / STAMP)
    contents = {PARTS: encode_table(_parts_table(records)), ROWS: _rows(dataset, manifest, records)}
    for name, data in contents.items():
        files.write_atomically(folder / name, data)
    stamp = {"key": key, "files": {name: xxhash.xxh3_128_hexdigest(data) for name, data in contents.items()}}
    files.write_atomically(folder / STAMP, (json.dumps({**stamp, "checksum": _checksum(stamp)}, indent=1) + "\n").encode())
    return len(records)


def load_compact(dataset: Path, manifest: DatasetManifest) -> Compact | None:
    """The merged parts, None where there are none or where they are damaged or of other parts than the data set has now."""
    folder = dataset / FOLDER
    if not (folder / STAMP).is_file():
        return None
    try:
        stamp = json.loads(files.read(folder / STAMP))
        checksum, hashes = stamp.pop("checksum"), stamp["files"]
        if _checksum(stamp) != checksum or stamp["key"] != _key(dataset, manifest):
            return None
        data = {name: files.read(folder / name) for name in (PARTS, ROWS)}
        if any(xxhash.xxh3_128_hexdigest(data[name]) != hashes[name] for name in data):
            return None
        table = pq.read_table(pa.BufferReader(data[PARTS]), use_threads=False)
        parts = Parts(*(table[name].to_numpy() for name in ("part", "shard_bytes", "kind")))
        file = pq.ParquetFile(pa.BufferReader(data[ROWS]), read_dictionary=_AS_DICTIONARY, page_checksum_verification=True)
        return Compact(parts, table["num_utterances"].to_numpy(), file)
    except (InputError, pa.ArrowException, ValueError, KeyError, TypeError, AttributeError):
        return None


def _checksum(stamp: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(stamp, sort_keys=True).encode()).hexdigest()


def _key(dataset: Path, manifest: DatasetManifest) -> str:
    """Changes with any commit record: names, sizes, times, and what a store calls their versions."""
    digest = xxhash.xxh3_128(manifest.config_hash.encode())
    for entry in files.entries(dataset / "shards", ".json"):
        digest.update(f"{entry.name} {entry.nbytes} {entry.mtime_ns} {entry.tag}\n".encode())
    return digest.hexdigest()


def _parts_table(records: Sequence[CommitRecord]) -> pa.Table:
    parts = Parts.of(records)
    shared = {"part": parts.part, "shard_bytes": parts.shard_bytes, "kind": parts.kind}
    columns = {name: [getattr(record, name) for record in records] for name in ("num_utterances", "num_frames", "num_quarantined")}
    texts = {name: pa.array([getattr(record, name) for record in records], pa.string()) for name in ("part_id", "shard_sha256", "index_sha256")}
    return pa.table({**shared, **{name: pa.array(values, pa.int32()) for name, values in columns.items()}, **texts})


def _rows(dataset: Path, manifest: DatasetManifest, records: Sequence[CommitRecord]) -> bytes:
    """The rows of all parts in one Parquet file, in memory; about 100 bytes an utterance."""
    schema = pack(index_schema(manifest.columns).empty_table()).schema
    sink, waiting = pa.BufferOutputStream(), list[pa.Table]()
    with pq.ParquetWriter(sink, schema, **write_options(schema)) as writer:
        for record in records:
            refuse_foreign(record, manifest.config_hash)
            waiting.append(read_part_index(dataset, record))
            if sum(table.num_rows for table in waiting) >= ROW_GROUP:
                writer.write_table(pack(pa.concat_tables(waiting)), row_group_size=ROW_GROUP)
                waiting = []
        if waiting:
            writer.write_table(pack(pa.concat_tables(waiting)), row_group_size=ROW_GROUP)
    return sink.getvalue().to_pybytes()
