"""What a corpus owes, and how utterances get their ids."""

import hashlib
import os
import re
import unicodedata
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from valle_data.errors import ReasonCode
from valle_data.records import Utterance

SLUG_CHARACTERS = 72
DIGEST_BYTES = 8


@dataclass(frozen=True)
class ListingProblem:
    """Something of the corpus that gives no utterance; `path` is the file, or `table:line`."""

    path: str
    reason: ReasonCode
    message: str


@dataclass(frozen=True)
class CorpusListing:
    """All that a corpus holds, both lists in a fixed order. Ids are unique."""

    utterances: list[Utterance]
    problems: list[ListingProblem]


class Corpus(ABC):
    """A corpus names its configuration as `Config` and is made from one."""

    Config: ClassVar[Any]

    @abstractmethod
    def list(self) -> CorpusListing:
        """Every utterance and every problem; opens no recording.

        Raises UsageError for a configuration that fits nothing, and InputError `duplicate_id`, naming both paths, when two utterances would share an id.
        """


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
