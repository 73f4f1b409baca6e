"""What a corpus lists, held against what a data set has planned, in an SQLite database on the disk: a corpus of any size is planned in little memory.

The database lives as long as the planning; the plan files and quarantine tables are the truth it is made from.
"""

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipelines.scratch import scratch_database
from valle_data.corpora.base import ListingProblem
from valle_data.errors import InputError, ReasonCode
from valle_data.records import AudioRef, Utterance
from valle_data.shards.base import check_id
from valle_data.shards.commit import CommitRecord, read_part_index, read_quarantine
from valle_data.shards.index import printable
from valle_data.shards.plan import content_key, plan_files, planned_utterance

_SCHEMA = """
CREATE TABLE known (id TEXT, piece TEXT, part INT, digest TEXT, path BLOB, text TEXT, language TEXT, utterance BLOB, sound TEXT,
                    begin_s REAL, length_s REAL, begin_margin_s REAL, end_margin_s REAL, PRIMARY KEY (id, piece)) WITHOUT ROWID;
CREATE INDEX by_piece ON known (piece, part) WHERE piece != '';
CREATE INDEX pieces ON known (id, length_s, begin_s, begin_margin_s, end_margin_s, digest) WHERE piece != '';
CREATE TABLE cut (id TEXT PRIMARY KEY, length_s REAL, digest TEXT) WITHOUT ROWID;
CREATE TABLE refused (fingerprint TEXT PRIMARY KEY, as_duplicate INT) WITHOUT ROWID;
CREATE TABLE sounds (sound TEXT PRIMARY KEY, path BLOB, id TEXT) WITHOUT ROWID;
CREATE TABLE listed (id TEXT PRIMARY KEY, "group" TEXT, speaker TEXT, path BLOB, text TEXT, language TEXT, utterance BLOB) WITHOUT ROWID;
CREATE TABLE problems (path BLOB, reason TEXT, message TEXT);
"""
_KNOW = "INSERT OR REPLACE INTO known VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SOUNDS = "INSERT OR IGNORE INTO sounds SELECT sound, path, id FROM known WHERE sound IS NOT NULL ORDER BY part, id"
# A recording that was cut is planned to its end when its pieces follow one another from the first, without a margin before it, to the last.
_INCOMPLETE = """INSERT INTO cut SELECT id, min(length_s), min(digest) FROM known WHERE piece != '' GROUP BY id
                 HAVING min(begin_margin_s) > 0 OR min(end_margin_s) > 0 OR count(*) <= round((max(begin_s) - min(begin_s)) / min(length_s))"""
_IS_NEW = "(NOT EXISTS (SELECT 1 FROM known WHERE known.id = listed.id) OR EXISTS (SELECT 1 FROM cut WHERE cut.id = listed.id))"
_PRAGMAS = ("journal_mode = OFF", "synchronous = OFF", "cache_size = -16384", "temp_store = FILE")
_BATCH = 1000


@dataclass(frozen=True)
class Stretch:
    """A planned utterance that is committed or waiting: where its recording lies now, and the digest of what it was."""

    id: str
    part: int
    digest: str
    place: AudioRef
    is_reworded: bool


@dataclass(frozen=True)
class Cut:
    """How a recording was cut of which some pieces are planned and others are not: the length of each without margins, and its digest then."""

    length_s: float
    digest: str


@dataclass(frozen=True)
class Other:
    """An utterance with the same sound: its id, and its recording (path, or path#offset)."""

    id: str
    path: str


class Catalog:
    """See the module."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self.parts: set[int] = set()
        """Numbers that are taken."""

    @property
    def next_part(self) -> int:
        return max(self.parts, default=-1) + 1

    def load(self, dataset: Path, committed: Iterable[CommitRecord], retried: Collection[str] = ()) -> None:
        """Take in what earlier runs planned and workers refused; what was refused for a reason in `retried` counts as never seen."""
        for file in plan_files(dataset):
            for batch in file.rows().to_batches(_BATCH):
                self._know(batch.to_pylist(), retried)
        planned = set(self.parts)
        for record in committed:
            if record.part not in planned:  # its plan is gone
                self._know_from_index(dataset, record)
            for row in read_quarantine(dataset, record).to_pylist():
                self._refuse(row["utt_id"], record.part, row["fingerprint"], row["reason"], retried)

    def _settle(self) -> None:
        """Have what follows from `known` follow it."""
        for query in ("DELETE FROM sounds", _SOUNDS, "DELETE FROM cut", _INCOMPLETE):
            self._db.execute(query)
        whole = self._db.execute("SELECT digest, listed.utterance FROM known JOIN listed USING (id) WHERE piece != '' AND begin_margin_s = 0")
        for digest, data in whole:  # what was cut has the sound of all its pieces
            recording = decode(data)
            self.other_with(sound_key(digest, recording.audio), recording)

    def _know(self, rows: list[dict[str, object]], retried: Collection[str]) -> None:
        kept = []
        for row in rows:
            self.parts.add(row["part"])  # pyright: ignore[reportArgumentType]
            if row["reason"] is not None:
                self._refuse(None, row["part"], row["fingerprint"], row["reason"], retried)  # pyright: ignore[reportArgumentType]
                continue
            utterance = planned_utterance(row)
            owner = os.fsencode(owner_name(utterance.audio))
            shared = (row["part"], row["source_digest"], owner, utterance.text, utterance.language)
            if row["listed_id"]:
                begin_s = utterance.audio.start_s + row["begin_margin_s"]  # pyright: ignore[reportOperatorIssue]
                place = (begin_s, row["duration_s"], row["begin_margin_s"], row["end_margin_s"])
                kept.append((row["listed_id"], utterance.id, *shared, None, None, *place))
            else:
                sound = sound_key(str(row["source_digest"]), utterance.audio)
                kept.append((utterance.id, "", *shared, encode(utterance), sound, None, None, None, None))
        self._db.executemany(_KNOW, kept)

    def _know_from_index(self, dataset: Path, record: CommitRecord) -> None:
        self.parts.add(record.part)
        for row in read_part_index(dataset, record).to_pylist():
            path, is_segment = os.fsencode(row["source_uri"]), row["planned_id"] is not None
            text, language = (None, None) if is_segment else (row["text"], row["language"])
            sound = None if is_segment else sound_key(row["source_digest"], AudioRef("", row["start_s"], None, row["channel"]))
            name = row["planned_id"] or row["utt_id"]
            self._db.execute(_KNOW, (name, "", record.part, row["source_digest"], path, text, language, None, sound, None, None, None, None))

    def _refuse(self, utterance: str | None, part: int, fingerprint: str, reason: str, retried: Collection[str]) -> None:
        """It counts as new once its fingerprint changes, or the other of a pair is gone; a piece of a recording only when it is retried."""
        self._db.execute("DELETE FROM known WHERE id = ? AND piece = '' AND part = ?", (utterance, part))
        if reason in retried:
            self._db.execute("DELETE FROM known WHERE piece = ? AND piece != '' AND part = ?", (utterance, part))
        else:
            self._db.execute("INSERT OR REPLACE INTO refused VALUES (?, ?)", (fingerprint, reason == ReasonCode.DUPLICATE_AUDIO))

    def list(self, entries: Iterable[Utterance | ListingProblem]) -> int:
        """Take in a corpus, after `load`, and return how many utterances it has. Raises InputError `duplicate_id`, naming both paths."""
        count = 0
        for entry in entries:
            if isinstance(entry, ListingProblem):
                self._db.execute("INSERT INTO problems VALUES (?, ?, ?)", (os.fsencode(entry.path), str(entry.reason), printable(entry.message)))
                continue
            check_id(entry.id)
            utterance = printable_utterance(entry)
            path = os.fsencode(utterance.audio.path)
            values = (utterance.id, utterance.group, utterance.speaker, path, utterance.text, utterance.language, encode(utterance))
            try:
                self._db.execute("INSERT INTO listed VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            except sqlite3.IntegrityError:
                raise self._same_id(utterance) from None
            count += 1
        self._db.execute('CREATE INDEX by_speaker ON listed ("group", speaker, id)')
        self._settle()
        return count

    def _same_id(self, utterance: Utterance) -> InputError:
        other = os.fsdecode(self._db.execute("SELECT path FROM listed WHERE id = ?", (utterance.id,)).fetchone()[0])
        first, second = sorted([printable(other), printable(utterance.audio.path)])
        return InputError(ReasonCode.DUPLICATE_ID, f"{first!r} and {second!r} would both be utterance {utterance.id!r}. Rename one of them.")

    def problems(self) -> Iterator[ListingProblem]:
        """What the listing could not use, sorted."""
        for path, reason, message in self._db.execute("SELECT path, reason, message FROM problems ORDER BY path, reason, message"):
            yield ListingProblem(os.fsdecode(path), ReasonCode(reason), message)

    def languages(self) -> dict[str, tuple[int, str]]:
        """Language of listed utterances -> how many, and the first path."""
        rows = self._db.execute("SELECT language, count(*), min(path) FROM listed GROUP BY language ORDER BY language")
        return {language: (count, os.fsdecode(path)) for language, count, path in rows}

    @property
    def num_new(self) -> int:
        return self._db.execute(f"SELECT count(*) FROM listed WHERE {_IS_NEW}").fetchone()[0]

    def new(self) -> Iterator[Utterance]:
        """Listed utterances that are not planned, or not to their end, by group, speaker and id."""
        for (data,) in self._db.execute(f'SELECT utterance FROM listed WHERE {_IS_NEW} ORDER BY "group", speaker, id'):
            yield decode(data)

    def cut(self, name: str) -> Cut | None:
        """How the recording of that id was cut, where pieces of it are missing in the plan."""
        row = self._db.execute("SELECT length_s, digest FROM cut WHERE id = ?", (name,)).fetchone()
        return Cut(*row) if row else None

    def knows_piece(self, name: str, piece: str) -> bool:
        """Whether this piece of the recording `name` is planned; where the plan is gone it stands under its own id."""
        query = "SELECT 1 FROM known WHERE (id = ? AND piece = ?) OR (id = ? AND piece = '')"
        return self._db.execute(query, (name, piece, piece)).fetchone() is not None

    def planned(self) -> Iterator[Stretch]:
        """Planned utterances, and whether the corpus has another text or language for them now."""
        query = """SELECT known.id, part, digest, listed.utterance, known.text IS NOT NULL AND (known.text != listed.text OR known.language != listed.language)
                   FROM known JOIN listed ON known.id = listed.id"""
        for name, part, digest, utterance, is_reworded in self._db.execute(query):
            audio = decode(utterance).audio
            yield Stretch(name, part, digest, AudioRef(audio.path, offset=audio.offset, nbytes=audio.nbytes), bool(is_reworded))

    def gone_or_other(self, finished: Collection[int]) -> Counter[int]:
        """Parts outside `finished` -> how many of their utterances the corpus no longer has as they were planned."""
        query = """SELECT part FROM known LEFT JOIN listed ON known.id = listed.id
                   WHERE listed.id IS NULL OR (known.utterance IS NOT NULL AND known.utterance != listed.utterance)"""
        return Counter(part for (part,) in self._db.execute(query) if part not in finished)

    def forget(self, parts: Collection[int]) -> None:
        """The plan of these parts was withdrawn."""
        for part in parts:
            self._db.execute("DELETE FROM known WHERE part = ?", (part,))
            self.parts.discard(part)
        if parts:
            self._settle()

    def was_refused(self, fingerprint: str, *, as_duplicate: bool) -> bool:
        """Whether this very thing is in quarantine already, for itself or (`as_duplicate`) for the sake of another."""
        row = self._db.execute("SELECT as_duplicate FROM refused WHERE fingerprint = ?", (fingerprint,)).fetchone()
        return row is not None and bool(row[0]) == as_duplicate

    def other_with(self, sound: str, utterance: Utterance) -> Other | None:
        """The first utterance that was kept with this sound, if that is another one; if there was none it is `utterance` from now on."""
        self._db.execute("INSERT OR IGNORE INTO sounds VALUES (?, ?, ?)", (sound, os.fsencode(owner_name(utterance.audio)), utterance.id))
        path, name = self._db.execute("SELECT path, id FROM sounds WHERE sound = ?", (sound,)).fetchone()
        return None if name == utterance.id else Other(name, os.fsdecode(path))


@contextmanager
def opened(path: Path) -> Iterator[Catalog]:
    """A new catalogue in a file at `path`, which is gone afterwards."""
    with scratch_database(path, _PRAGMAS) as connection:
        connection.executescript(_SCHEMA)
        connection.execute("BEGIN")
        yield Catalog(connection)


def owner_name(audio: AudioRef) -> str:
    """How messages call a recording: its path, and its place in that file."""
    return audio.path if audio.offset is None else f"{audio.path}#{audio.offset}"


def sound_key(digest: str, audio: AudioRef) -> str:
    """Equal for two stretches of the same sound."""
    return " ".join(map(str, content_key(digest, audio)))


def encode(utterance: Utterance) -> bytes:
    """All of an utterance as bytes; equal utterances give equal bytes."""
    audio = utterance.audio
    place = [os.fsencode(audio.path).decode("latin-1"), audio.start_s, audio.duration_s, audio.channel, audio.offset, audio.nbytes]
    rest = [utterance.id, utterance.text, utterance.speaker, utterance.group, utterance.language, dict(utterance.extra), utterance.corpus]
    return json.dumps([place, rest], sort_keys=True).encode()


def decode(data: bytes) -> Utterance:
    """The utterance that `encode` wrote."""
    (path, *place), (name, *rest) = json.loads(data)
    return Utterance(name, AudioRef(os.fsdecode(path.encode("latin-1")), *place), *rest)


def printable_utterance(utterance: Utterance) -> Utterance:
    """Without bytes that are no UTF-8, which neither JSON nor Parquet can hold; the path of the recording keeps them."""
    extra = {name: printable(value) for name, value in utterance.extra.items()}
    text, speaker, group, language, corpus = map(printable, (utterance.text, utterance.speaker, utterance.group, utterance.language, utterance.corpus))
    return Utterance(utterance.id, utterance.audio, text, speaker, group, language, extra, corpus)
