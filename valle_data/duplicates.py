"""Which utterances of a corpus are copies of each other, found in better than quadratic time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from valle_data.fingerprint import DIMENSION, SHAPE_DIMENSION

NUM_TABLES = 16
MIN_BITS, MAX_BITS = 8, 24
NEIGHBOURS = 64
CHUNK_ROWS = 1 << 16


@dataclass(frozen=True, eq=False)
class Duplicates:
    """`groups` `[n]` int64: for each utterance the index of the first that it is a copy of, its own where it is the first or the only one.

    `similarity` `[n]` float32 is 1 for equal hashes, 0 for an utterance without a copy, and else the larger of its similarities to copies.
    """

    groups: NDArray[np.int64]
    similarity: NDArray[np.float32]


def find_duplicates(
    vectors: NDArray[np.floating],
    active_s: NDArray[np.floating],
    hashes: Sequence[str | None],
    *,
    min_shape: float = 0.95,
    min_pitch: float = 0.9,
    tolerance_s: float = 0.02,
    relative_tolerance: float = 0.002,
) -> Duplicates:
    """Groups of equal or nearly equal utterances, from the scores and vectors of the stage `fingerprint`: `[n, 256]`, `[n]` and n.

    Equal hashes are copies. So are utterances whose shapes and pitches have cosines of `min_shape` and `min_pitch` or more and that sound for the same time,
    up to `tolerance_s` and a share of the time; one without a finite vector and time has copies by its hash alone. Copies of copies are one group.

    Candidates are those with equal signs of projections on random hyperplanes (Charikar, "Similarity estimation techniques from rounding algorithms", 2002)
    in one of 16 tables, log2(n) planes each, compared with up to 64 neighbours in the order of their times. That is n log n work; a pair at
    cosine 0.985, the farthest that a codec took a copy in our measurements, is missed by all tables with probability 0.0005 for n = 65,536 and 0.009 at the
    most planes, 24. The planes are always the same.
    """
    if not len(vectors) == len(active_s) == len(hashes):
        raise ValueError(f"There is one of each for an utterance; there are {len(vectors)} vectors, {len(active_s)} times and {len(hashes)} hashes.")
    if len(vectors) and vectors.shape[1:] != (DIMENSION,):
        raise ValueError(f"Fingerprints are [n, {DIMENSION}]; these have shape {list(vectors.shape)}.")
    groups = _Groups(len(vectors))
    first_of: dict[str, int] = {}
    for index, name in enumerate(hashes):
        first = first_of.setdefault(name, index) if name is not None else index
        if first != index:
            groups.join(np.array([first]), np.array([index]), np.ones(1, np.float32))
    usable = np.isfinite(vectors.sum(axis=1, dtype=np.float64)) & np.isfinite(active_s) if len(vectors) else np.zeros(0, bool)
    rows = np.flatnonzero(usable & (groups.parents == np.arange(len(vectors))))
    times = np.asarray(active_s, np.float64)
    tolerances = tolerance_s + relative_tolerance * times
    for codes in _codes(vectors, rows):
        for left, right in _candidates(codes, rows, times, tolerances):
            shape, pitch = _cosines(vectors, left, right)
            copies = (shape >= min_shape) & (pitch >= min_pitch)
            groups.join(left[copies], right[copies], np.minimum(shape, pitch)[copies])
    return groups.done()


class _Groups:
    """Union-find in which the smallest index of a group is its root."""

    def __init__(self, count: int) -> None:
        self.parents = np.arange(count, dtype=np.int64)
        self.similarity = np.zeros(count, np.float32)

    def root(self, index: int) -> int:
        while self.parents[index] != index:
            self.parents[index] = self.parents[self.parents[index]]
            index = int(self.parents[index])
        return index

    def join(self, left: NDArray[np.int64], right: NDArray[np.int64], similarity: NDArray[np.float32]) -> None:
        np.maximum.at(self.similarity, left, similarity)
        np.maximum.at(self.similarity, right, similarity)
        for one, other in zip(left.tolist(), right.tolist(), strict=True):
            low, high = sorted((self.root(one), self.root(other)))
            self.parents[high] = low

    def done(self) -> Duplicates:
        return Duplicates(np.array([self.root(index) for index in range(len(self.parents))], np.int64), np.minimum(self.similarity, 1))


def _codes(vectors: NDArray[np.floating], rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """A number `[rows]` for the signs of each row's shape on the planes of each table."""
    num_bits = int(np.clip(np.ceil(np.log2(max(len(rows), 1) + 1)), MIN_BITS, MAX_BITS))
    rng = np.random.Generator(np.random.Philox(0))
    for _ in range(NUM_TABLES):
        planes = rng.standard_normal((SHAPE_DIMENSION, MAX_BITS), np.float32)[:, :num_bits]
        codes = np.zeros(len(rows), np.int64)
        for start in range(0, len(rows), CHUNK_ROWS):
            chunk = np.asarray(vectors[rows[start : start + CHUNK_ROWS], :SHAPE_DIMENSION], np.float32)
            codes[start : start + CHUNK_ROWS] = (chunk @ planes > 0) @ (1 << np.arange(num_bits))
        yield codes


def _candidates(
    codes: NDArray[np.int64], rows: NDArray[np.int64], times: NDArray[np.float64], tolerances: NDArray[np.float64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs of equal codes whose times agree, as two arrays of indices."""
    order = np.lexsort((times[rows], codes))
    codes, ordered = codes[order], rows[order]
    places = np.arange(len(ordered))
    for distance in range(1, NEIGHBOURS + 1):
        places = places[places + distance < len(ordered)]
        left, right = ordered[places], ordered[places + distance]
        near = (codes[places] == codes[places + distance]) & (times[right] - times[left] <= tolerances[right])
        places = places[near]  # a neighbour that is too far has none beyond it
        if not len(places):
            return
        for start in range(0, len(places), CHUNK_ROWS):
            yield left[near][start : start + CHUNK_ROWS], right[near][start : start + CHUNK_ROWS]


def _cosines(vectors: NDArray[np.floating], left: NDArray[np.int64], right: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of the shapes and of the pitches of pairs."""
    products = np.asarray(vectors[left], np.float32) * np.asarray(vectors[right], np.float32)
    return products[:, :SHAPE_DIMENSION].sum(axis=1), products[:, SHAPE_DIMENSION:].sum(axis=1)
