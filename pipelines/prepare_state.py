"""What a data set folder holds so far, and where the corpus has moved on since."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from valle_data.records import AudioRef, Utterance
from valle_data.shards.base import record_path
from valle_data.shards.commit import CommitRecord, committed_parts, read_part_index, read_quarantine
from valle_data.shards.index import printable
from valle_data.shards.plan import Kept, Known, PlannedPart, known_from_plans, plan_paths
from valle_data.source import file_digest


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


def known(output: Path, committed: Sequence[CommitRecord]) -> Known:
    """What earlier runs have planned, and what workers refused of it."""
    known = known_from_plans(output)
    for record in committed:
        if record.part not in known.parts:  # its plan is gone
            _know_from_index(known, output, record)
        for row in read_quarantine(output, record).to_pylist():
            known.refuse(row["utt_id"], record.part, row["fingerprint"], row["reason"])
    return known


def _know_from_index(known: Known, output: Path, record: CommitRecord) -> None:
    known.parts.add(record.part)
    for row in read_part_index(output, record).to_pylist():
        audio = AudioRef(row["source_uri"], row["start_s"], None, row["channel"])
        known.kept[row["utt_id"]] = Kept(record.part, row["source_digest"], audio, row["text"], row["language"])


def stale_parts(output: Path, parts: Sequence[PlannedPart], utterances: Iterable[Utterance]) -> set[int]:
    """Those of the planned `parts` of which an utterance is no longer in the corpus as it was planned."""
    listed = {utterance.id: utterance for utterance in utterances}
    digest = cache(file_digest)
    planned_ns = min((path.stat().st_mtime_ns for path in plan_paths(output)), default=0)
    return {
        part.part
        for part in parts
        for planned in part.utterances
        if listed.get(planned.utterance.id) != planned.utterance or _has_changed(planned.utterance.audio.path, planned.source_digest, planned_ns, digest)
    }


@dataclass(frozen=True)
class Change:
    """A committed utterance whose text, language or recording is another one now."""

    path: str
    part: int


def changes(output: Path, known: Known, committed: Sequence[CommitRecord], utterances: Iterable[Utterance]) -> list[Change]:
    """Committed utterances that the corpus has otherwise today; recordings are read again where they are younger than the commit."""
    committed_ns = {record.part: record_path(output, record.part).stat().st_mtime_ns for record in committed}
    digest, found = cache(file_digest), []
    for utterance in utterances:
        kept = known.kept.get(utterance.id)
        if kept is None or kept.part not in committed_ns:
            continue
        is_reworded = (kept.text, kept.language) != (utterance.text, utterance.language)
        if is_reworded or _has_changed(utterance.audio.path, kept.digest, committed_ns[kept.part], digest):
            found.append(Change(utterance.audio.path, kept.part))
    return found


def _has_changed(path: str, before: str, since_ns: int, digest: Callable[[str], str]) -> bool:
    """Whether a file written after `since_ns` has another content; one that cannot be read is for the planner or a worker to report."""
    try:
        return os.stat(path).st_mtime_ns >= since_ns and digest(path) != before
    except OSError:
        return False


def summarize(output: Path) -> Summary:
    """Counts over all committed parts. What was quarantined and later prepared counts as prepared, what was refused twice counts once."""
    records = committed_parts(output)
    numbers = {record.part for record in records}
    prepared = {name: printable(kept.audio.path) for name, kept in known(output, records).kept.items() if kept.part in numbers}
    paths = set(prepared.values())
    reasons: dict[str, str] = {}
    for record in records:
        for row in read_quarantine(output, record).to_pylist():
            name, path = row["utt_id"], row["path"]
            if not (path in paths if name is None else name in prepared):
                reasons[name or path] = row["reason"]
    return Summary(
        num_parts=len(records),
        num_utterances=sum(record.num_utterances for record in records),
        duration_s=sum(record.duration_s for record in records),
        num_quarantined=len(reasons),
        reasons=dict(sorted(Counter(reasons.values()).items())),
    )
