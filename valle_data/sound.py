"""A stretch of a recording as samples, resampled once for every rate that somebody asks for."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import soxr
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Sound:
    """Mono float32 samples `[N]` at the recording's own rate.

    `cut` shares the samples and the resampled copies of the whole, so a piece is the same whatever was asked for before, and a recording of an hour is
    resampled once for all its utterances.
    """

    samples: NDArray[np.float32]
    sample_rate_hz: int
    _resampled: dict[int, NDArray[np.float32]] = field(default_factory=dict, repr=False)
    _whole: "Sound | None" = field(default=None, repr=False)
    _start_s: float = 0.0
    _end_s: float = 0.0

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.sample_rate_hz

    def at(self, sample_rate_hz: int) -> NDArray[np.float32]:
        """Samples `[N']` in -1..1 at another rate (soxr, HQ); a view, not to be written to."""
        if self._whole is not None:
            return _slice(self._whole.at(sample_rate_hz), sample_rate_hz, self._start_s, self._end_s)
        if sample_rate_hz not in self._resampled:
            self._resampled[sample_rate_hz] = self._resample(sample_rate_hz)
        return self._resampled[sample_rate_hz]

    def _resample(self, sample_rate_hz: int) -> NDArray[np.float32]:
        same = sample_rate_hz == self.sample_rate_hz or not len(self.samples)
        resampled = self.samples if same else soxr.resample(self.samples, self.sample_rate_hz, sample_rate_hz, quality="HQ")
        return np.clip(resampled, -1.0, 1.0).astype(np.float32, copy=False)

    def cut(self, start_s: float, end_s: float) -> "Sound":
        """The samples from `start_s` to `end_s`, as far as they exist."""
        piece = _slice(self.samples, self.sample_rate_hz, start_s, end_s)
        if self._whole is not None:
            return Sound(piece, self.sample_rate_hz, _whole=self._whole, _start_s=self._start_s + start_s, _end_s=min(self._start_s + end_s, self._end_s))
        return Sound(piece, self.sample_rate_hz, _whole=self, _start_s=start_s, _end_s=end_s)

    def __reduce__(self) -> tuple[Callable[..., "Sound"], tuple[object, ...]]:
        """Without the resampled copies, which can be made again; pieces that are pickled together share the samples of their recording."""
        if self._whole is None:
            return Sound, (self.samples, self.sample_rate_hz)
        first = (self.samples.ctypes.data - self._whole.samples.ctypes.data) // self.samples.itemsize if len(self.samples) else 0
        return _piece, (self._whole, first, len(self.samples), self._start_s, self._end_s)


def _piece(whole: Sound, first: int, length: int, start_s: float, end_s: float) -> Sound:
    """A piece of `whole`, whose samples begin at `first`, as `cut` made it."""
    return Sound(whole.samples[first : first + length], whole.sample_rate_hz, _whole=whole, _start_s=start_s, _end_s=end_s)


def _slice(samples: NDArray[np.float32], sample_rate_hz: int, start_s: float, end_s: float) -> NDArray[np.float32]:
    return samples[max(0, round(start_s * sample_rate_hz)) : max(0, round(end_s * sample_rate_hz))]
