"""Members of shards, at random: mapped where the data set is local, asked for in ranges where it is in an object store."""

import mmap
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from valle_data import files
from valle_data.shards.parts import Parts, wrong_size

MOST_MAPS = 16_384
"""Linux allows a process 65,530 mappings in all."""

MOST_FETCHED_BYTES = 256 << 20


@dataclass(frozen=True)
class Span:
    """A member: its shard by number, and where it lies there, in words of two bytes."""

    shard: int
    start: int
    stop: int


class Shards(ABC):
    """The shards of a data set's parts."""

    def __init__(self, folder: Path, parts: Parts) -> None:
        self._folder, self._parts = folder, parts

    def path(self, number: int) -> Path:
        return self._folder / "shards" / self._parts.shard(number)

    @abstractmethod
    def words(self, number: int, start: int, stop: int) -> NDArray[np.uint16]:
        """The words of a member, read-only. InputError `missing_shard`, `corrupt_shard` for a shard that is gone or cut, `storage_failed`."""

    @abstractmethod
    def prefetch(self, spans: Iterable[Span]) -> None:
        """Members that are about to be wanted."""


class MappedShards(Shards):
    """Views on mapped files; nothing is copied, and what is not wanted any more is the system's to drop."""

    def __init__(self, folder: Path, parts: Parts, most_maps: int = MOST_MAPS) -> None:
        super().__init__(folder, parts)
        self._maps: dict[int, NDArray[np.uint16]] = {}
        self._most_maps = most_maps

    def words(self, number: int, start: int, stop: int) -> NDArray[np.uint16]:
        words = self._maps.get(number)
        if words is None:
            words = self._map(number)
        return words[start:stop]

    def _map(self, number: int) -> NDArray[np.uint16]:
        path, expected = self.path(number), int(self._parts.shard_bytes[number])
        found = path.stat().st_size if path.is_file() else None
        if found != expected:
            raise wrong_size(path, found, expected)
        while len(self._maps) >= self._most_maps:
            # The oldest goes. Rows come in random order, so that the least recently used would be no better, and finding it would cost every access.
            # Views on it keep it alive for as long as they live.
            del self._maps[next(iter(self._maps))]
        with path.open("rb") as file:
            self._maps[number] = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), dtype="<u2", count=expected // 2)
        return self._maps[number]

    def prefetch(self, spans: Iterable[Span]) -> None:
        """Nothing to do: the system reads ahead."""


class FetchedShards(Shards):
    """Members fetched when they are wanted, or many at once before; the last ones stay."""

    def __init__(self, folder: Path, parts: Parts, most_bytes: int = MOST_FETCHED_BYTES) -> None:
        super().__init__(folder, parts)
        self._kept: OrderedDict[Span, NDArray[np.uint16]] = OrderedDict()
        self._kept_bytes, self._most_bytes = 0, most_bytes

    def words(self, number: int, start: int, stop: int) -> NDArray[np.uint16]:
        span = Span(number, start, stop)
        if span not in self._kept:
            self.prefetch([span])
        self._kept.move_to_end(span)
        return self._kept[span]

    def prefetch(self, spans: Iterable[Span]) -> None:
        """One request a shard where members lie near one another, side by side; never one a member."""
        wanted: dict[int, list[Span]] = {}
        for span in dict.fromkeys(spans):
            if span not in self._kept:
                wanted.setdefault(span.shard, []).append(span)
        for number, members in wanted.items():
            found = files.read_ranges(self.path(number), [(2 * span.start, 2 * span.stop) for span in members])
            for span, data in zip(members, found, strict=True):
                # A copy: a slice would keep all of the request it came with.
                self._kept[span] = np.frombuffer(bytes(data), dtype="<u2")
                self._kept_bytes += len(data)
        while self._kept_bytes > self._most_bytes and len(self._kept) > 1:
            self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes


def shards_of(folder: Path, parts: Parts) -> Shards:
    """The shards in `folder`, reached as its store allows."""
    return MappedShards(folder, parts) if files.store_of(folder).renames else FetchedShards(folder, parts)
