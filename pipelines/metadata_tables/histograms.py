"""Histograms with edges a person can read, over the bulk of the values; what lies outside is counted, not drawn."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_BINS, FEWEST_BINS = 30, 5
OUTSIDE_PERCENT = 0.25


@dataclass(frozen=True)
class Histogram:
    """`counts[i]` values lie in `edges[i] <= value < edges[i + 1]` (the last bin holds its upper edge); `num_missing` are null or not finite."""

    name: str
    unit: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    num_below: int
    num_above: int
    num_missing: int
    mean: float | None
    minimum: float | None
    median: float | None
    maximum: float | None

    @property
    def num_values(self) -> int:
        return sum(self.counts) + self.num_below + self.num_above

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


def histogram(name: str, unit: str, values: NDArray[np.floating | np.integer], *, whole: bool = False) -> Histogram:
    """The histogram of `values` `[rows]`, null as NaN. `whole`: bins are at least 1 wide, for counts."""
    finite = values[np.isfinite(values)].astype(np.float64)
    if not len(finite):
        return Histogram(name, unit, (), (), 0, 0, len(values), None, None, None, None)
    low, high = np.percentile(finite, [OUTSIDE_PERCENT, 100 - OUTSIDE_PERCENT]).tolist()
    num_bins = min(max(math.ceil(2 * len(finite) ** (1 / 3)), FEWEST_BINS), MOST_BINS)  # Rice's rule
    edges = _edges(low, high, num_bins=num_bins, smallest_step=1.0 if whole else 0.0)
    counts, _ = np.histogram(finite, edges)
    return Histogram(
        name=name,
        unit=unit,
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
        num_below=int((finite < edges[0]).sum()),
        num_above=int((finite > edges[-1]).sum()),
        num_missing=len(values) - len(finite),
        mean=float(finite.mean()),
        minimum=float(finite.min()),
        median=float(np.median(finite)),
        maximum=float(finite.max()),
    )


def nice_step(width: float) -> float:
    """The least of 1, 2, 5 times a power of ten that is not below `width`."""
    power = 10.0 ** math.floor(math.log10(width))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= width * (1 - 1e-9))


def _edges(low: float, high: float, *, num_bins: int, smallest_step: float) -> NDArray[np.float64]:
    """Multiples of a nice step that cover low..high; a single value sits in the first of its bins."""
    scale = max(abs(low), abs(high), 1e-6)
    step = max(nice_step(max((high - low) / num_bins, scale * 1e-3)), smallest_step)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return np.round(np.arange(first, max(last, first + 1) + 1, dtype=np.float64) * step, 12)
