"""The same data set in another shard format: codes, descriptions, quarantine, vectors and plan carried over to the byte, offsets and checksums anew."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from valle_data import files
from valle_data.errors import InputError, ReasonCode, UsageError
from valle_data.shards import SHARDS
from valle_data.shards.base import EncodedShard, Sample, ShardFormat, part_name, record_path
from valle_data.shards.commit import commit_files, committed_parts, load_record, read_part_bytes
from valle_data.shards.describe import parse
from valle_data.shards.index import CORE, decode_table, encode_table
from valle_data.shards.manifest import NAME, DatasetManifest
from valle_data.shards.plan import FOLDER as PLAN
from valle_data.shards.record import CommitRecord, sha256, shard_format

FOLDERS = ("shards", "quarantine", "vectors", PLAN)
COPIED = ("prepare.yaml",)


def convert(dataset: Path, output: Path, shards: str, looked_at: Callable[[CommitRecord], None] = lambda record: None) -> int:
    """Write the data set in `dataset` to `output` with shards of the format `shards`, and return the number of parts. Parts that are there are kept.

    Every byte is verified against its record and every shard read back before its part exists. Raises InputError: what reading a damaged part raises,
    `dataset_mismatch` when `output` holds something else; UsageError for a folder converted into itself. Only for the holder of the lock on `output`.
    """
    if dataset.resolve() == output.resolve():
        raise UsageError(f"{dataset} cannot be converted into itself. Choose another folder; the old one can be removed afterwards.")
    _claim(dataset, output)
    records, target = committed_parts(dataset), SHARDS[shards]()
    for record in records:
        if record_path(output, record.part).exists():
            _refuse_another(load_record(record_path(output, record.part)), record, output)
        else:
            convert_part(dataset, record, output, target)
        looked_at(record)
    return len(records)


def _claim(dataset: Path, output: Path) -> None:
    DatasetManifest.load(dataset)
    wanted = files.read(dataset / NAME)
    for folder in FOLDERS:
        files.make_folder(output / folder)
    for folder in (output, *(output / name for name in FOLDERS)):
        files.sweep(folder)  # what a killed conversion left
    if (output / NAME).is_file():
        if files.read(output / NAME) != wanted:
            raise InputError(ReasonCode.DATASET_MISMATCH, f"{output} holds another data set than {dataset}: their {NAME} differ. Choose another folder.")
        return
    copied = [dataset / name for name in COPIED if (dataset / name).is_file()] + sorted((dataset / PLAN).glob("*.parquet"))
    for path in copied:
        files.write_atomically(output / path.relative_to(dataset), files.read(path))
    files.write_atomically(output / NAME, wanted)


def _refuse_another(found: CommitRecord, record: CommitRecord, output: Path) -> None:
    if (found.part_id, found.num_frames, found.input_hash) != (record.part_id, record.num_frames, record.input_hash):
        raise InputError(
            ReasonCode.DATASET_MISMATCH,
            f"{output} has another {part_name(record.part)}, of part id {found.part_id[:12]} instead of {record.part_id[:12]}. Choose another folder.",
        )


def convert_part(dataset: Path, record: CommitRecord, output: Path, target: ShardFormat) -> CommitRecord:
    """Commit to `output` what the part of `record` holds, in the format `target`."""
    found = read_part_bytes(dataset, record)
    path = dataset / "shards" / record.shard
    samples = shard_format(record).read(found.shard, path)
    for sample in samples:
        if not parse(sample.text, f"{path}: {sample.id}").fits(np.ascontiguousarray(sample.codes).tobytes()):
            raise InputError(ReasonCode.CORRUPT_SHARD, f"{path}: the codes of {sample.id} do not match their description. Run `valle repair {dataset}`.")
    encoded = target.encode(samples)
    shard = f"{part_name(record.part)}.{target.extension}"
    _read_back(encoded, samples, target, output / "shards" / shard)
    index = encode_table(moved(decode_table(found.index, path=path.with_suffix(".parquet"), schema=CORE), shard, encoded))
    converted = replace(record, shard=shard, shard_sha256=sha256(encoded.data), shard_bytes=len(encoded.data), index_sha256=sha256(index))
    return commit_files(output, converted, encoded, index, found.quarantine, found.sides)


def moved(index: pa.Table, shard: str, encoded: EncodedShard) -> pa.Table:
    """The index of a part whose codes now lie in `shard`."""
    columns = {
        "shard": [shard] * len(index),
        "offset": [member.offset for member in encoded.members],
        "nbytes": [member.nbytes for member in encoded.members],
        "crc32": [member.crc32 for member in encoded.members],
    }
    for name, values in columns.items():
        index = index.set_column(index.schema.get_field_index(name), CORE.field(name), pa.array(values, CORE.field(name).type))
    return index


def _read_back(encoded: EncodedShard, samples: list[Sample], target: ShardFormat, path: Path) -> None:
    found = target.read(encoded.data, path)
    same = [(a.id, a.text) for a in found] == [(b.id, b.text) for b in samples] and all(
        np.array_equal(a.codes, b.codes) for a, b in zip(found, samples, strict=True)
    )
    assert same, f"{path} does not read back as it was made"
