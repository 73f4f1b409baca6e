"""The committed parts of a data set as columns: a hundred thousand of them take a few megabytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from valle_data import files
from valle_data.errors import InputError, ReasonCode
from valle_data.shards import EXTENSIONS, SHARDS
from valle_data.shards.base import ShardFormat, part_name
from valle_data.shards.record import CommitRecord

_KINDS = tuple(EXTENSIONS)


@cache
def _format(kind: int) -> ShardFormat:
    return SHARDS[EXTENSIONS[_KINDS[kind]]]()


@dataclass(frozen=True)
class Parts:
    """One entry a part: its number, the size of its shard, and its format, an index into the known file name extensions."""

    part: NDArray[np.int32]
    shard_bytes: NDArray[np.int64]
    kind: NDArray[np.int8]

    @classmethod
    def of(cls, records: Sequence[CommitRecord]) -> "Parts":
        kinds = [_KINDS.index(record.shard.rpartition(".")[2]) for record in records]
        return cls(
            np.array([record.part for record in records], dtype=np.int32),
            np.array([record.shard_bytes for record in records], dtype=np.int64),
            np.array(kinds, dtype=np.int8),
        )

    def __len__(self) -> int:
        return len(self.part)

    def shard(self, number: int) -> str:
        """The file name of the shard of part `number` in this table."""
        return f"{part_name(int(self.part[number]))}.{_KINDS[self.kind[number]]}"

    def format(self, number: int) -> ShardFormat:
        """The format of the shard of part `number` in this table."""
        return _format(int(self.kind[number]))

    def _of_formats(self, attribute: str) -> NDArray[np.int64]:
        by_kind = {kind: getattr(_format(kind), attribute) for kind in np.unique(self.kind).tolist()}
        return np.array([by_kind.get(kind, 0) for kind in range(len(_KINDS))], dtype=np.int64)[self.kind]

    @property
    def header_bytes(self) -> NDArray[np.int64]:
        """What precedes the codes in a member, by part."""
        return self._of_formats("header_bytes")

    @property
    def alignment(self) -> NDArray[np.int64]:
        """What offsets of members are multiples of, by part."""
        return self._of_formats("alignment")

    def check_sizes(self, folder: Path) -> None:
        """InputError `missing_shard` or `corrupt_shard` for the first shard that is gone or has another size, from one listing of the folder."""
        sizes = {entry.name: entry.nbytes for kind in np.unique(self.kind).tolist() for entry in files.entries(folder / "shards", f".{_KINDS[kind]}")}
        for number, expected in enumerate(self.shard_bytes.tolist()):
            name = self.shard(number)
            if sizes.get(name) != expected:
                raise wrong_size(folder / "shards" / name, sizes.get(name), expected)


def wrong_size(path: Path, found: int | None, expected: int) -> InputError:
    """What to say of a shard that has `found` bytes (None: is not there) where its record says `expected`."""
    if found is None:
        return InputError(
            ReasonCode.MISSING_SHARD,
            f"{path} is gone, but its part is committed. Restore it, or run `valle repair` and then `valle prepare`: the part is made anew.",
        )
    return InputError(
        ReasonCode.CORRUPT_SHARD,
        f"{path} has {found} bytes, its commit record says {expected}. Run `valle repair`, which keeps what is whole of it, and then `valle prepare`.",
    )


def refuse_foreign(record: CommitRecord, config_hash: str) -> None:
    """InputError `foreign_shard` for a part that was made with another configuration than the data set's."""
    if record.config_hash != config_hash:
        raise InputError(
            ReasonCode.FOREIGN_SHARD,
            f"{part_name(record.part)} was committed with the configuration {record.config_hash[:12]}, this data set has {config_hash[:12]}. "
            "Move its files away, or prepare the data again.",
        )
