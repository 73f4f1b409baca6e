"""The plan of a data set: which utterance goes into which part, written down before work begins.

`plan/plan-000000-000127.parquet` holds the parts 0 to 127. A killed run finds its plan again, so its parts come out as they would have; what is new in the
corpus is planned behind it. Only the files with unfinished parts are ever read to resume.
"""

import hashlib
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from valle_data import files
from valle_data.errors import InputError, ReasonCode
from valle_data.records import AudioRef, PlannedUtterance, Rejection, Utterance
from valle_data.shards.base import SHARD_NAME, part_name, quarantine_path
from valle_data.shards.index import decode_table, encode_table, printable

FOLDER = "plan"
PARTS_PER_FILE, UTTERANCES_PER_FILE = 128, 8192
"""A file of the plan is closed when it has so many of either: what is planned and not yet written down is all that planning holds in memory."""
_FILE_NAME = re.compile(r"plan-(\d{6,})-(\d{6,})\.parquet")
PLAN_SCHEMA = pa.schema(
    [
        pa.field("part", pa.int32(), nullable=False),
        pa.field("input_hash", pa.string(), nullable=False),
        pa.field("utt_id", pa.string()),
        pa.field("path", pa.binary(), nullable=False),
        pa.field("start_s", pa.float64()),
        pa.field("stretch_s", pa.float64()),
        pa.field("channel", pa.int32()),
        pa.field("offset", pa.int64()),
        pa.field("nbytes", pa.int64()),
        pa.field("text", pa.string()),
        pa.field("speaker", pa.string()),
        pa.field("group", pa.string()),
        pa.field("language", pa.string()),
        pa.field("extra", pa.string()),
        pa.field("corpus", pa.string()),
        pa.field("source_digest", pa.string()),
        pa.field("sample_rate_hz", pa.int32()),
        pa.field("duration_s", pa.float64()),
        pa.field("begin_margin_s", pa.float64()),
        pa.field("end_margin_s", pa.float64()),
        pa.field("listed_id", pa.string()),
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
class PlanFile:
    """A file of the plan and the numbers of the parts in it, both ends included; a withdrawn part leaves a gap."""

    path: Path
    first: int
    last: int

    def rows(self) -> pa.Table:
        return decode_table(files.read(self.path), path=self.path, schema=PLAN_SCHEMA)


def plan_files(dataset: Path) -> list[PlanFile]:
    """The files of the plan by their first part; nothing is opened."""
    names = [(name, _FILE_NAME.fullmatch(name)) for name in files.names(dataset / FOLDER)]
    return sorted((PlanFile(dataset / FOLDER / name, int(found[1]), int(found[2])) for name, found in names if found), key=lambda file: file.first)


def committed_numbers(dataset: Path) -> set[int]:
    """Numbers of the parts that have a commit record, from the names alone."""
    found = (SHARD_NAME.fullmatch(name) for name in files.names(dataset / "shards") if name.endswith(".json"))
    return {int(name[1]) for name in found if name}


def content_key(digest: str, audio: AudioRef) -> tuple[str, float, float, int]:
    """Equal for two stretches of the same sound: digest, start, duration (-1: to the end), channel (-1: all)."""
    return digest, audio.start_s, -1.0 if audio.duration_s is None else audio.duration_s, -1 if audio.channel is None else audio.channel


def save_plan(dataset: Path, parts: Sequence[PlannedPart]) -> None:
    """Write consecutive parts down, durably."""
    rows = [row for part in parts for row in _rows(part)]
    path = dataset / FOLDER / f"plan-{parts[0].part:06d}-{parts[-1].part:06d}.parquet"
    files.write_atomically(path, encode_table(pa.Table.from_pylist(rows, schema=PLAN_SCHEMA)))


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
        "offset": audio.offset,
        "nbytes": audio.nbytes,
        "text": utterance.text,
        "speaker": utterance.speaker,
        "group": utterance.group,
        "language": utterance.language,
        "extra": json.dumps(dict(utterance.extra), sort_keys=True),
        "corpus": utterance.corpus,
        "source_digest": planned.source_digest,
        "sample_rate_hz": planned.sample_rate_hz,
        "duration_s": planned.duration_s,
        "begin_margin_s": planned.begin_margin_s,
        "end_margin_s": planned.end_margin_s,
        "listed_id": planned.listed_id,
        "fingerprint": planned.fingerprint,
    }


def unfinished_parts(dataset: Path, committed: Collection[int]) -> Iterator[PlannedPart]:
    """The planned parts whose numbers are not in `committed`, in order, verified; a file of the plan is read when it is needed."""
    for file in plan_files(dataset):
        if all(number in committed for number in range(file.first, file.last + 1)):
            continue
        table = file.rows()
        table = table.filter(pa.array(~np.isin(table["part"].to_numpy(), list(committed))))
        by_part: dict[int, list[dict[str, Any]]] = {}
        for row in table.to_pylist():
            by_part.setdefault(row["part"], []).append(row)
        for number, rows in sorted(by_part.items()):
            yield _part(file.path, number, rows)


def planned_part(dataset: Path, number: int) -> PlannedPart | None:
    """The part of that number as it was planned, verified; None where no plan has it."""
    for file in plan_files(dataset):
        if file.first <= number <= file.last:
            table = file.rows()
            rows = table.filter(pa.array(table["part"].to_numpy() == number)).to_pylist()
            if rows:
                return _part(file.path, number, rows)
    return None


def withdraw(dataset: Path, parts: Collection[int]) -> None:
    """Forget plans of parts that are not committed, and what killed workers left of those parts. Only for the holder of the lock."""
    for file in plan_files(dataset):
        if not any(file.first <= number <= file.last for number in parts):
            continue
        table = file.rows()
        withdrawn = np.isin(table["part"].to_numpy(), list(parts))
        if withdrawn.all():
            files.discard(file.path)
        elif withdrawn.any():
            files.write_atomically(file.path, encode_table(table.filter(pa.array(~withdrawn))))
    names = {part_name(number) for number in parts}
    for folder in ("shards", "vectors"):
        for name in files.names(dataset / folder):
            if name.partition(".")[0] in names:
                files.discard(dataset / folder / name)
    for number in parts:
        files.discard(quarantine_path(dataset, number))


def _part(path: Path, number: int, rows: Iterable[dict[str, Any]]) -> PlannedPart:
    rows = list(rows)
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


def planned_utterance(row: dict[str, Any]) -> Utterance:
    """The utterance in a row of the plan."""
    audio = AudioRef(os.fsdecode(row["path"]), row["start_s"], row["stretch_s"], row["channel"], row["offset"], row["nbytes"])
    return Utterance(row["utt_id"], audio, row["text"], row["speaker"], row["group"], row["language"], json.loads(row["extra"]), row["corpus"])


def _planned(row: dict[str, Any]) -> PlannedUtterance:
    return PlannedUtterance(
        utterance=planned_utterance(row),
        source_digest=row["source_digest"],
        sample_rate_hz=row["sample_rate_hz"],
        duration_s=row["duration_s"],
        fingerprint=row["fingerprint"],
        begin_margin_s=row["begin_margin_s"],
        end_margin_s=row["end_margin_s"],
        listed_id=row["listed_id"],
    )
