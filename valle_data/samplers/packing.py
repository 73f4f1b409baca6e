"""Packing: documents into micro-batches of at most `budget` positions, nearly full and alike, with no loop over documents."""

import numpy as np
from numpy.typing import NDArray

_DEALT_SHARE = 0.7  # of the budget is dealt blindly; the shorter documents that follow even out what that leaves
_FILL = 0.997  # a little room lets the last documents find a place


def pack(costs: NDArray[np.int64], budget: int, random: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Documents of `costs` `[L]` positions, each 1..`budget` -> their order `[L]`, and bounds `[K + 1]` of the micro-batches in that order.

    The long documents are dealt out at random, one to each micro-batch and round; then, round by round, every micro-batch takes the longest document that still
    fits, the emptiest one choosing first. So each micro-batch holds long and short documents alike and the short ones fill the gaps. What fits nowhere opens
    new micro-batches. The order of micro-batches is random; inside one the longest documents come first, so that a model may take likes together.
    """
    shuffled = random.permutation(len(costs))
    left = shuffled[np.argsort(-costs[shuffled], kind="stable")]
    bins = np.full(len(costs), -1, dtype=np.int64)
    num_bins = 0
    while len(left):
        opened = min(len(left), -(-int(costs[left].sum()) // max(1, int(budget * _FILL))))
        free = np.full(opened, budget, dtype=np.int64)
        left = _deal(left, costs, bins, num_bins, free, random)
        left = _fill(left, costs, bins, num_bins, free)
        num_bins += opened
    used = np.unique(bins)
    bins = random.permutation(len(used))[np.searchsorted(used, bins)]
    order = np.lexsort((-costs, bins))
    return order, np.searchsorted(bins[order], np.arange(len(used) + 1))


def _deal(
    left: NDArray[np.int64], costs: NDArray[np.int64], bins: NDArray[np.int64], first: int, free: NDArray[np.int64], random: np.random.Generator
) -> NDArray[np.int64]:
    """Deal whole rounds of documents (longest first) to micro-batches `first`.. in random order while none can overflow; returns those not dealt."""
    num = len(free)
    longest_of_round = costs[left[: len(left) // num * num : num]]
    rounds = int(np.searchsorted(np.cumsum(longest_of_round), _DEALT_SHARE * free.max(), side="right"))
    if rounds == 0:
        return left
    places = random.permuted(np.tile(np.arange(num), (rounds, 1)), axis=1).ravel()
    dealt = left[: rounds * num]
    bins[dealt] = first + places
    free -= np.bincount(places, weights=costs[dealt], minlength=num).astype(np.int64)
    return left[rounds * num :]


def _fill(left: NDArray[np.int64], costs: NDArray[np.int64], bins: NDArray[np.int64], first: int, free: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rounds in which every micro-batch takes the longest document (of `left`, longest first) that fits; returns those that fit nowhere."""
    negated = -costs[left]
    while len(left):
        emptiest = np.argsort(-free, kind="stable")
        fitting = np.searchsorted(negated, -free[emptiest], side="left")
        rank = np.arange(len(free))
        index = np.maximum.accumulate(fitting - rank) + rank
        taken = index[index < len(left)]
        if not len(taken):
            return left
        chooser = emptiest[: len(taken)]
        bins[left[taken]] = first + chooser
        free[chooser] += negated[taken]
        keep = np.ones(len(left), dtype=bool)
        keep[taken] = False
        left, negated = left[keep], negated[keep]
    return left
