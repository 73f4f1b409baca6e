"""`valle metadata speakers`: who speaks, found by clustering the voices of utterances. The shards stay as they are; a merge lays the result over them."""

# pyarrow makes its compute functions when it is imported, where pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.console import Console
from pipelines.metadata import holding
from pipelines.metadata_tables import attribution
from pipelines.metadata_tables.rows import read_rows
from pipelines.metadata_tables.vectors import gather_vectors
from pipelines.metadata_tables.write import FOLDER
from valle_data import files
from valle_data.errors import ExitCode
from valle_data.shards.commit import committed_parts
from valle_data.shards.index import encode_table
from valle_data.shards.manifest import DatasetManifest

MOST_SHOWN = 20


def run(dataset: Path, *, console: Console, threshold: float = 0.75, side: str = "speaker", where: str | None = None, take_over: bool = False) -> ExitCode:
    """Write `metadata/speaker_attribution.parquet` for the utterances of which `where` is true: a speaker, and the cosine to the speaker's mean.

    `where` sees the speakers that the corpus names, not those of an earlier attribution. Voices are numbered by their hours. Raises as `similar` does.
    """
    manifest = DatasetManifest.load(dataset)
    records = committed_parts(dataset)
    path = dataset / FOLDER / attribution.NAME
    with holding(dataset, console, take_over), console.progress(2 * len(records), "Reading", "parts read") as progress:
        columns = ["part", "speaker", "duration_s"]
        chosen = read_rows(dataset, manifest, records, columns, where=where, attributed=False, seen=lambda record, table: progress.advance())
        vectors = gather_vectors(dataset, records, chosen.rows, side, progress.advance)
        console.info(f"Clustering {len(vectors.rows):,} vectors.")
        rows = chosen.rows.take(pa.array(vectors.rows))
        labels = _by_hours(_cluster(vectors.values, threshold), rows["duration_s"].to_numpy())
        scores = closeness(vectors.values, labels)
        names = pa.array([f"voice-{label:05d}" for label in labels.tolist()], pa.string())
        table = pa.table([rows["utt_id"], names, pa.array(scores, pa.float32())], schema=attribution.SCHEMA)
        files.write_atomically(path, encode_table(table))
    _show(console, path, dataset, rows, labels, scores)
    return ExitCode.DONE


def _cluster(vectors: NDArray[np.float16], threshold: float) -> NDArray[np.int64]:
    from valle_data.clustering import cluster_speakers

    return np.asarray(cluster_speakers(vectors, threshold=threshold), dtype=np.int64)


def _by_hours(labels: NDArray[np.int64], duration_s: NDArray[np.floating]) -> NDArray[np.int64]:
    """Labels numbered anew from 1, those with most speech first."""
    if not len(labels):
        return labels
    found, inverse = np.unique(labels, return_inverse=True)
    totals = np.bincount(inverse, weights=duration_s, minlength=len(found))
    rank = np.empty(len(found), dtype=np.int64)
    rank[np.argsort(-totals, kind="stable")] = np.arange(1, len(found) + 1)
    return rank[inverse]


def closeness(vectors: NDArray[np.float16], labels: NDArray[np.int64], block: int = 65_536) -> NDArray[np.float32]:
    """Cosine `[M]` of each vector `[M, D]` to the mean direction of those with its label (1, 2 ...)."""
    sums = np.zeros((int(labels.max(initial=0)) + 1, vectors.shape[1]))
    for first in range(0, len(labels), block):
        np.add.at(sums, labels[first : first + block], _unit(vectors[first : first + block]))
    means = _unit(sums)
    parts = [(_unit(vectors[at : at + block]) * means[labels[at : at + block]]).sum(axis=1) for at in range(0, len(labels), block)]
    return np.concatenate([np.zeros(0), *parts]).astype(np.float32)


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    wide = vectors.astype(np.float64)
    return wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)


def _show(console: Console, path: Path, dataset: Path, rows: pa.Table, labels: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
    found, counts = np.unique(labels, return_counts=True)
    named = dict(zip(found.tolist(), counts.tolist(), strict=True))
    hours = {label: float(pc.sum(rows["duration_s"].filter(pa.array(labels == label))).as_py() or 0.0) / 3600 for label in list(named)[:MOST_SHOWN]}
    before = rows["speaker"].to_pylist()
    shown = [
        (
            f"voice-{label:05d}",
            named[label],
            round(hours[label], 4),
            round(float(scores[labels == label].mean()), 3),
            ", ".join(name for name, _ in Counter(speaker for speaker, mine in zip(before, (labels == label).tolist(), strict=True) if mine).most_common(3)),
        )
        for label in hours
    ]
    console.table("Voices", ["speaker", "utterances", "hours", "mean cosine", "speakers before"], shown)
    text = f"{path}: {len(found):,} voices in {len(labels):,} utterances. `valle metadata {dataset}` uses them; remove the file to go back."
    console.result({"file": str(path), "num_voices": len(found), "num_utterances": len(labels)}, text)
