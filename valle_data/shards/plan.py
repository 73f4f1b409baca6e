"""The plan of a data set: which utterance goes into which part, written down before work begins.

A killed run finds its plan again, so its parts come out as they would have; a later run over more recordings appends a plan of its own.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from valle_data import files
from valle_data.errors import InputError, ReasonCode
from valle_data.records import AudioRef, PlannedUtterance, Rejection, Utterance
from valle_data.shards.base import part_name, quarantine_path
from valle_data.shards.index import decode_table, encode_table, printable

FOLDER = "plan"
PLAN_SCHEMA = pa.schema(
    [
        pa.field("part", pa.int32(), nullable=False),
        pa.field("input_hash", pa.string(), nullable=False),
        pa.field("utt_id", pa.string()),
        pa.field("path", pa.binary(), nullable=False),
        pa.field("start_s", pa.float64()),
        pa.field("stretch_s", pa.float64()),
        pa.field("channel", pa.int32()),
        pa.field("text", pa.string()),
        pa.field("speaker", pa.string()),
        pa.field("group", pa.string()),
        pa.field("language", pa.string()),
        pa.field("extra", pa.string()),
        pa.field("source_digest", pa.string()),
        pa.field("sample_rate_hz", pa.int32()),
        pa.field("duration_s", pa.float64()),
        pa.field("fingerprint", pa.string(), nullable=False),
        pa.field("stage", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("message", pa.string()),
    ]
)


@dataclass(frozen=True)
class PlannedPart:
    """One unit of work, retry and commit. `rejections` are known before any work: what the listing or the planner refused."""

    part: int
    utterances: tuple[PlannedUtterance, ...]
    rejections: tuple[Rejection, ...] = ()

    @property
    def duration_s(self) -> float:
        return sum(planned.duration_s for planned in self.utterances)

    @property
    def input_hash(self) -> str:
        """sha256 over everything that goes in: fingerprints and names of the utterances, and the rejections."""
        rows = [[p.utterance.id, p.fingerprint, p.utterance.speaker, p.utterance.group] for p in self.utterances]
        rejected = [[r.utterance, r.path, r.stage, str(r.reason), printable(r.message), r.fingerprint] for r in self.rejections]
        return hashlib.sha256(json.dumps([sorted(rows), sorted(rejected, key=json.dumps)]).encode()).hexdigest()

    def part_id(self, config_hash: str) -> str:
        """What the part is made of and how: its input and the configuration, codec weights and phonemizer version included."""
        return hashlib.sha256(f"{self.input_hash} {config_hash}".encode()).hexdigest()


@dataclass(frozen=True)
class Kept:
    """An utterance as it was planned."""

    part: int
    digest: str
    audio: AudioRef
    text: str
    language: str


@dataclass
class Known:
    """What earlier plans and runs have dealt with.

    `kept` holds every utterance that was planned and not refused, `rejected` the fingerprints under which something was refused for itself and
    `duplicates` those refused for the sake of another, which may change; `parts` are the numbers taken.
    """

    kept: dict[str, Kept] = field(default_factory=dict)
    rejected: set[str] = field(default_factory=set)
    duplicates: set[str] = field(default_factory=set)
    parts: set[int] = field(default_factory=set)

    @property
    def next_part(self) -> int:
        return max(self.parts, default=-1) + 1

    def first_paths(self) -> dict[tuple[str, float, float, int], str]:
        """Content of every kept stretch -> path of its recording."""
        return {content_key(kept.digest, kept.audio): kept.audio.path for kept in self.kept.values()}

    def refuse(self, utterance: str | None, part: int, fingerprint: str, reason: str) -> None:
        """An utterance was refused when its part was planned or made. It counts as new once its fingerprint changes, or the other of a pair is gone."""
        (self.duplicates if reason == ReasonCode.DUPLICATE_AUDIO else self.rejected).add(fingerprint)
        if utterance is not None and utterance in self.kept and self.kept[utterance].part == part:
            del self.kept[utterance]


def content_key(digest: str, audio: AudioRef) -> tuple[str, float, float, int]:
    """Equal for two stretches of the same sound: digest, start, duration (-1: to the end), channel (-1: all)."""
    return digest, audio.start_s, -1.0 if audio.duration_s is None else audio.duration_s, -1 if audio.channel is None else audio.channel


def plan_paths(dataset: Path) -> list[Path]:
    return sorted((dataset / FOLDER).glob("plan-*.parquet"))


def save_plan(dataset: Path, parts: Sequence[PlannedPart]) -> None:
    """Append a plan, named by its first part."""
    rows = [row for part in parts for row in _rows(part)]
    files.write_atomically(dataset / FOLDER / f"plan-{parts[0].part:06d}.parquet", encode_table(pa.Table.from_pylist(rows, schema=PLAN_SCHEMA)))


def _rows(part: PlannedPart) -> list[dict[str, Any]]:
    shared = {"part": part.part, "input_hash": part.input_hash}
    rows: list[dict[str, Any]] = [{**shared, **_utterance_row(planned)} for planned in part.utterances]
    for r in part.rejections:
        rows.append(
            {
                **shared,
                "utt_id": r.utterance,
                "path": os.fsencode(r.path),
                "fingerprint": r.fingerprint,
                "stage": r.stage,
                "reason": str(r.reason),
                "message": printable(r.message),
            }
        )
    return rows


def _utterance_row(planned: PlannedUtterance) -> dict[str, Any]:
    utterance, audio = planned.utterance, planned.utterance.audio
    return {
        "utt_id": utterance.id,
        "path": os.fsencode(audio.path),
        "start_s": audio.start_s,
        "stretch_s": audio.duration_s,
        "channel": audio.channel,
        "text": utterance.text,
        "speaker": utterance.speaker,
        "group": utterance.group,
        "language": utterance.language,
        "extra": json.dumps(dict(utterance.extra), sort_keys=True),
        "source_digest": planned.source_digest,
        "sample_rate_hz": planned.sample_rate_hz,
        "duration_s": planned.duration_s,
        "fingerprint": planned.fingerprint,
    }


def _read(path: Path) -> pa.Table:
    return decode_table(files.read(path), path=path, schema=PLAN_SCHEMA)


def load_parts(dataset: Path, without: set[int]) -> list[PlannedPart]:
    """The planned parts whose numbers are not in `without`, verified."""
    parts: list[PlannedPart] = []
    for path in plan_paths(dataset):
        table = _read(path)
        table = table.filter(pa.array(~np.isin(table["part"].to_numpy(), list(without))))
        by_part: dict[int, list[dict[str, Any]]] = {}
        for row in table.to_pylist():
            by_part.setdefault(row["part"], []).append(row)
        parts += [_part(path, number, rows) for number, rows in sorted(by_part.items())]
    return parts


def withdraw(dataset: Path, parts: set[int]) -> None:
    """Forget plans of parts that are not committed, and what killed workers left of those parts. Only for the holder of the lock."""
    for path in plan_paths(dataset):
        table = _read(path)
        withdrawn = np.isin(table["part"].to_numpy(), list(parts))
        if withdrawn.any():
            files.write_atomically(path, encode_table(table.filter(pa.array(~withdrawn))))
    for part in parts:
        for leftover in (*(dataset / "shards").glob(f"{part_name(part)}.*"), quarantine_path(dataset, part)):
            files.discard(leftover)


def _part(path: Path, number: int, rows: list[dict[str, Any]]) -> PlannedPart:
    utterances = tuple(_planned(row) for row in rows if row["reason"] is None)
    rejections = tuple(
        Rejection(row["utt_id"], os.fsdecode(row["path"]), row["stage"], ReasonCode(row["reason"]), row["message"], row["fingerprint"])
        for row in rows
        if row["reason"] is not None
    )
    part = PlannedPart(number, utterances, rejections)
    if part.input_hash != rows[0]["input_hash"]:
        raise InputError(ReasonCode.CORRUPT_SHARD, f"{path}: part {number} does not match its hash. Prepare into a new folder, or restore the file.")
    return part


def _planned(row: dict[str, Any]) -> PlannedUtterance:
    audio = AudioRef(os.fsdecode(row["path"]), row["start_s"], row["stretch_s"], row["channel"])
    utterance = Utterance(row["utt_id"], audio, row["text"], row["speaker"], row["group"], row["language"], json.loads(row["extra"]))
    return PlannedUtterance(utterance, row["source_digest"], row["sample_rate_hz"], row["duration_s"], row["fingerprint"])


def known_from_plans(dataset: Path) -> Known:
    """What the plans say; what workers refused afterwards is still among the planned."""
    known = Known()
    for path in plan_paths(dataset):
        for row in _read(path).to_pylist():
            known.parts.add(row["part"])
            if row["reason"] is None:
                audio = AudioRef(os.fsdecode(row["path"]), row["start_s"], row["stretch_s"], row["channel"])
                known.kept[row["utt_id"]] = Kept(row["part"], row["source_digest"], audio, row["text"], row["language"])
            else:
                known.refuse(None, row["part"], row["fingerprint"], row["reason"])
    return known
