"""Which RVQ level, and which task, a draw trains: quotas without state, as functions of the draw's number alone."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from valle_data.errors import UsageError

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)

DISTRIBUTIONS: dict[str, Callable[[int], NDArray[np.float64]]] = {
    "uniform": np.ones,
    "linear": lambda num: np.arange(num, 0, -1, dtype=np.float64),  # the coarse levels carry most of what is heard
}


def level_shares(ar_fraction: float, nar: str | Sequence[float], num_levels: int) -> NDArray[np.float64]:
    """Share `[Q]` of draws that train each level: `ar_fraction` for level 0, the rest over 1..Q-1 as `nar` says.

    `nar` is a name in `DISTRIBUTIONS` or Q-1 weights. Raises `UsageError` when it does not fit the codec's number of levels.
    """
    num_nar = num_levels - 1
    if ar_fraction < 1 and num_nar == 0:
        raise UsageError(f"sampler.ar_fraction is {ar_fraction:g}, but codes of one level leave nothing for the rest of the draws. Set it to 1.")
    weights = DISTRIBUTIONS[nar](num_nar) if isinstance(nar, str) else np.asarray(nar, dtype=np.float64)
    if len(weights) != num_nar:
        raise UsageError(f"sampler.levels gives {len(weights)} weights, but this codec has {num_nar} levels beyond level 0. Give {num_nar}.")
    if ar_fraction < 1 and weights.sum() <= 0:
        raise UsageError("sampler.levels gives every level the weight 0. Give at least one a weight, or set sampler.ar_fraction to 1.")
    nar_shares = weights * ((1 - ar_fraction) / weights.sum()) if ar_fraction < 1 else np.zeros(num_nar)
    return np.concatenate([[ar_fraction], nar_shares])


def low_discrepancy(draws: NDArray[np.integer], shift: int) -> NDArray[np.float64]:
    """The golden-ratio sequence (Kronecker; Niederreiter 1992, section 3.1) at `draws`, in [0, 1), in integers so that no draw is too far away."""
    words = draws.astype(np.uint64) * _GOLDEN + np.uint64(shift)
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def quantile(points: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.int8]:
    """The class each point of [0, 1) falls into when class c covers `shares[c]` of it; a class of share 0 is never chosen."""
    edges = np.cumsum(shares)
    last = int(np.flatnonzero(shares)[-1])
    return np.minimum(np.searchsorted(edges, points, side="right"), last).astype(np.int8)


def quotas(draws: NDArray[np.integer], shares: NDArray[np.float64]) -> NDArray[np.int8]:
    """The class of each draw, so that among the first n draws class c has had n * shares[c], give or take one.

    Each class, the largest first, takes its part of the draws that those before it left, by systematic sampling. The error stays under one draw for two
    classes, and under two for up to ten. `draws` count from 0; shares sum to 1.
    """
    *others, smallest = np.argsort(-shares, kind="stable")
    result = np.full(len(draws), smallest, dtype=np.int8)
    open_draws = np.arange(len(draws))
    numbers = np.asarray(draws, dtype=np.int64)
    left = 1.0
    for index in others:
        share = float(shares[index])
        part = min(1.0, share / left)
        before = np.floor(numbers * part + 0.5).astype(np.int64)
        taken = np.floor((numbers + 1) * part + 0.5).astype(np.int64) > before
        result[open_draws[taken]] = index
        open_draws, numbers = open_draws[~taken], (numbers - before)[~taken]
        left -= share
    return result
