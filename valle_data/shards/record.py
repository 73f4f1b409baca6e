"""Commit records: a part exists from the moment its record does, and a record names nothing but its own files."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from valle_data import files
from valle_data.errors import InputError, ReasonCode
from valle_data.shards import EXTENSIONS, SHARDS
from valle_data.shards.base import SHARD_NAME, ShardFormat, part_name

SAFE_SIDE = re.compile(r"[a-z0-9_]{1,40}")


@dataclass(frozen=True)
class CommitRecord:
    """`shards/part-NNNNNN.json`. Hashes are sha256 of whole files; `shard` is a file name, never a path."""

    part: int
    part_id: str
    shard: str
    shard_sha256: str
    shard_bytes: int
    index_sha256: str
    num_utterances: int
    num_frames: int
    duration_s: float
    num_quarantined: int
    quarantine_sha256: str | None
    input_hash: str
    config_hash: str
    sides: Mapping[str, str] = field(default_factory=dict)
    """sha256 of the side files by name."""

    def to_bytes(self) -> bytes:
        """JSON with a checksum of its own."""
        return (json.dumps({**asdict(self), "checksum": _checksum(asdict(self))}, indent=1) + "\n").encode()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _checksum(values: dict[str, Any]) -> str:
    return sha256(json.dumps(values, sort_keys=True).encode())


def load_record(path: Path) -> CommitRecord:
    """The commit record at `path`; InputError `corrupt_shard` when it is damaged, `unsafe_member` when it names anything but its own shard."""
    content = files.read(path)
    try:
        data = json.loads(content)
        data.pop("checksum")
        record = CommitRecord(**{item.name: data.pop(item.name) for item in fields(CommitRecord)})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            ReasonCode.CORRUPT_SHARD,
            f"The commit record {path} is damaged ({type(error).__name__}: {error}). Remove it and run `valle prepare` again: the part is made anew.",
        ) from error
    if not _names_its_own(record, path.stem):
        raise InputError(
            ReasonCode.UNSAFE_MEMBER,
            f"The commit record {path} names the shard {record.shard!r}; a shard is a file beside its record, with its name. It was not opened.",
        )
    if data or record.to_bytes() != content or not isinstance(record.part, int) or part_name(record.part) != path.stem:
        raise InputError(
            ReasonCode.CORRUPT_SHARD,
            f"The commit record {path} does not match its checksum or name. Remove it and run `valle prepare` again: the part is made anew.",
        )
    return record


def _names_its_own(record: CommitRecord, stem: str) -> bool:
    """Whether shard and side files are names of this part and no paths, devices or commands."""
    if not isinstance(record.shard, str) or not SHARD_NAME.fullmatch(record.shard) or not isinstance(record.sides, dict):
        return False
    name, _, extension = record.shard.rpartition(".")
    return name == stem and extension in EXTENSIONS and all(SAFE_SIDE.fullmatch(str(side)) for side in record.sides)


def committed_parts(dataset: Path) -> list[CommitRecord]:
    """The records of all parts that exist, by part number. A damaged record is an InputError that names it."""
    return [load_record(path) for path in sorted((dataset / "shards").glob("part-*.json"))]


def shard_format(record: CommitRecord) -> ShardFormat:
    """The format of a part's shard, by its name."""
    return SHARDS[EXTENSIONS[record.shard.rpartition(".")[2]]]()
