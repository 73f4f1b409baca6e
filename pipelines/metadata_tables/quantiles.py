"""Quantiles of a column: where its bulk lies and how far it reaches."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVELS = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


@dataclass(frozen=True)
class Quantiles:
    """`values[i]` is the value below which a share `LEVELS[i]` of the finite values lies (numpy's linear interpolation); empty without any."""

    name: str
    values: tuple[float, ...]
    mean: float | None
    num_values: int
    num_missing: int

    def to_json(self) -> dict[str, Any]:
        named = {f"p{level * 100:g}": value for level, value in zip(LEVELS, self.values, strict=False)}
        return {"name": self.name, "num_values": self.num_values, "num_missing": self.num_missing, "mean": self.mean, **named}


def quantiles(name: str, values: NDArray[np.floating]) -> Quantiles:
    """Of `values` `[rows]`, null as NaN."""
    finite = values[np.isfinite(values)].astype(np.float64)
    if not len(finite):
        return Quantiles(name, (), None, 0, len(values))
    return Quantiles(name, tuple(np.quantile(finite, LEVELS).tolist()), float(finite.mean()), len(finite), len(values) - len(finite))
