"""What can be made again of a damaged part: its index from its shard, its record from both, and a smaller part from what is whole of it."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from valle_data import files
from valle_data.errors import InputError, ReasonCode
from valle_data.records import AudioRef, CodedUtterance, Rejection, Utterance
from valle_data.shards import EXTENSIONS, SHARDS
from valle_data.shards.base import EncodedShard, Member, Sample, ShardFormat, index_path, part_name, quarantine_path, side_path
from valle_data.shards.commit import PartBytes, read_quarantine
from valle_data.shards.describe import restore, sample_of
from valle_data.shards.index import CORE, QUARANTINE_SCHEMA, PartIdentity, decode_table, encode_table, index_table, quarantine_table, score_columns
from valle_data.shards.manifest import DatasetManifest
from valle_data.shards.plan import planned_part
from valle_data.shards.record import CommitRecord, sha256, shard_format

LOST = "salvage"
"""The stage under which utterances lost to damage are written down."""


def identity_of(record: CommitRecord, manifest: DatasetManifest) -> PartIdentity:
    return PartIdentity(record.part, record.part_id, record.input_hash, record.config_hash, manifest.codec.name, manifest.columns)


def members_of(shards: ShardFormat, data: bytes, samples: Sequence[Sample]) -> tuple[Member, ...]:
    """Where the samples of a whole shard lie; InputError `corrupt_shard` for a shard that this program would write otherwise."""
    encoded = shards.encode(samples)
    if encoded.data != data:
        raise InputError(ReasonCode.CORRUPT_SHARD, "The shard is not what this version writes of the same samples.")
    return encoded.members


def rebuild_index(dataset: Path, record: CommitRecord, manifest: DatasetManifest) -> bytes:
    """The index of a part from its shard, which must be the one that was committed.

    Raises InputError where the shard is not, or holds what this version would not have written.
    """
    path = dataset / "shards" / record.shard
    data = files.read(path)
    if sha256(data) != record.shard_sha256:
        raise InputError(ReasonCode.CORRUPT_SHARD, f"{path} is not the shard that was committed, so its index cannot be made from it.")
    shards = shard_format(record)
    samples = shards.read(data, path)
    return encode_table(_table(identity_of(record, manifest), record.shard, samples, members_of(shards, data, samples), path))


def _table(identity: PartIdentity, shard: str, samples: Sequence[Sample], members: Sequence[Member], path: Path) -> pa.Table:
    return index_table(identity, shard, [restore(sample, f"{path}: {sample.id}") for sample in samples], members)


def rebuild_record(dataset: Path, part: int, shard: str, manifest: DatasetManifest, sides_wanted: Sequence[str]) -> CommitRecord:
    """The record of a part from its other files, which must agree with one another and with the plan in every row.

    Raises InputError where anything of the part is missing or does not agree: then it has to be made anew.
    """
    path = dataset / "shards" / shard
    index = decode_table(files.read(index_path(dataset, part)), path=index_path(dataset, part), schema=CORE)
    data, shards = files.read(path), SHARDS[EXTENSIONS[path.suffix[1:]]]()
    samples = shards.read(data, path)
    plan = planned_part(dataset, part)
    part_ids = set(index["part_id"].to_pylist()) | ({plan.part_id(manifest.config_hash)} if plan else set())
    if len(part_ids) != 1:
        raise InputError(ReasonCode.DATASET_MISMATCH, f"{part_name(part)} was made of something else than is planned.")
    identity = PartIdentity(part, part_ids.pop(), plan.input_hash if plan else "", manifest.config_hash, manifest.codec.name, manifest.columns)
    utterances = [restore(sample, f"{path}: {sample.id}") for sample in samples]
    if not index_table(identity, shard, utterances, members_of(shards, data, samples)).equals(index):
        raise InputError(ReasonCode.BAD_ROW, f"{index_path(dataset, part)} does not say of {shard} what lies in it.")
    quarantine = _optional(quarantine_path(dataset, part))
    refused = decode_table(quarantine, path=quarantine_path(dataset, part), schema=QUARANTINE_SCHEMA) if quarantine else QUARANTINE_SCHEMA.empty_table()
    missing = _planned(dataset, part) - {*refused["utt_id"].to_pylist(), *_planned_ids(index)}
    if missing:
        raise InputError(ReasonCode.MISSING_SHARD, f"{part_name(part)} lacks {len(missing)} planned utterances, such as {min(missing)}.")
    sides = {side: files.read(side_path(dataset, part, side)) for side in sides_wanted}
    return CommitRecord(
        part=part,
        part_id=identity.part_id,
        shard=shard,
        shard_sha256=sha256(data),
        shard_bytes=len(data),
        index_sha256=sha256(files.read(index_path(dataset, part))),
        num_utterances=len(utterances),
        num_frames=sum(coded.codes.shape[1] for coded in utterances),
        duration_s=round(sum(coded.duration_s for coded in utterances), 3),
        num_quarantined=len(refused),
        quarantine_sha256=sha256(quarantine) if quarantine else None,
        input_hash=identity.input_hash,
        config_hash=identity.config_hash,
        sides={side: sha256(content) for side, content in sides.items()},
    )


def _optional(path: Path) -> bytes | None:
    return files.read(path) if path.is_file() else None


def _planned(dataset: Path, part: int) -> set[str]:
    plan = planned_part(dataset, part)
    return {planned.utterance.id for planned in plan.utterances} if plan else set()


def _planned_ids(index: pa.Table) -> set[str]:
    """The ids under which the rows were planned; of segments, that of their recording."""
    return {planned or utterance for planned, utterance in zip(index["planned_id"].to_pylist(), index["utt_id"].to_pylist(), strict=True)}


@dataclass(frozen=True)
class Salvaged:
    """What is whole of a part, as a part of its own, and the utterances that are lost."""

    record: CommitRecord
    shard: EncodedShard
    files: PartBytes
    lost: tuple[str, ...]


def salvage(dataset: Path, record: CommitRecord, manifest: DatasetManifest) -> Salvaged:
    """Every utterance of the part whose codes match a checksum, in the index or in the shard itself, whatever else is damaged.

    The others go to the part's quarantine, without a fingerprint, so that the next `valle prepare` takes them as new. Raises InputError when nothing is
    whole, or the quarantine or vectors are damaged, which nothing can replace.
    """
    path, shards = dataset / "shards" / record.shard, shard_format(record)
    data, index = _optional(path) or b"", _index_of(dataset, record)
    found = {sample.id: sample for sample in shards.salvage(data)}
    if index is not None:
        found = {**_by_index(shards, memoryview(data), index, manifest), **_as_committed(shards, list(found.values()), index)}
    samples = [found[name] for name in sorted(found)]
    if not samples:
        raise InputError(ReasonCode.CORRUPT_SHARD, f"No utterance of {path} is whole.")
    utterances = [restore(sample, str(path)) for sample in samples]
    encoded = shards.encode(samples)
    table = index_table(identity_of(record, manifest), record.shard, utterances, encoded.members)
    known = _planned(dataset, record.part) if index is None else set(index["utt_id"].to_pylist())
    refused = read_quarantine(dataset, record)
    lost = sorted(known - set(found) - (_planned_ids(table) if index is None else set()) - set(refused["utt_id"].to_pylist()))
    quarantine = _with_lost(refused, record, lost, index, path)
    sides = {side: encode_table(_only(_side(dataset, record, side), list(found))) for side in record.sides}
    content = PartBytes(encoded.data, encode_table(table), quarantine, sides)
    return Salvaged(_recount(record, utterances, content, len(refused) + len(lost)), encoded, content, tuple(lost))


def _index_of(dataset: Path, record: CommitRecord) -> pa.Table | None:
    """The index that was committed, None where it is damaged or gone."""
    path = index_path(dataset, record.part)
    data = _optional(path)
    return decode_table(data, path=path, schema=CORE) if data is not None and sha256(data) == record.index_sha256 else None


def _as_committed(shards: ShardFormat, samples: Sequence[Sample], index: pa.Table) -> dict[str, Sample]:
    """The samples whose codes are those that the index knows, wherever they lie now; an older version of an utterance is none of them."""
    expected = dict(zip(index["utt_id"].to_pylist(), index["crc32"].to_pylist(), strict=True))
    members = shards.encode(samples).members
    return {sample.id: sample for sample, member in zip(samples, members, strict=True) if expected.get(sample.id) == member.crc32}


def _by_index(shards: ShardFormat, data: memoryview, index: pa.Table, manifest: DatasetManifest) -> dict[str, Sample]:
    """The utterances whose codes are where the index says and match its checksum."""
    found = {}
    for row in index.to_pylist():
        member = data[row["offset"] : row["offset"] + row["nbytes"]]
        if len(member) == row["nbytes"] and zlib.crc32(member) == row["crc32"]:
            codes = np.ascontiguousarray(shards.codes(member, manifest.codec.num_levels))
            found[row["utt_id"]] = sample_of(_from_row(row, codes, score_columns(index.schema)))
    return found


def _from_row(row: dict[str, Any], codes: np.ndarray, scores: dict[str, str]) -> CodedUtterance:
    """An utterance as its index knows it; durations and scores come in the index's precision."""
    audio = AudioRef(row["source_uri"], row["start_s"], None, row["channel"])
    extra = {} if row["licence"] is None else {"licence": row["licence"]}
    utterance = Utterance(row["utt_id"], audio, row["text"], row["speaker"], row["group"], row["language"], extra, row["corpus"])
    return CodedUtterance(
        utterance=utterance,
        phones=tuple(row["phones"]),
        codes=codes,
        duration_s=row["end_s"] - row["start_s"],
        source_digest=row["source_digest"],
        text_normalized=row["text_normalized"],
        scores={name: row[name] for name in ("language_prob", *scores)},
        source_sample_rate_hz=row["sample_rate_hz"],
        planned_id=row["planned_id"],
    )


def _with_lost(refused: pa.Table, record: CommitRecord, lost: Sequence[str], index: pa.Table | None, path: Path) -> bytes | None:
    paths = dict(zip(index["utt_id"].to_pylist(), index["source_uri"].to_pylist(), strict=True)) if index is not None else {}
    rows = [
        Rejection(name, paths.get(name, str(path)), LOST, ReasonCode.CORRUPT_SHARD, f"Its codes in {path.name} were damaged; the rest was salvaged.")
        for name in lost
    ]
    whole = pa.concat_tables([refused, quarantine_table(record.part, rows)])
    return encode_table(whole) if len(whole) else None


def _side(dataset: Path, record: CommitRecord, side: str) -> pa.Table:
    path = side_path(dataset, record.part, side)
    data = _optional(path)
    if data is None or sha256(data) != record.sides[side]:
        raise InputError(ReasonCode.CORRUPT_SHARD, f"{path} is damaged or gone, and nothing else holds what was in it.")
    return decode_table(data, path=path)


def _only(table: pa.Table, utterances: list[str]) -> pa.Table:
    return table.filter(pa.array(np.isin(np.array(table["utt_id"].to_pylist(), dtype=object), utterances), pa.bool_()))


def _recount(record: CommitRecord, utterances: Sequence[CodedUtterance], content: PartBytes, num_quarantined: int) -> CommitRecord:
    return replace(
        record,
        shard_sha256=sha256(content.shard),
        shard_bytes=len(content.shard),
        index_sha256=sha256(content.index),
        num_utterances=len(utterances),
        num_frames=sum(coded.codes.shape[1] for coded in utterances),
        duration_s=round(sum(coded.duration_s for coded in utterances), 3),
        num_quarantined=num_quarantined,
        quarantine_sha256=sha256(content.quarantine) if content.quarantine else None,
        sides={side: sha256(data) for side, data in content.sides.items()},
    )
