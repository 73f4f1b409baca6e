"""Prompts: another utterance of the same speaker, long enough, cropped at random."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Prompts:
    """For every draw a row (-1: none), its first frame and the number of frames; all `[L]`."""

    rows: NDArray[np.int64]
    start: NDArray[np.int64]
    frames: NDArray[np.int64]


class PromptChooser:
    """Candidates of every speaker (of one row at least): the utterances of at least `min_frames`; a crop lasts `min_frames` to `max_frames`."""

    def __init__(self, speaker: NDArray[np.integer], num_frames: NDArray[np.integer], min_frames: int, max_frames: int) -> None:
        self._speaker, self._num_frames = speaker, num_frames
        self._min_frames, self._max_frames = min_frames, max_frames
        candidates = np.flatnonzero(num_frames >= min_frames)
        self._candidates = candidates[np.argsort(speaker[candidates], kind="stable")].astype(np.uint32)
        num_speakers = int(speaker.max()) + 1
        counts = np.bincount(speaker[candidates], minlength=num_speakers)
        self._starts = np.concatenate([[0], np.cumsum(counts)])

    def available(self, rows: NDArray[np.integer]) -> NDArray[np.int64]:
        """How many other utterances could be the prompt of each row."""
        speaker = self._speaker[rows].astype(np.int64)
        return self._starts[speaker + 1] - self._starts[speaker] - (self._num_frames[rows] >= self._min_frames)

    def choose(self, rows: NDArray[np.int64], wanted: NDArray[np.bool_], room: NDArray[np.int64], random: np.random.Generator) -> Prompts:
        """Prompts where `wanted`, the speaker has another utterance, and `room` positions hold at least the shortest crop."""
        pick, again, length, place = random.random((4, len(rows)))
        first = self._starts[self._speaker[rows]]
        others = self.available(rows)
        usable = wanted & (others > 0) & (room >= self._min_frames)
        num = self._starts[self._speaker[rows].astype(np.int64) + 1] - first
        index = _below(pick, np.maximum(num, 1))
        last = max(len(self._candidates) - 1, 0)
        chosen = _take(self._candidates, np.minimum(first + index, last))
        # Landing on the target moves on by 1..n-1 places with equal chances, which leaves every other utterance equally likely.
        moved = (index + 1 + _below(again, np.maximum(num - 1, 1))) % np.maximum(num, 1)
        chosen = np.where(chosen == rows, _take(self._candidates, np.minimum(first + moved, last)), chosen)
        chosen = np.where(usable, chosen, -1)
        available = np.where(usable, self._num_frames[chosen], 0).astype(np.int64)
        longest = np.minimum(np.minimum(available, self._max_frames), room)
        frames = np.where(usable, self._min_frames + _below(length, np.maximum(longest - self._min_frames + 1, 1)), 0)
        return Prompts(chosen, _below(place, np.maximum(available - frames + 1, 1)), frames)


def _below(unit: NDArray[np.float64], limit: NDArray[np.int64]) -> NDArray[np.int64]:
    """Uniform integers in 0..limit-1 from uniform numbers in [0, 1)."""
    return np.minimum((unit * limit).astype(np.int64), limit - 1)


def _take(values: NDArray[np.uint32], index: NDArray[np.int64]) -> NDArray[np.int64]:
    return values[index].astype(np.int64) if len(values) else np.full(len(index), -1, dtype=np.int64)
