"""What a data set folder holds so far, and where the corpus has moved on since."""

import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pipelines.catalog import Catalog, Stretch
from pipelines.planner import place_of
from pipelines.scratch import scratch_database
from valle_data import files
from valle_data.errors import InputError, ReasonCode
from valle_data.records import AudioRef, PlannedUtterance
from valle_data.shards.base import SHARD_NAME, record_path
from valle_data.shards.commit import CommitRecord, load_record, read_quarantine
from valle_data.shards.index import printable
from valle_data.shards.plan import PlannedPart, plan_files
from valle_data.source import audio_digest


@dataclass(frozen=True)
class Summary:
    """The state of a data set: `reasons` counts quarantined utterances and paths by reason code."""

    num_parts: int
    num_utterances: int
    duration_s: float
    num_quarantined: int
    reasons: dict[str, int]

    @property
    def quarantined_fraction(self) -> float:
        total = self.num_utterances + self.num_quarantined
        return self.num_quarantined / total if total else 0.0


@dataclass(frozen=True)
class Pace:
    """When parts were committed: `hours_per_hour` of audio over the last stretch of work without a pause of `PAUSE_S`."""

    first_ns: int
    last_ns: int
    hours_per_hour: float | None


PAUSE_S = 3600.0


def records_of(dataset: Path) -> Iterator[CommitRecord]:
    """The commit records by part number, one in memory at a time."""
    for name in sorted(files.names(dataset / "shards")):
        if name.endswith(".json") and SHARD_NAME.fullmatch(name):
            yield load_record(dataset / "shards" / name)


def is_stale(part: PlannedPart, planned_ns: int) -> bool:
    """Whether a recording of a part is gone, or another one since it was planned."""
    digest = cache(audio_digest)
    return any(_is_gone_or_other(planned, planned_ns, digest) for planned in part.utterances)


def _is_gone_or_other(planned: PlannedUtterance, planned_ns: int, digest: Callable[[AudioRef], str]) -> bool:
    place = place_of(planned.utterance.audio)
    try:
        return os.stat(place.path).st_mtime_ns >= planned_ns and digest(place) != planned.source_digest
    except (OSError, InputError):
        return True


def planned_ns(dataset: Path) -> int:
    """When the oldest plan was written; recordings younger than it may have changed since."""
    return min((file.path.stat().st_mtime_ns for file in plan_files(dataset)), default=0)


def committed_ns(dataset: Path, parts: Collection[int]) -> dict[int, int]:
    """When these parts were committed, from one listing of the folder."""
    numbers = {record_path(dataset, part).name: part for part in parts}
    return {numbers[entry.name]: entry.mtime_ns for entry in files.entries(dataset / "shards", ".json") if entry.name in numbers}


def changes(catalog: Catalog, committed_ns: dict[int, int]) -> Iterator[Stretch]:
    """Committed utterances (part -> when) that the corpus has otherwise today; recordings are read again where they are younger than the commit."""
    digest = cache(audio_digest)
    for stretch in catalog.planned():
        since_ns = committed_ns.get(stretch.part)
        if since_ns is not None and (stretch.is_reworded or _has_changed(stretch, since_ns, digest)):
            yield stretch


def _has_changed(stretch: Stretch, since_ns: int, digest: Callable[[AudioRef], str]) -> bool:
    """Whether a file written after `since_ns` has another content; one that cannot be read is for the planner or a worker to report."""
    try:
        return os.stat(stretch.place.path).st_mtime_ns >= since_ns and digest(stretch.place) != stretch.digest
    except (OSError, InputError):
        return False


def summarize(dataset: Path) -> Summary:
    """Counts over all committed parts. What was quarantined and later prepared counts as prepared, what was refused twice counts once, and what is no longer
    there is not counted.
    """
    num_parts = num_utterances = 0
    duration_s = 0.0
    with scratch_database() as db:
        db.execute("CREATE TABLE refused (name TEXT PRIMARY KEY, part INT, reason TEXT) WITHOUT ROWID")
        finished: set[int] = set()
        for record in records_of(dataset):
            num_parts, num_utterances, duration_s = num_parts + 1, num_utterances + record.num_utterances, duration_s + record.duration_s
            finished.add(record.part)
            rows = read_quarantine(dataset, record).select(["utt_id", "path", "reason"]).to_pylist() if record.num_quarantined else []
            there = [row for row in rows if _is_there(row)]
            db.executemany("INSERT OR REPLACE INTO refused VALUES (?, ?, ?)", [(row["utt_id"] or row["path"], record.part, row["reason"]) for row in there])
        _drop_prepared(db, dataset, finished)
        reasons = dict(db.execute("SELECT reason, count(*) FROM refused GROUP BY reason ORDER BY reason"))
    return Summary(num_parts, num_utterances, duration_s, sum(reasons.values()), reasons)


def _is_there(row: dict[str, Any]) -> bool:
    """Whether a quarantined recording still lies in the corpus; one that was never there (a table names it) counts."""
    return row["utt_id"] is None or row["reason"] == ReasonCode.NOT_AUDIO or "\\x" in row["path"] or os.path.lexists(row["path"])


def _drop_prepared(db: sqlite3.Connection, dataset: Path, finished: Collection[int]) -> None:
    """Leave out what a later part, which is finished, has planned again and not refused."""
    if (first := db.execute("SELECT min(part) FROM refused").fetchone()[0]) is None:
        return
    for file in plan_files(dataset):
        if file.last <= first:
            continue
        table = file.rows().select(["utt_id", "part", "path", "reason"])
        again = [
            (row["utt_id"], printable(os.fsdecode(row["path"])), row["part"]) for row in table.to_pylist() if row["reason"] is None and row["part"] in finished
        ]
        db.executemany("DELETE FROM refused WHERE name IN (?, ?) AND part < ?", again)


def pace(dataset: Path) -> Pace | None:
    """How fast parts were committed lately, from the times of their records; None where there are none."""
    entries = [entry for entry in files.entries(dataset / "shards") if entry.name.endswith(".json")]
    if not entries:
        return None
    entries.sort(key=lambda entry: entry.mtime_ns)
    start = max((i for i in range(1, len(entries)) if entries[i].mtime_ns - entries[i - 1].mtime_ns > PAUSE_S * 1e9), default=0)
    recent = entries[start:][-200:]
    elapsed_s = (recent[-1].mtime_ns - recent[0].mtime_ns) / 1e9
    hours = sum(load_record(dataset / "shards" / entry.name).duration_s for entry in recent[1:]) / 3600
    rate = hours / (elapsed_s / 3600) if elapsed_s > 0 else None
    return Pace(entries[0].mtime_ns, entries[-1].mtime_ns, rate)


def age_s(nanoseconds: int) -> float:
    """Seconds since a time in ns."""
    return time.time() - nanoseconds / 1e9
