"""The utterances of a speaker that sound most like each other: exact, in bounded memory."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK_SCORES = 1 << 24
"""Scores that exist at once: 64 MiB of float32."""


@dataclass(frozen=True, eq=False)
class Similar:
    """`indices` `[n, k]` int64 of the most similar others, best first, -1 where there are fewer; `scores` `[n, k]` float32, 0 there."""

    indices: NDArray[np.int64]
    scores: NDArray[np.float32]


def top_k_similar(vectors: NDArray[np.floating], speakers: NDArray[np.integer], k: int, *, block_scores: int = BLOCK_SCORES) -> Similar:
    """For each row of `vectors` `[n, D]`, unit vectors of any float type, the `k` rows of the same speaker with the largest inner products, never itself.

    Equal scores are ordered by index. `speakers` `[n]` are numbers of speakers; a negative one is nobody's, and its row is compared with none. Rows that are
    not finite are compared with none either. Work is quadratic in the utterances of one speaker; memory beside the result is one speaker's vectors in
    float32 and `block_scores` scores.
    """
    if len(vectors) != len(speakers):
        raise ValueError(f"There is one speaker for each vector; there are {len(vectors)} vectors and {len(speakers)} speakers.")
    if k < 1 or block_scores < 1:
        raise ValueError(f"k and block_scores count from 1; they are {k} and {block_scores}.")
    found = Similar(np.full((len(vectors), k), -1, np.int64), np.zeros((len(vectors), k), np.float32))
    usable = np.flatnonzero((np.asarray(speakers) >= 0) & np.isfinite(vectors.sum(axis=1, dtype=np.float64)))
    order = usable[np.argsort(np.asarray(speakers)[usable], kind="stable")]
    for members in np.split(order, np.flatnonzero(np.diff(np.asarray(speakers)[order])) + 1):
        if len(members) > 1:
            _within(np.asarray(vectors[members], np.float32), members, found, block_scores)
    return found


def _within(own: NDArray[np.float32], members: NDArray[np.int64], found: Similar, block_scores: int) -> None:
    """Fill in the rows of one speaker, a block of rows at a time. `members` `[m]` ascend, so ties by place are ties by index."""
    most = min(found.indices.shape[1], len(members) - 1)
    rows = max(1, block_scores // len(members))
    for start in range(0, len(members), rows):
        scores = own[start : start + rows] @ own.T
        here = np.arange(len(scores))
        scores[here, start + here] = -np.inf
        best = _best(scores, most)
        found.indices[members[start : start + rows], :most] = members[best]
        found.scores[members[start : start + rows], :most] = np.take_along_axis(scores, best, axis=1)


def _best(scores: NDArray[np.float32], most: int) -> NDArray[np.int64]:
    """Places of the `most` largest of each row `[r, m]`, larger first, then smaller places first.

    A partition finds the k-th largest value of each row; which of the scores equal to it belong to the best is settled by their places.
    """
    limit = -np.partition(-scores, most - 1, axis=1)[:, most - 1 : most]
    above = scores > limit
    ties = scores == limit
    wanted = most - above.sum(axis=1, keepdims=True)
    chosen = above | (ties & (np.cumsum(ties, axis=1) <= wanted))
    places = np.nonzero(chosen)[1].reshape(len(scores), most)
    order = np.argsort(-np.take_along_axis(scores, places, axis=1), axis=1, kind="stable")
    return np.take_along_axis(places, order, axis=1)
