"""What a shard format owes, and where a part's files lie."""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from valle_data.errors import InputError, ReasonCode
from valle_data.records import CodedUtterance

SAFE_ID = re.compile(r"[A-Za-z0-9_-]{1,90}")
SHARD_NAME = re.compile(r"part-(\d{6})\.[a-z0-9]{1,8}")


@dataclass(frozen=True)
class Member:
    """Where the codes of an utterance lie in its shard, and the crc32 of those bytes."""

    offset: int
    nbytes: int
    crc32: int


@dataclass(frozen=True)
class EncodedShard:
    """A whole shard as bytes; `members[i]` belongs to `utterances[i]` of the call that made it."""

    data: bytes
    members: tuple[Member, ...]


@dataclass(frozen=True)
class Problem:
    """Something wrong with a part; `utterance` when it can be laid at the door of one."""

    reason: ReasonCode
    part: int
    path: str
    utterance: str | None
    message: str


class ShardFormat(ABC):
    """Coded utterances <-> the bytes of one file. The same utterances in the same order give the same bytes, always."""

    extension: ClassVar[str]

    @abstractmethod
    def encode(self, utterances: Sequence[CodedUtterance]) -> EncodedShard:
        """The whole file. Utterances come sorted by id."""

    @abstractmethod
    def check(self, path: Path, part: int, utterances: Sequence[str]) -> list[Problem]:
        """What is wrong with the structure of the file at `path`, which should hold exactly `utterances`; reads it, extracts nothing."""


def check_id(utterance: str) -> None:
    """Refuse an id that a shard reader could misread: dots split names in WebDataset, slashes are folders, USTAR holds 100 bytes."""
    if not SAFE_ID.fullmatch(utterance):
        raise InputError(
            ReasonCode.UNSAFE_MEMBER,
            f"An utterance id has 1 to 90 of the characters a-z A-Z 0-9 _ -, not {utterance!r}. The corpus that made it must escape it.",
        )


def part_name(part: int) -> str:
    return f"part-{part:06d}"


def shard_path(dataset: Path, part: int, extension: str = "tar") -> Path:
    return dataset / "shards" / f"{part_name(part)}.{extension}"


def index_path(dataset: Path, part: int) -> Path:
    return dataset / "shards" / f"{part_name(part)}.parquet"


def record_path(dataset: Path, part: int) -> Path:
    return dataset / "shards" / f"{part_name(part)}.json"


def side_path(dataset: Path, part: int, side: str) -> Path:
    """The side file of a part: vectors of the name `side`, keyed by utterance id."""
    return dataset / "vectors" / f"{part_name(part)}.{side}.parquet"


def quarantine_path(dataset: Path, part: int) -> Path:
    return dataset / "quarantine" / f"{part_name(part)}.parquet"
