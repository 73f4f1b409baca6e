"""What a shard format owes, and where a part's files lie."""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from valle_data.errors import InputError, ReasonCode

SAFE_ID = re.compile(r"[A-Za-z0-9_-]{1,90}")
SHARD_NAME = re.compile(r"part-(\d{6})\.[a-z0-9]{1,8}")


@dataclass(frozen=True)
class Member:
    """Where the codes of an utterance lie in its shard, and the crc32 of those bytes."""

    offset: int
    nbytes: int
    crc32: int


@dataclass(frozen=True)
class Sample:
    """An utterance as shards hold it: `codes` `[Q, T]` and `text`, the bytes of its description (see `describe.py`)."""

    id: str
    codes: NDArray[np.uint16]
    text: bytes


@dataclass(frozen=True)
class EncodedShard:
    """A whole shard as bytes; `members[i]` belongs to sample i of the call that made it."""

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
    """Samples <-> the bytes of one file. The same samples in the same order give the same bytes, always.

    Whatever the format, the codes of an utterance are one stretch of the file, a member: `header_bytes` bytes, then uint16 `[Q, T]`, little endian, levels
    one after the other. So every reader maps the file, or asks for ranges of it, by what the index says, and the checksum there covers all it reads.
    Members begin at multiples of `alignment` bytes.
    """

    extension: ClassVar[str]
    header_bytes: ClassVar[int]
    alignment: ClassVar[int]

    @abstractmethod
    def encode(self, samples: Sequence[Sample]) -> EncodedShard:
        """The whole file. Samples come sorted by id."""

    @abstractmethod
    def header(self, num_levels: int, num_frames: int) -> bytes:
        """The header of a member of so many codes."""

    @abstractmethod
    def codes(self, member: bytes | memoryview, num_levels: int) -> NDArray[np.uint16]:
        """Codes `[Q, T]` of a member, a read-only view on it; InputError `unsafe_member` for anything `encode` does not write."""

    @abstractmethod
    def read(self, data: bytes, path: Path) -> list[Sample]:
        """The samples of a file, strictly: InputError for anything `encode` does not write. Nothing is extracted, followed or evaluated."""

    @abstractmethod
    def salvage(self, data: bytes) -> list[Sample]:
        """The samples of a damaged file whose description and codes are whole by their checksums, without any help from elsewhere."""

    def check(self, path: Path, data: bytes, part: int, utterances: Sequence[str]) -> list[Problem]:
        """What is wrong with the structure of the file at `path`, which should hold exactly `utterances`."""
        try:
            found = [sample.id for sample in self.read(data, path)]
        except InputError as error:
            return [Problem(error.reason, part, str(path), None, error.args[0])]
        if found == list(utterances):
            return []
        strange = sorted(set(found) ^ set(utterances))[:3]
        message = f"{path} holds {len(found)} utterances, its index {len(utterances)}; first differences: {strange or 'their order'}"
        return [Problem(ReasonCode.CORRUPT_SHARD, part, str(path), None, message)]


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
