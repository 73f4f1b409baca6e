"""The commit protocol: a part exists from the moment its record does, and not before.

tmp -> fsync -> read back and verify -> rename quarantine, shard, index -> fsync the folders -> record created only if absent, last.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from valle_data import files
from valle_data.errors import InputError, ReasonCode
from valle_data.records import CodedUtterance, Rejection
from valle_data.shards.base import EncodedShard, Problem, ShardFormat, index_path, part_name, quarantine_path, record_path, shard_path, side_path
from valle_data.shards.describe import sample_of
from valle_data.shards.index import CORE, QUARANTINE_SCHEMA, PartIdentity, decode_table, encode_table, index_table, quarantine_table, vector_table
from valle_data.shards.record import CommitRecord, committed_parts, load_record, sha256, shard_format

__all__ = [
    "CommitRecord",
    "PartBytes",
    "check_part",
    "commit_files",
    "commit_part",
    "committed_parts",
    "load_record",
    "read_part_bytes",
    "read_part_index",
    "read_quarantine",
    "read_vectors",
]


@dataclass(frozen=True)
class _Staged:
    """A file that is on the disk under a temporary name."""

    temporary: Path
    final: Path


def commit_part(
    dataset: Path, identity: PartIdentity, utterances: Sequence[CodedUtterance], rejections: Sequence[Rejection], shards: ShardFormat
) -> CommitRecord:
    """Write one part and make it exist. If a twin of this process was first, its record is returned and nothing changes.

    Raises InputError `storage_failed` when a write fails: then the part does not exist, and its temporary files are gone.
    """
    ordered = sorted(utterances, key=lambda coded: coded.utterance.id)
    encoded = shards.encode([sample_of(coded) for coded in ordered])
    shard = shard_path(dataset, identity.part, shards.extension)
    index = encode_table(index_table(identity, shard.name, ordered, encoded.members))
    quarantine = encode_table(quarantine_table(identity.part, rejections)) if rejections else None
    sides = {name: encode_table(vector_table(vectors)) for name, vectors in _vectors(ordered).items()}
    record = CommitRecord(
        part=identity.part,
        part_id=identity.part_id,
        shard=shard.name,
        shard_sha256=sha256(encoded.data),
        shard_bytes=len(encoded.data),
        index_sha256=sha256(index),
        num_utterances=len(ordered),
        num_frames=sum(coded.codes.shape[1] for coded in ordered),
        duration_s=round(sum(coded.duration_s for coded in ordered), 3),
        num_quarantined=len(rejections),
        quarantine_sha256=sha256(quarantine) if quarantine is not None else None,
        input_hash=identity.input_hash,
        config_hash=identity.config_hash,
        sides={name: sha256(data) for name, data in sides.items()},
    )
    return commit_files(dataset, record, encoded, index, quarantine, sides)


def commit_files(
    dataset: Path, record: CommitRecord, shard: EncodedShard, index: bytes, quarantine: bytes | None = None, sides: Mapping[str, bytes] | None = None
) -> CommitRecord:
    """Make the part of `record` exist, whose files have these bytes; see `commit_part`."""
    contents = {side_path(dataset, record.part, name): data for name, data in (sides or {}).items()}
    if quarantine is not None:
        contents[quarantine_path(dataset, record.part)] = quarantine
    contents |= {dataset / "shards" / record.shard: shard.data, index_path(dataset, record.part): index}
    publish = _publish if files.store_of(dataset).renames else _put
    publish(contents, shard, record_path(dataset, record.part))
    return _record(dataset, record)


def _vectors(utterances: Sequence[CodedUtterance]) -> dict[str, dict[str, NDArray[np.float32]]]:
    """Vectors by name, then by utterance."""
    found: dict[str, dict[str, NDArray[np.float32]]] = {}
    for coded in utterances:
        for name, vector in coded.vectors.items():
            found.setdefault(name, {})[coded.utterance.id] = vector
    return dict(sorted(found.items()))


def _publish(contents: dict[Path, bytes], encoded: EncodedShard, record: Path) -> None:
    """Give files their names, all of them on the disk first; what is already committed under `record` is never renamed over."""
    staged: list[_Staged] = []
    try:
        for final, data in contents.items():
            staged.append(_Staged(files.temporary_for(final), final))
            files.write_new(staged[-1].temporary, data)
        for item in staged:
            _read_back(item.temporary, item.final, contents[item.final], encoded)
        if record.exists():
            return
        for item in staged:
            files.move(item.temporary, item.final)
    finally:
        for item in staged:
            files.discard(item.temporary)
    for folder in sorted({final.parent for final in contents}):
        files.sync_folder(folder)


def _put(contents: dict[Path, bytes], encoded: EncodedShard, record: Path) -> None:
    """As `_publish`, where a put is whole or nothing and there is no renaming. Twins of this process put the same bytes."""
    if record.exists():
        return
    for final, data in contents.items():
        files.write_atomically(final, data)
        _read_back(final, final, data, encoded)


def _read_back(path: Path, final: Path, data: bytes, encoded: EncodedShard) -> None:
    written = files.read(path)
    spans = [(member.offset, member.nbytes, member.crc32) for member in encoded.members] if final.suffix != ".parquet" else []
    if written != data or any(zlib.crc32(written[offset : offset + nbytes]) != crc32 for offset, nbytes, crc32 in spans):
        raise InputError(ReasonCode.STORAGE_FAILED, f"{final} does not read back as it was written. Check the disk and run the same command again: it resumes.")


def _record(dataset: Path, record: CommitRecord) -> CommitRecord:
    path = record_path(dataset, record.part)
    created = files.create_once(path, record.to_bytes())
    files.sync_folder(path.parent)
    if not created and (existing := load_record(path)) != record:
        raise InputError(
            ReasonCode.DATASET_MISMATCH,
            f"{path} was committed with part id {existing.part_id[:12]}, this run made {record.part_id[:12]}. "
            "Two different runs wrote to one folder: prepare into a new one.",
        )
    return record


def read_part_index(dataset: Path, record: CommitRecord, columns: Sequence[str] | None = None) -> pa.Table:
    """The index of a committed part, every byte verified against the record; only `columns` of it where they are given."""
    path = index_path(dataset, record.part)
    return decode_table(_verified(path, record.index_sha256), path=path, schema=CORE, columns=columns)


def read_quarantine(dataset: Path, record: CommitRecord) -> pa.Table:
    """The quarantined utterances of a committed part, verified; empty where there were none."""
    if record.quarantine_sha256 is None:
        return QUARANTINE_SCHEMA.empty_table()
    path = quarantine_path(dataset, record.part)
    return decode_table(_verified(path, record.quarantine_sha256), path=path, schema=QUARANTINE_SCHEMA)


def read_vectors(dataset: Path, record: CommitRecord, side: str) -> pa.Table:
    """Columns `utt_id` and `vector` of the side file `side` of a committed part, verified. Utterances without a vector have no row."""
    path = side_path(dataset, record.part, side)
    if side not in record.sides:
        raise InputError(
            ReasonCode.DATASET_MISMATCH,
            f"{part_name(record.part)} has no {side!r} vectors, only {', '.join(record.sides) or 'none at all'}. "
            "Prepare the data with the stage that makes them.",
        )
    return decode_table(_verified(path, record.sides[side]), path=path)


@dataclass(frozen=True)
class PartBytes:
    """The files of a part, without its record."""

    shard: bytes
    index: bytes
    quarantine: bytes | None
    sides: Mapping[str, bytes]


def read_part_bytes(dataset: Path, record: CommitRecord) -> PartBytes:
    """The files of a committed part, every byte verified against the record."""
    quarantine = None if record.quarantine_sha256 is None else _verified(quarantine_path(dataset, record.part), record.quarantine_sha256)
    return PartBytes(
        shard=_verified(dataset / "shards" / record.shard, record.shard_sha256),
        index=_verified(index_path(dataset, record.part), record.index_sha256),
        quarantine=quarantine,
        sides={side: _verified(side_path(dataset, record.part, side), expected) for side, expected in record.sides.items()},
    )


def _verified(path: Path, expected: str) -> bytes:
    if not path.is_file():
        raise InputError(
            ReasonCode.MISSING_SHARD,
            f"{path} is gone, but its part is committed. Restore it, or remove the part's commit record and run `valle prepare` again.",
        )
    data = files.read(path)
    if (found := sha256(data)) != expected:
        raise InputError(ReasonCode.CORRUPT_SHARD, f"{path} has sha256 {found[:12]}, its commit record says {expected[:12]} ({len(data)} bytes).")
    return data


def check_part(dataset: Path, record: CommitRecord) -> list[Problem]:
    """Everything wrong with a committed part: missing, cut, changed or swapped files, broken members, unsafe names, counts that do not agree."""
    problems: list[Problem] = []

    def note(error: InputError, path: Path, utterance: str | None = None) -> None:
        problems.append(Problem(error.reason, record.part, str(path), utterance, error.args[0]))

    try:
        read_quarantine(dataset, record)
    except InputError as error:
        note(error, quarantine_path(dataset, record.part))
    for side in record.sides:
        try:
            read_vectors(dataset, record, side)
        except InputError as error:
            note(error, side_path(dataset, record.part, side))
    table = None
    try:
        table = read_part_index(dataset, record)
    except InputError as error:
        note(error, index_path(dataset, record.part))
    shard = dataset / "shards" / record.shard
    data = b""
    try:
        data = _verified(shard, record.shard_sha256)
    except InputError as error:
        note(error, shard)
        if error.reason is ReasonCode.CORRUPT_SHARD and table is not None:
            problems += _damaged_members(shard, files.read(shard), table)
    if table is not None and not problems:
        # A file that is not what was committed is never shown to a library that interprets it.
        problems += (
            shard_format(record).check(shard, data, record.part, table["utt_id"].to_pylist())
            + _damaged_members(shard, data, table)
            + _disagreements(dataset, record, table)
        )
    return problems


def _damaged_members(shard: Path, data: bytes, table: pa.Table) -> list[Problem]:
    problems = []
    for row in table.select(["utt_id", "part", "offset", "nbytes", "crc32"]).to_pylist():
        member = data[row["offset"] : row["offset"] + row["nbytes"]]
        if len(member) != row["nbytes"] or zlib.crc32(member) != row["crc32"]:
            message = f"{shard}: the codes of {row['utt_id']} should have crc32 {row['crc32']:08x}, they have {zlib.crc32(member):08x}."
            problems.append(Problem(ReasonCode.CORRUPT_SHARD, row["part"], str(shard), row["utt_id"], message))
    return problems


def _disagreements(dataset: Path, record: CommitRecord, table: pa.Table) -> list[Problem]:
    path = index_path(dataset, record.part)
    shared = {"part": record.part, "part_id": record.part_id, "shard": record.shard, "config_hash": record.config_hash}
    wrong = [
        f"column {name} has {sorted(map(str, set(table[name].to_pylist())))}, not {value}"
        for name, value in shared.items()
        if set(table[name].to_pylist()) - {value}
    ]
    counts = (("num_utterances", table.num_rows), ("num_frames", sum(table["num_frames"].to_pylist())))
    wrong += [f"{name} is {getattr(record, name)} in the record and {found} in the index" for name, found in counts if getattr(record, name) != found]
    return [Problem(ReasonCode.BAD_ROW, record.part, str(path), None, f"{path}: {sentence}.") for sentence in wrong]
