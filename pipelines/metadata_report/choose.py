"""Which utterances a report shows: some of every speaker, and those at the ends of every score."""

# pyarrow makes its compute functions when it is imported, where pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.metadata_tables.statistics import PERSON, Score, with_person

NUM_SAMPLES = 12
NUM_EXTREMES = 4
SHORTEST_S, LONGEST_S = 1.0, 15.0


@dataclass(frozen=True)
class Extremes:
    """Row numbers with the `lowest` and the `highest` values of a score, the most extreme first."""

    score: Score
    lowest: tuple[int, ...]
    highest: tuple[int, ...]


def choose_rows(rows: pa.Table, seed: int, num: int = NUM_SAMPLES) -> list[int]:
    """Row numbers of `num` utterances: as many speakers as there are, then a second of each, and so on; of listenable length where there are such."""
    candidates = _listenable(rows, seed)
    turn = _turns(rows, candidates)
    return sorted(candidates[np.argsort(turn, kind="stable")][:num].tolist())


def choose_of_each_speaker(rows: pa.Table, seed: int, each: int) -> dict[str, list[int]]:
    """Up to `each` row numbers for every speaker that has an utterance of listenable length, by PERSON."""
    candidates = _listenable(rows, seed)
    chosen = candidates[_turns(rows, candidates) < each]
    found: dict[str, list[int]] = {}
    for row, person in zip(chosen.tolist(), rows[PERSON].take(pa.array(chosen)).to_pylist(), strict=True):
        found.setdefault(person, []).append(row)
    return found


def _listenable(rows: pa.Table, seed: int) -> NDArray[np.int64]:
    """Row numbers in a random order: those that are neither too short nor too long to listen to, or all where there is none such."""
    duration_s = rows["duration_s"].to_numpy()
    listenable = np.flatnonzero((duration_s >= SHORTEST_S) & (duration_s <= LONGEST_S))
    return np.random.default_rng(seed).permutation(listenable if len(listenable) else rows.num_rows).astype(np.int64)


def _turns(rows: pa.Table, candidates: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each candidate how many of its speaker come before it."""
    people = (rows if PERSON in rows.column_names else with_person(rows))[PERSON].combine_chunks()
    speakers = people.dictionary_encode().indices.to_numpy()[candidates]
    order = np.argsort(speakers, kind="stable")
    starts = np.searchsorted(speakers[order], speakers[order], side="left")
    turn = np.empty(len(candidates), dtype=np.int64)
    turn[order] = np.arange(len(order)) - starts
    return turn


def choose_extremes(scores: Sequence[Score], each: int = NUM_EXTREMES) -> list[Extremes]:
    """The ends of every score that has two values or more."""
    found = []
    for score in scores:
        rows = np.flatnonzero(np.isfinite(score.values))
        if len(rows) and score.values[rows].min() < score.values[rows].max():
            lowest, highest = _least(score.values, rows, each), _least(-score.values, rows, each)
            found.append(Extremes(score, lowest, tuple(row for row in highest if row not in lowest)))
    return found


def _least(values: NDArray[np.float64], rows: NDArray[np.int64], num: int) -> tuple[int, ...]:
    """The rows with the `num` least values, the least first, earlier rows first among equals."""
    bound = np.partition(values[rows], min(num, len(rows)) - 1)[min(num, len(rows)) - 1]
    near = rows[values[rows] <= bound]
    return tuple(near[np.argsort(values[near], kind="stable")][:num].tolist())


def join_people(rows: pa.Table) -> pa.ChunkedArray:
    """PERSON of a table of speakers (columns `group`, `speaker`)."""
    return pc.binary_join_element_wise(rows["group"], rows["speaker"], "\0")
