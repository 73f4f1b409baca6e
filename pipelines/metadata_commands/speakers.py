"""`valle metadata speakers`: who speaks, found by clustering the voices of utterances. The shards stay as they are; a merge lays the result over them."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.console import Console
from pipelines.metadata import holding
from pipelines.metadata_tables.rows import read_rows
from pipelines.metadata_tables.vectors import gather_vectors
from pipelines.metadata_tables.write import FOLDER, write_table
from valle_data import attribution
from valle_data.errors import ExitCode, UsageError
from valle_data.shards.manifest import DatasetManifest
from valle_data.shards.record import committed_parts

MOST_SHOWN = 20
DEFAULT_THRESHOLD = 0.75


def run(
    dataset: Path,
    *,
    console: Console,
    threshold: float | None = None,
    num_speakers: int | None = None,
    side: str = "speaker",
    where: str | None = None,
    take_over: bool = False,
) -> ExitCode:
    """Write `metadata/speaker_attribution.parquet` for the utterances of which `where` is true: a voice, the cosine to its centre, and the margin.

    `where` sees the speakers that the corpus names, not those of an earlier attribution. Voices are numbered by their hours. Raises as `similar` does, and
    UsageError for both a threshold and a number, or one that cannot be.
    """
    from valle_data.clustering import cluster_speakers

    if threshold is not None and num_speakers is not None:
        raise UsageError("Voices are told apart by --threshold or by --num-speakers: give one of the two.")
    manifest = DatasetManifest.load(dataset)
    records = committed_parts(dataset)
    path = dataset / FOLDER / attribution.NAME
    with holding(dataset, console, take_over), console.progress(2 * len(records), "Reading", "parts read") as progress:
        columns = ["part", "speaker", "duration_s"]
        chosen = read_rows(dataset, manifest, records, columns, where=where, attributed=False, seen=lambda record, table: progress.advance())
        vectors = gather_vectors(dataset, records, chosen.rows, side, progress.advance)
        console.info(f"Clustering {len(vectors.rows):,} vectors.")
        if threshold is None and num_speakers is None:
            threshold = DEFAULT_THRESHOLD
        found = cluster_speakers(vectors.values, threshold=threshold, num_speakers=num_speakers)
        placed = np.flatnonzero(found.labels >= 0)
        rows = chosen.rows.take(pa.array(vectors.rows[placed]))
        labels, scores = by_hours(found.labels[placed], rows["duration_s"].to_numpy()), found.scores[placed]
        names = pa.array([name_of(label) for label in labels.tolist()], pa.string())
        columns = [rows["utt_id"], names, pa.array(scores, pa.float32()), pa.array(found.margins[placed], pa.float32())]
        write_table(dataset, attribution.NAME, attribution.SCHEMA, [pa.table(columns, schema=attribution.SCHEMA)])
    _show(console, path, dataset, rows, labels, scores)
    return ExitCode.DONE


def name_of(label: int) -> str:
    return f"voice-{label:05d}"


def by_hours(labels: NDArray[np.int64], duration_s: NDArray[np.floating]) -> NDArray[np.int64]:
    """Labels numbered anew from 1, those with most speech first, and among equals those that came first."""
    found, inverse = np.unique(labels, return_inverse=True)
    rank = np.empty(len(found), dtype=np.int64)
    rank[np.argsort(-np.bincount(inverse, weights=duration_s, minlength=len(found)), kind="stable")] = np.arange(1, len(found) + 1)
    return rank[inverse]


def _show(console: Console, path: Path, dataset: Path, rows: pa.Table, labels: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
    num_voices = int(labels.max(initial=0))
    duration_s, before = rows["duration_s"].to_numpy(), np.array(rows["speaker"].to_pylist(), dtype=object)
    shown = []
    for label in range(1, min(num_voices, MOST_SHOWN) + 1):
        mine = labels == label
        named = ", ".join(f"{name or '(none)'} {count}" for name, count in Counter(before[mine].tolist()).most_common(3))
        shown.append((name_of(label), int(mine.sum()), round(float(duration_s[mine].sum()) / 3600, 4), round(float(scores[mine].mean()), 3), named))
    rest = f" ({num_voices - MOST_SHOWN:,} more are not shown)" if num_voices > MOST_SHOWN else ""
    console.table(f"Voices{rest}", ["speaker", "utterances", "hours", "mean cosine", "speakers before"], shown)
    text = f"{path}: {num_voices:,} voices in {len(labels):,} utterances. `valle metadata {dataset}` uses them; remove the file to go back."
    console.result({"file": str(path), "num_voices": num_voices, "num_utterances": len(labels)}, text)
