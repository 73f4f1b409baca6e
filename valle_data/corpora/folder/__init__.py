"""Recordings in a folder, with their texts beside them or in a table. The path says who speaks.

Your own recordings, and every corpus whose layout a pattern describes. Licence: whatever yours is.
"""

import hashlib
import os
import re
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from valle_data.corpora.base import Corpus, CorpusConfig, Item, Refusal
from valle_data.corpora.folder.pattern import NUM_EXAMPLES, compile_pattern, mismatch_message
from valle_data.corpora.reading.table import Row, read_table
from valle_data.corpora.reading.text import read_text
from valle_data.corpora.reading.walk import AUDIO_EXTENSIONS, walk
from valle_data.errors import InputError, ReasonCode, UsageError


class FolderCorpus(Corpus):
    """`root` is walked; every recording gives one utterance, or one per row of `table`."""

    class Config(CorpusConfig):
        """Where the recordings lie and what their paths mean."""

        name: str = "folder"
        pattern: str = Field(default="{group}/{speaker}/{utterance}.{ext}", description="what the parts of a path mean; any of these fields, and {language}")
        group: str = Field(default="all", description="where neither path nor table names one")
        speaker: str = Field(default="speaker", description="where neither path nor table names one")
        extensions: tuple[str, ...] = Field(default=AUDIO_EXTENSIONS, description="names that end so are recordings")
        text_suffix: str = Field(default=".txt", description="replaces the extension of a recording in the name of its text")
        table: Path | None = Field(
            default=None, description=".jsonl, .csv or .tsv below root: path, text and optional columns; replaces texts beside recordings"
        )
        channel: int | None = Field(default=None, ge=0, description="of recordings with several; empty: all are mixed")

        @field_validator("pattern")
        @classmethod
        def _pattern_has_a_meaning(cls, value: str) -> str:
            compile_pattern(value)
            return value

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._pattern = compile_pattern(config.pattern)

    def scan(self) -> Iterator[Item | Refusal]:
        misfits = _Misfits(self.config.pattern)
        if self.config.table is None:
            yield from self._recordings(misfits, self._with_text)
        else:
            yield from self._from_table(misfits)
        yield from misfits.last()

    def _recordings(
        self, misfits: "_Misfits", make: Callable[[str, re.Match[str]], Item | Refusal], listed: "_Paths | None" = None
    ) -> Iterator[Item | Refusal]:
        """An item for every recording that `listed` does not hold."""
        for found in walk(self.root, self.config.extensions):
            if not self.selection.admits_path(found.path) or (listed and found.path in listed):
                continue
            match = self._pattern.fullmatch(found.path)
            if found.reason is not None:
                yield Refusal(found.path, found.reason, found.problem)
            elif match is None:
                yield from misfits.add(found.path)
            else:
                misfits.has_match = True
                yield make(found.path, match)

    def _with_text(self, path: str, match: re.Match[str]) -> Item | Refusal:
        try:
            text = read_text(self.place(os.path.splitext(path)[0] + self.config.text_suffix))
        except InputError as error:
            if error.reason is ReasonCode.STORAGE_FAILED:
                raise
            return Refusal(path, error.reason, str(error.args[0]))
        return self._item(Row(0, path, text), match)

    def _from_table(self, misfits: "_Misfits") -> Iterator[Item | Refusal]:
        """The rows, and the recordings without one."""
        listed = _Paths()
        for row in read_table(self.place(str(self.config.table)), str(self.config.table)):
            if isinstance(row, Refusal):
                yield row
                continue
            path = os.path.normpath(row.path)
            listed.add(path)
            match = self._pattern.fullmatch(path)
            if match is None and (row.speaker is None or row.group is None) and self.selection.admits_path(path):
                yield from misfits.add(path)
            else:
                misfits.has_match = True
                yield self._item(row, match)
        listed.close()
        misfits.hint = " Or give the table the columns speaker and group."
        yield from self._recordings(misfits, lambda path, match: self._item(Row(0, path), match), listed)

    def _item(self, row: Row, match: re.Match[str] | None) -> Item:
        fields = match.groupdict() if match else {}
        return Item(
            path=os.path.normpath(row.path),
            text=row.text,
            speaker=row.speaker or fields.get("speaker") or "",
            group=row.group or fields.get("group") or "",
            language=row.language or fields.get("language") or "",
            start_s=row.start_s,
            duration_s=row.duration_s,
            channel=self.config.channel if row.channel is None else row.channel,
            extra=row.extra,
        )


class _Misfits:
    """Paths that the pattern misses. The first ones are held back, so that one sentence can name them."""

    def __init__(self, pattern: str) -> None:
        self.has_match, self.hint = False, ""
        self._pattern, self._count, self._first = pattern, 0, list[str]()

    def add(self, path: str) -> Iterator[Refusal]:
        self._count += 1
        if self._count <= NUM_EXAMPLES:
            self._first.append(path)
        if self._count == NUM_EXAMPLES:
            yield from self._refusals(self._first)
        elif self._count > NUM_EXAMPLES:
            yield from self._refusals([path])

    def last(self) -> Iterator[Refusal]:
        """What is still held back. Raises UsageError when the pattern fits no recording at all."""
        if self._count and not self.has_match:
            raise UsageError(mismatch_message(self._pattern, self._first, self._count) + self.hint)
        if self._count < NUM_EXAMPLES:
            yield from self._refusals(self._first)

    def _refusals(self, paths: list[str]) -> Iterator[Refusal]:
        message = mismatch_message(self._pattern, self._first)
        return (Refusal(path, ReasonCode.UNMATCHED_PATH, message) for path in paths)


class _Paths:
    """The paths that a table names: 8 bytes each, as a table of millions has no room for more."""

    def __init__(self) -> None:
        self._hashes = array("Q")
        self._sorted: NDArray[np.uint64] = np.zeros(0, np.uint64)

    def add(self, path: str) -> None:
        self._hashes.append(_hash(path))

    def close(self) -> None:
        """From here on only questions."""
        self._sorted = np.unique(np.frombuffer(self._hashes, np.uint64)) if self._hashes else self._sorted

    def __contains__(self, path: str) -> bool:
        place = int(np.searchsorted(self._sorted, np.uint64(_hash(path))))
        return place < len(self._sorted) and int(self._sorted[place]) == _hash(path)


def _hash(path: str) -> int:
    return int.from_bytes(hashlib.blake2b(os.fsencode(path), digest_size=8).digest(), "little")
