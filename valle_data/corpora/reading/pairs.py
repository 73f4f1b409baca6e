"""Samples of a WebDataset archive: members that share a name up to its last dot lie behind one another."""

import itertools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from valle_data.corpora.base import Refusal
from valle_data.corpora.reading.tar import Member, read_members
from valle_data.corpora.reading.walk import AUDIO_EXTENSIONS


@dataclass(frozen=True)
class Sample:
    """The members of one key, by extension (small letters, without dot)."""

    key: str
    members: Mapping[str, Member]

    @property
    def audio(self) -> Member | None:
        return next((self.members[extension] for extension in AUDIO_EXTENSIONS if extension in self.members), None)


def read_samples(path: str, name: str) -> Iterator[Sample | Refusal]:
    """Samples of the archive at `path`, and what `read_members` refuses of the archive `name`."""
    held: list[Member] = []
    for member in itertools.chain(read_members(path, name), [None]):
        if isinstance(member, Refusal):
            yield member
            continue
        if held and (member is None or _key(member) != _key(held[0])):
            yield Sample(_key(held[0]), {os.path.splitext(each.name)[1][1:].lower(): each for each in held})
            held = []
        if member is not None:
            held.append(member)


def _key(member: Member) -> str:
    return os.path.splitext(member.name)[0]
