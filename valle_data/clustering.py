"""Who speaks in a corpus without speaker labels: utterances by their vectors, in memory that does not grow with their number."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from valle_data.errors import UsageError

Vectors = NDArray[np.float32]
BLOCK_SCORES = 1 << 23


@dataclass(frozen=True, eq=False)
class Clusters:
    """`labels` `[n]` int64 number the speakers found, 0 being that of the first utterance; -1 for rows that are not finite.

    `scores` `[n]` are the cosine to the centroid of the own speaker, `margins` `[n]` how far it lies above that of the nearest other one (above -1 where there
    is no other): an utterance with a small margin may be anybody's. Both are NaN for rows that are not finite. `centroids` `[k, D]` are unit vectors.
    """

    labels: NDArray[np.int64]
    scores: NDArray[np.float32]
    margins: NDArray[np.float32]
    centroids: Vectors

    @property
    def num_speakers(self) -> int:
        return len(self.centroids)


def cluster_speakers(
    vectors: NDArray[np.floating],
    *,
    threshold: float | None = None,
    num_speakers: int | None = None,
    sample_size: int = 3000,
    num_rounds: int = 5,
    seed: int = 0,
) -> Clusters:
    """Speakers of unit vectors `[n, D]` of any float type, either as many as lie under a similarity of `threshold` or `num_speakers` of them.

    Agglomerative clustering of a sample gives centroids: average linkage on cosines cut at `threshold` (Day and Edelsbrunner, 1984), or Ward's method (1963)
    cut into `num_speakers`. With a threshold, utterances that are like no centroid are sampled and clustered in turn, until all are placed, so that a
    speaker who is too rare for the first sample is found in a later one. Then `num_rounds` of spherical k-means over all (Dhillon and Modha, 2001). Memory
    beside `vectors` is that of `sample_size`^2 / 2 distances and of a block of scores; the same call gives the same result.
    """
    _check_call(vectors, threshold, num_speakers, sample_size)
    usable = np.flatnonzero(np.isfinite(vectors.sum(axis=1, dtype=np.float64)))
    labels = np.full(len(vectors), -1, np.int64)
    own, others = np.full(len(vectors), np.nan, np.float32), np.full(len(vectors), np.nan, np.float32)
    if not len(usable):
        return Clusters(labels, own, others, np.zeros((0, vectors.shape[1]), np.float32))
    rng = np.random.Generator(np.random.Philox(seed))
    if threshold is not None:
        centroids = _found_by_threshold(vectors, usable, threshold, sample_size, rng)
    else:
        assert num_speakers is not None, "checked"
        centroids = _found_by_number(vectors, usable, num_speakers, sample_size, rng)
    for _ in range(num_rounds):
        centroids = _means(vectors, usable, _nearest(vectors, usable, centroids).labels, len(centroids))
    nearest = _nearest(vectors, usable, centroids)
    kept, labels[usable] = _in_order(nearest.labels)
    own[usable], others[usable] = nearest.scores, nearest.scores - nearest.seconds
    return Clusters(labels, own, others, centroids[kept])


def purity(labels: NDArray[np.integer], truth: NDArray[np.integer]) -> float:
    """Share of utterances whose cluster is mostly of their own speaker (Manning et al., "Introduction to information retrieval", section 16.3)."""
    pairs = np.unique(np.stack([labels, truth], axis=1), axis=0, return_counts=True)
    best: dict[int, int] = {}
    for (label, _), count in zip(pairs[0].tolist(), pairs[1].tolist(), strict=True):
        best[label] = max(best.get(label, 0), count)
    return sum(best.values()) / len(labels) if len(labels) else 1.0


def _check_call(vectors: NDArray[np.floating], threshold: float | None, num_speakers: int | None, sample_size: int) -> None:
    if vectors.ndim != 2 or not vectors.shape[1]:
        raise ValueError(f"Vectors are [n, D]; these have shape {list(vectors.shape)}.")
    if (threshold is None) == (num_speakers is None):
        raise UsageError("Speakers are told apart by a threshold or by their number: give one of the two.")
    if threshold is not None and not -1 < threshold < 1:
        raise UsageError(f"A threshold is a cosine between -1 and 1; it is {threshold:g}. Two utterances of one voice have 0.75 or more by resemblyzer.")
    if num_speakers is not None and not 1 <= num_speakers <= sample_size:
        raise UsageError(f"The number of speakers is 1 to {sample_size} (`sample_size`); it is {num_speakers}.")
    if sample_size < 2:
        raise UsageError(f"A sample has at least 2 utterances; `sample_size` is {sample_size}.")


def _found_by_threshold(vectors: NDArray[np.floating], usable: NDArray[np.int64], threshold: float, sample_size: int, rng: np.random.Generator) -> Vectors:
    from scipy.cluster.hierarchy import fcluster, linkage

    centroids = np.zeros((0, vectors.shape[1]), np.float32)
    rest = usable
    while len(rest):
        places = _sample(len(rest), sample_size, rng)
        sample = np.asarray(vectors[rest[places]], np.float32)
        found = np.zeros(len(sample), np.int64)
        if len(sample) > 1:
            found = fcluster(linkage(sample, method="average", metric="cosine"), 1 - threshold, criterion="distance") - 1
        added = _means(sample, np.arange(len(sample)), found, int(found.max()) + 1)
        if len(centroids):
            added = added[_nearest(added, np.arange(len(added)), centroids).scores < threshold]
        rest = np.delete(rest, places)
        centroids = np.concatenate([centroids, added])
        rest = rest[_nearest(vectors, rest, centroids).scores < threshold]
    return centroids


def _found_by_number(vectors: NDArray[np.floating], usable: NDArray[np.int64], num_speakers: int, sample_size: int, rng: np.random.Generator) -> Vectors:
    from scipy.cluster.hierarchy import fcluster, linkage

    sample = np.asarray(vectors[usable[_sample(len(usable), sample_size, rng)]], np.float32)
    if len(sample) == 1:
        return _unit(sample)
    found = fcluster(linkage(sample, method="ward"), num_speakers, criterion="maxclust") - 1
    return _means(sample, np.arange(len(sample)), found, int(found.max()) + 1)


def _sample(count: int, sample_size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Places of at most `sample_size` of `count`, ascending."""
    return np.arange(count) if count <= sample_size else np.sort(rng.choice(count, sample_size, replace=False, shuffle=False))


@dataclass(frozen=True, eq=False)
class _Nearest:
    """For each row its nearest centroid, the cosine to it and that to the second (-1 where there is none)."""

    labels: NDArray[np.int64]
    scores: NDArray[np.float32]
    seconds: NDArray[np.float32]


def _nearest(vectors: NDArray[np.floating], rows: NDArray[np.int64], centroids: Vectors) -> _Nearest:
    labels, scores, seconds = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.float32), np.full(len(rows), -1, np.float32)
    for block in _blocks(len(rows), len(centroids)):
        cosines = np.asarray(vectors[rows[block]], np.float32) @ centroids.T
        here = np.arange(len(cosines))
        labels[block] = cosines.argmax(axis=1)
        scores[block] = cosines[here, labels[block]]
        if len(centroids) > 1:
            cosines[here, labels[block]] = -np.inf
            seconds[block] = cosines.max(axis=1)
    return _Nearest(labels, scores, seconds)


def _means(vectors: NDArray[np.floating], rows: NDArray[np.int64], labels: NDArray[np.int64], count: int) -> Vectors:
    """Unit means `[k, D]` of the rows of each label below `count`; labels without a row are left out."""
    sums = np.zeros((count, vectors.shape[1]))
    order = np.argsort(labels, kind="stable")
    for block in _blocks(len(rows), vectors.shape[1]):
        chosen = order[block]
        starts = np.flatnonzero(np.diff(labels[chosen], prepend=-1))
        sums[labels[chosen][starts]] += np.add.reduceat(np.asarray(vectors[rows[chosen]], np.float64), starts, axis=0)
    return _unit(sums[np.bincount(labels, minlength=count) > 0]).astype(np.float32)


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.floating]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _blocks(count: int, width: int) -> Iterator[slice]:
    rows = max(1, BLOCK_SCORES // max(width, 1))
    return (slice(start, min(start + rows, count)) for start in range(0, count, rows))


def _in_order(labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels in use by their first appearance, and each row's place among them."""
    used, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return used[order], rank[inverse]
