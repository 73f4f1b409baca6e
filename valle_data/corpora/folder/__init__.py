"""Recordings in a folder, with their texts beside them or in a table. The path says who speaks."""

import errno
import fnmatch
import itertools
import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from pydantic import Field, field_validator

from valle_data.config import EntryConfig
from valle_data.corpora.base import Corpus, CorpusListing, ListingProblem, utterance_id
from valle_data.corpora.folder.pattern import compile_pattern, mismatch_message
from valle_data.corpora.folder.table import Row, read_table
from valle_data.corpora.folder.walk import Found, walk
from valle_data.errors import InputError, ReasonCode, UsageError
from valle_data.records import AudioRef, Utterance

MAX_TEXT_BYTES = 1 << 20
NO_TEXT_THERE = (errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
"""A path that leads to no text; any other failure to read is the storage's, and would silently drop recordings."""

# Named here because inside the class `list` is its method.
Paths = list[str]
Problems = list[ListingProblem]
Utterances = list[Utterance]


class FolderCorpus(Corpus):
    """`root` is walked; every recording gives one utterance, or one per row of `table`."""

    class Config(EntryConfig):
        """Where the recordings lie and what their paths mean."""

        name: str = "folder"
        root: Path = Field(description="the folder")
        pattern: str = Field(default="{group}/{speaker}/{utterance}.{ext}", description="what the parts of a path mean; any of these fields, and {language}")
        language: str = Field(default="en-us", description="BCP 47 tag, where neither path nor table names one")
        group: str = Field(default="all", description="where neither path nor table names one")
        speaker: str = Field(default="speaker", description="where neither path nor table names one")
        extensions: tuple[str, ...] = Field(default=("wav", "flac", "ogg", "oga", "opus", "mp3"), description="names that end so are recordings")
        include: tuple[str, ...] = Field(default=(), description="globs over the path below root, `*` crosses folders; empty: everything")
        exclude: tuple[str, ...] = Field(default=(), description="globs of recordings to leave out")
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
        self.config = config
        self._pattern = compile_pattern(config.pattern)
        self._root = os.fspath(config.root)

    def list(self) -> CorpusListing:
        paths, problems = self._recordings()
        utterances = self._from_texts(paths, problems) if self.config.table is None else self._from_table(paths, problems)
        _check_unique(utterances)
        utterances.sort(key=lambda utterance: utterance.id)
        problems.sort(key=lambda problem: (os.fsencode(problem.path), problem.reason))
        return CorpusListing(utterances, problems)

    def _recordings(self) -> tuple[Paths, Problems]:
        """Paths that can be recordings, and those that cannot."""
        if not os.path.isdir(self._root):
            raise UsageError(f"`corpus.root` names a folder; {self._root!r} is none. Correct the path, which is relative to where the command runs.")
        chosen = [item for item in walk(self._root, self.config.extensions) if self._is_chosen(item.path)]
        problems = [self._problem(item.path, ReasonCode.NOT_AUDIO, item.problem) for item in chosen if item.problem]
        paths, twins = _without_twins(chosen)
        problems += [self._problem(path, ReasonCode.DUPLICATE_ID, message) for path, message in twins]
        return paths, problems

    def _is_chosen(self, path: str) -> bool:
        included = not self.config.include or any(fnmatch.fnmatchcase(path, glob) for glob in self.config.include)
        return included and not any(fnmatch.fnmatchcase(path, glob) for glob in self.config.exclude)

    def _from_texts(self, paths: Paths, problems: Problems) -> Utterances:
        matches = {path: self._pattern.fullmatch(path) for path in paths}
        problems += self._unmatched(path for path, match in matches.items() if match is None)
        if paths and not any(matches.values()):
            raise UsageError(mismatch_message(self.config.pattern, paths))
        utterances = []
        for path, match in matches.items():
            if match is None:
                continue
            try:
                text = self._read_text(path)
            except InputError as error:
                if error.reason is ReasonCode.STORAGE_FAILED:
                    raise
                problems.append(self._problem(path, error.reason, str(error.args[0])))
                continue
            utterances.append(self._utterance(Row(path, path, text), match))
        return utterances

    def _from_table(self, paths: Paths, problems: Problems) -> Utterances:
        table = self.config.root / (self.config.table or "")
        listed: set[str] = set()
        utterances, unmatched = [], []
        refused = {problem.path for problem in problems}
        for row in read_table(table):
            if not isinstance(row, Row):
                problems.append(ListingProblem(row[0], row[1].reason, str(row[1].args[0])))
                continue
            path = os.path.normpath(row.path)
            listed.add(path)
            if self._path(path) in refused or not self._is_chosen(path):
                continue
            match = self._pattern.fullmatch(path)
            if match is None and (row.speaker is None or row.group is None):
                unmatched.append(path)
            else:
                utterances.append(self._utterance(row, match))
        if unmatched and not utterances:
            raise UsageError(mismatch_message(self.config.pattern, unmatched) + " Or give the table the columns speaker and group.")
        problems += self._unmatched(unmatched)
        problems += [self._problem(path, ReasonCode.MISSING_TEXT, f"No row of {table.name!r} names it.") for path in paths if path not in listed]
        return utterances

    def _utterance(self, row: Row, match: re.Match[str] | None) -> Utterance:
        fields = match.groupdict() if match else {}
        path = os.path.normpath(row.path)
        return Utterance(
            id=utterance_id(path, row.start_s, row.duration_s),
            audio=AudioRef(self._path(path), row.start_s, row.duration_s, self.config.channel if row.channel is None else row.channel),
            text=row.text,
            speaker=unicodedata.normalize("NFC", row.speaker or fields.get("speaker") or self.config.speaker),
            group=unicodedata.normalize("NFC", row.group or fields.get("group") or self.config.group),
            language=row.language or fields.get("language") or self.config.language,
            extra=row.extra,
        )

    def _read_text(self, path: str) -> str:
        """The text beside a recording. Raises InputError `missing_text`, `text_too_long`, `text_not_utf8`, or `storage_failed` for a disk that fails."""
        place = self._path(os.path.splitext(path)[0] + self.config.text_suffix)
        try:
            with open(place, "rb") as file:
                content = file.read(MAX_TEXT_BYTES + 1)
        except OSError as error:
            if error.errno not in NO_TEXT_THERE:
                message = f"The text {place!r} cannot be read: {error.strerror}. Mend the disk or the permissions; its recording would be missing."
                raise InputError(ReasonCode.STORAGE_FAILED, message) from error
            raise InputError(ReasonCode.MISSING_TEXT, f"Its text should be in {place!r}: {error.strerror}.") from error
        if len(content) > MAX_TEXT_BYTES:
            raise InputError(ReasonCode.TEXT_TOO_LONG, f"A text has at most {MAX_TEXT_BYTES} bytes; {place!r} has more. Is it the right file?")
        try:
            return content.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                ReasonCode.TEXT_NOT_UTF8, f"Texts are UTF-8; {place!r} is not at byte {error.start}: {content[error.start : error.start + 8]!r}."
            ) from error

    def _unmatched(self, paths: Iterable[str]) -> Problems:
        unmatched = tuple(dict.fromkeys(paths))
        message = mismatch_message(self.config.pattern, unmatched)
        return [self._problem(path, ReasonCode.UNMATCHED_PATH, message) for path in unmatched]

    def _problem(self, path: str, reason: ReasonCode, message: str) -> ListingProblem:
        return ListingProblem(self._path(path), reason, message)

    def _path(self, path: str) -> str:
        return os.path.join(self._root, os.path.normpath(path))


def _without_twins(found: list[Found]) -> tuple[list[str], list[tuple[str, str]]]:
    """Paths, less those that differ from another one only in their Unicode form (NFC, NFD): nobody can tell which of the two was meant."""
    by_form: dict[str, list[str]] = {}
    for item in found:
        if item.problem is None:
            by_form.setdefault(unicodedata.normalize("NFC", item.path), []).append(item.path)
    twins = [
        (path, f"Its name differs from {next(other for other in same if other != path)!a} only in its Unicode form; remove or rename one of them.")
        for same in by_form.values()
        if len(same) > 1
        for path in same
    ]
    return [same[0] for same in by_form.values() if len(same) == 1], twins


def _check_unique(utterances: list[Utterance]) -> None:
    for before, after in itertools.pairwise(sorted(utterances, key=lambda utterance: utterance.id)):
        if before.id == after.id:
            stretch = "" if after.audio.start_s == 0 and after.audio.duration_s is None else f" from {after.audio.start_s:g} s"
            raise InputError(
                ReasonCode.DUPLICATE_ID,
                f"{before.audio.path!r} and {after.audio.path!r}{stretch} would both be utterance {after.id!r} (extensions do not count). Rename one.",
            )
