"""What a corpus owes: it says what lies where, and the base makes utterances of it, labelled, filtered and with ids."""

import hashlib
import os
import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from valle_data.config import EntryConfig
from valle_data.corpora.selection import Selection
from valle_data.errors import ReasonCode, UsageError
from valle_data.records import AudioRef, Utterance

SLUG_CHARACTERS = 72
DIGEST_BYTES = 8


class CorpusConfig(EntryConfig):
    """What every corpus can be told. Globs are those of a shell over the whole name: `*` crosses folders."""

    root: Path = Field(description="the folder; paths in tables are relative to it")
    label: str = Field(default="", description="the `corpus` column of the index; empty: the corpus' name")
    language: str = Field(default="en-us", description="BCP 47 tag, where the corpus names none")
    group: str = Field(default="", description="where the corpus names none; empty: the label")
    speaker: str = Field(default="unknown", description="where the corpus names none")
    licence: str = Field(default="", description="of the recordings; goes into the index")
    include: tuple[str, ...] = Field(default=(), description="globs over the path below root; empty: everything")
    exclude: tuple[str, ...] = Field(default=(), description="globs of recordings to leave out")
    include_speakers: tuple[str, ...] = Field(default=(), description="globs over speakers; empty: everybody")
    exclude_speakers: tuple[str, ...] = Field(default=(), description="globs of speakers to leave out")
    include_groups: tuple[str, ...] = Field(default=(), description="globs over groups; empty: every group")
    exclude_groups: tuple[str, ...] = Field(default=(), description="globs of groups to leave out")


@dataclass(frozen=True)
class Item:
    """An utterance as a corpus lists it; an empty string or None where the corpus does not say.

    `path` is below the root, `/` between its parts, or absolute. A recording inside of that file has a name there (`member`) and a range of bytes.
    `listed_as` is the name below the root of what lies in a copy elsewhere; `key` is what the id is made of where name and stretch do not tell two
    utterances apart.
    """

    path: str
    text: str = ""
    speaker: str = ""
    group: str = ""
    language: str = ""
    start_s: float = 0.0
    duration_s: float | None = None
    channel: int | None = None
    member: str = ""
    offset: int | None = None
    nbytes: int | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    listed_as: str = ""
    key: str = ""

    @property
    def name(self) -> str:
        """What the globs over paths see: the path, and in an archive the member behind it."""
        return self.listed_as or (f"{self.path}/{self.member}" if self.member else self.path)


@dataclass(frozen=True)
class Refusal:
    """Something of the corpus that gives no utterance. `path` is a recording below the root, or `line` of a table below it."""

    path: str
    reason: ReasonCode
    message: str
    line: int | None = None


@dataclass(frozen=True)
class ListingProblem:
    """Something of the corpus that gives no utterance; `path` is the file, or `table:line`."""

    path: str
    reason: ReasonCode
    message: str


class Corpus(ABC):
    """A corpus names its configuration as `Config`, is made from one, and scans what lies below `config.root`.

    `gives_speakers` is False where the corpus does not say who speaks: everybody gets the configured `speaker`, until the stage `attribute` tells
    them apart.
    """

    Config: ClassVar[Any]
    gives_speakers: ClassVar[bool] = True

    def __init__(self, config: Any) -> None:
        self.config = config
        self.root = os.fspath(config.root)
        self.label: str = config.label or config.name
        self.selection = Selection(config)

    @abstractmethod
    def scan(self) -> Iterator[Item | Refusal]:
        """Everything the corpus holds, in any order, opening no recording. What `self.selection.admits_path` refuses may be left out early.

        Memory stays flat: nothing is kept of what was yielded. Raises UsageError for a folder that is no such corpus, and InputError
        `storage_failed` for a disk that fails.
        """

    def entries(self) -> Iterator[Utterance | ListingProblem]:
        """Every utterance and every problem, in any order; ids are unique unless the corpus names a stretch twice.

        Raises what `scan` raises, and UsageError when the filters leave nothing over.
        """
        self.check_root()
        has_any = False
        for item in self.scan():
            if isinstance(item, Refusal):
                if item.line is not None or self.selection.admits_path(item.path):
                    yield self._problem(item)
            elif self.selection.admits_path(item.name):
                utterance = self._utterance(item)
                if self.selection.admits(utterance.speaker, utterance.group):
                    has_any = True
                    yield utterance
        if not has_any and self.selection.has_refused:
            raise UsageError(self.selection.nothing_left())
        for place, message in self.selection.fits_nothing():
            yield ListingProblem(place, ReasonCode.UNMATCHED_PATH, message)

    def check_root(self) -> None:
        if not os.path.isdir(self.root):
            raise UsageError(f"`corpus.root` names a folder; {self.root!r} is none. Correct the path, which is relative to where the command runs.")

    def place(self, path: str) -> str:
        """Where a path of the corpus lies; an absolute one stays as it is."""
        return os.path.join(self.root, os.path.normpath(path))

    def _problem(self, refusal: Refusal) -> ListingProblem:
        where = self.place(refusal.path) if refusal.line is None else f"{refusal.path}:{refusal.line}"
        return ListingProblem(where, refusal.reason, refusal.message)

    def _utterance(self, item: Item) -> Utterance:
        return Utterance(
            id=utterance_id(self._below_root(f"{item.key}." if item.key else item.name), item.start_s, item.duration_s),
            audio=AudioRef(self.place(item.path), item.start_s, item.duration_s, item.channel, item.offset, item.nbytes),
            text=item.text,
            speaker=unicodedata.normalize("NFC", item.speaker or self.config.speaker),
            group=unicodedata.normalize("NFC", item.group or self.config.group or self.label),
            language=item.language or self.config.language,
            extra={"licence": self.config.licence, **item.extra} if self.config.licence else item.extra,
            corpus=self.label,
        )

    def _below_root(self, name: str) -> str:
        """A name as it is wherever the root lies, if it lies below it."""
        return os.path.normpath(name.removeprefix(os.path.join(os.path.abspath(self.root), "")))


def utterance_id(relative_path: str, start_s: float = 0.0, duration_s: float | None = None) -> str:
    """At most 89 characters of `a-z0-9_-`: the path without its extension, readable, and a hash of its exact bytes and of the stretch.

    The same path gives the same id on every machine and whatever the sound is; paths that differ in one byte (case, Unicode form) get different ids.
    """
    stem = os.path.splitext(relative_path)[0]
    stretch = b"" if start_s == 0 and duration_s is None else f"\0{start_s!r}\0{duration_s!r}".encode()
    digest = hashlib.blake2b(os.fsencode(stem) + stretch, digest_size=DIGEST_BYTES).hexdigest()
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9-]+", "_", plain).strip("_-")[-SLUG_CHARACTERS:].lstrip("_-")
    return f"{slug or 'u'}-{digest}"
