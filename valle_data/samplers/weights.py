"""How often an utterance is drawn: strata (all utterances, speakers or groups), their weights, and quotas that are never more than one draw off."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from valle_data.samplers.permutation import Purpose, generator, keys, permute

if TYPE_CHECKING:
    from valle_data.samplers.plan import Columns

MODES: dict[str, Callable[["Columns"], NDArray[np.integer]]] = {
    "path": lambda columns: np.zeros(len(columns.num_frames), dtype=np.uint8),
    "speaker": lambda columns: columns.speaker,
    "group": lambda columns: columns.group,
}


class Strata:
    """Utterances in classes, each drawn with its own weight and without replacement inside.

    `members` `[N]` are rows in the order of class; with `lengths` (one for every row) also of length, so that the shortest part of every class is a prefix of
    it. Class s holds `members[starts[s]:starts[s + 1]]`. Weights are `count ** (1 / temperature)`, normalised: temperature 1 draws every utterance equally
    often, a higher one moves towards, and `None` is, every class equally often.
    """

    def __init__(
        self, classes: NDArray[np.integer], rows: NDArray[np.integer], *, lengths: NDArray[np.integer] | None, temperature: float | None, seed: int
    ) -> None:
        if lengths is not None:
            rows = rows[np.argsort(lengths[rows], kind="stable")]
        self.members = rows[np.argsort(classes[rows], kind="stable")].astype(np.uint32)
        counts = np.bincount(classes[rows])
        counts = counts[counts > 0]
        self.counts = counts.astype(np.int64)
        self.starts = np.concatenate([[0], np.cumsum(self.counts)])
        weights = np.ones(len(counts)) if temperature is None else counts.astype(np.float64) ** (1.0 / temperature)
        self.weights = weights / weights.sum()
        self._phases = generator(seed, 0, Purpose.STRATA).random(len(counts))
        self._seed = seed

    def drawn(self, nominal: int) -> NDArray[np.int64]:
        """Draws `[strata]` each class has had once `nominal` draws are planned: within one of its share (systematic sampling, Madow 1949)."""
        return np.floor(nominal * self.weights + self._phases).astype(np.int64)

    def rows(self, before: NDArray[np.int64], after: NDArray[np.int64], share: float, stage: int) -> NDArray[np.int64]:
        """The rows of draws `before` to `after` of every class, class by class, from the shortest `share` of each class.

        Draw k of a class of n takes element k mod n of permutation k div n, keyed by (seed, class, k div n, `stage`): every member once before any twice.
        """
        quota = after - before
        stratum = np.repeat(np.arange(len(quota)), quota)
        draw = np.arange(len(stratum)) + np.repeat(before - (np.cumsum(quota) - quota), quota)
        sizes = np.maximum(1, np.ceil(self.counts * share)).astype(np.int64)[stratum]
        turn = draw // sizes
        place = permute(draw - turn * sizes, sizes, keys(self._seed, stratum, turn, stage))
        return self.members[self.starts[stratum] + place].astype(np.int64)
