"""Data sets whose results are taken over (`valle prepare --reuse`): which of their parts have what a part needs, and the reading of it.

The run writes an index of all their planned utterances into an SQLite file once; workers look up in it what their part needs.
"""

import sqlite3
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from pipelines.catalog import sound_key
from pipelines.scratch import told_plainly
from valle_data import files
from valle_data.errors import UsageError
from valle_data.records import CodedUtterance, PlannedUtterance
from valle_data.shards.base import record_path
from valle_data.shards.commit import read_quarantine, read_vectors
from valle_data.shards.describe import restore
from valle_data.shards.manifest import DatasetManifest
from valle_data.shards.plan import committed_numbers, plan_files, planned_utterance
from valle_data.shards.record import load_record, shard_format
from valle_data.stages.reuse import Donation, Recipe, offered, recipes
from valle_data.stores.remote_path import RemotePath

INDEX_NAME = ".tmp-reuse.sqlite"
PARTS_HELD = 4


@dataclass(frozen=True)
class DonorPart:
    """All that a part of another data set has: utterances by the id they were planned under, and the fingerprints of those of which something was refused."""

    made: dict[str, dict[str, CodedUtterance]]
    refused: frozenset[str]


def write_index(path: Path, datasets: Sequence[Path]) -> int:
    """Write down what the data sets have, where `path` is; returns how many utterances. What several have is taken from the first."""
    if isinstance(path, RemotePath):
        raise UsageError("`--reuse` needs an output folder that workers see as files; an object store is none. Prepare locally and copy, or leave it out.")
    path.unlink(missing_ok=True)
    with told_plainly(str(path)), closing(sqlite3.connect(path, isolation_level=None)) as db:
        for pragma in ("journal_mode = OFF", "synchronous = OFF"):
            db.execute(f"PRAGMA {pragma}")
        db.execute("CREATE TABLE has (id TEXT PRIMARY KEY, fingerprint TEXT, sound TEXT, speaker TEXT, dataset INT, part INT) WITHOUT ROWID")
        db.execute("BEGIN")
        for number, dataset in enumerate(datasets):
            DatasetManifest.load(dataset)
            finished = committed_numbers(dataset)
            for file in plan_files(dataset):
                rows = [row for row in file.rows().to_pylist() if row["reason"] is None and row["part"] in finished]
                sounds = [sound_key(row["source_digest"], planned_utterance(row).audio) for row in rows]
                values = [(row["utt_id"], row["fingerprint"], sound, row["speaker"], number, row["part"]) for row, sound in zip(rows, sounds, strict=True)]
                # Of one data set the last part counts: what was refused in another and tried again.
                query = "INSERT INTO has VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET part = excluded.part, fingerprint = excluded.fingerprint"
                db.executemany(f"{query}, sound = excluded.sound, speaker = excluded.speaker WHERE dataset = excluded.dataset", values)
        db.execute("COMMIT")
        return db.execute("SELECT count(*) FROM has").fetchone()[0]


class Donors:
    """What a worker asks: the donations for a part that is made by the stages of `manifest`."""

    def __init__(self, index: Path, datasets: Sequence[Path], manifest: DatasetManifest) -> None:
        self._index = index
        self._datasets = list(datasets)
        self._order = list(manifest.stages)
        self._ours = recipes(manifest)
        self._theirs: list[dict[str, Recipe]] = [recipes(DatasetManifest.load(dataset)) for dataset in datasets]
        self._part = lru_cache(PARTS_HELD)(self._read_part)

    def donations(self, utterances: Collection[PlannedUtterance]) -> dict[str, Donation]:
        """By the id of the planned utterance; those that nobody has are left out."""
        found: dict[str, Donation] = {}
        with closing(sqlite3.connect(f"{self._index.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as db:
            for planned in utterances:
                row = db.execute("SELECT fingerprint, sound, speaker, dataset, part FROM has WHERE id = ?", (planned.utterance.id,)).fetchone()
                if row is not None and row[1] == sound_key(planned.source_digest, planned.utterance.audio):
                    donation = self._donation(planned, same_text=row[0] == planned.fingerprint, speaker=row[2], dataset=row[3], part=row[4])
                    if donation is not None:
                        found[planned.utterance.id] = donation
        return found

    def _donation(self, planned: PlannedUtterance, *, same_text: bool, speaker: str, dataset: int, part: int) -> Donation | None:
        held = self._part(dataset, part)
        made = held.made.get(planned.utterance.id)
        if not made:
            return None
        is_complete = planned.fingerprint not in held.refused
        stages = offered(self._order, self._ours, self._theirs[dataset], same_text=same_text, is_complete=is_complete)
        return Donation(made, stages, speaker) if stages else None

    def _read_part(self, number: int, part: int) -> DonorPart:
        dataset = self._datasets[number]
        record = load_record(record_path(dataset, part))
        path = dataset / "shards" / record.shard
        shard = shard_format(record)
        vectors = {side: read_vectors(dataset, record, side) for side in record.sides}
        by_id = {side: dict(zip(table["utt_id"].to_pylist(), table["vector"].to_pylist(), strict=True)) for side, table in vectors.items()}
        made: dict[str, dict[str, CodedUtterance]] = {}
        for sample in shard.read(files.read(path), path):
            coded = restore(sample, str(path))
            sides = {side: np.asarray(of[sample.id], dtype=np.float32) for side, of in by_id.items() if sample.id in of}
            made.setdefault(coded.planned_id or sample.id, {})[sample.id] = replace(coded, vectors=sides)
        refused = read_quarantine(dataset, record)["fingerprint"].to_pylist() if record.num_quarantined else []
        return DonorPart(made, frozenset(refused))
