"""The quietest place of a stretch: where a recording is cut when it must be."""

import numpy as np
from numpy.typing import NDArray

HOP_S = 0.01
FRAME_HOPS = 10
"""A frame is 100 ms: longer than the closure of a stop consonant, which is silent too, and shorter than a breath."""
SILENT_POWER = 1e-9
"""-90 dB: quieter frames are equals. MP3 decoders that begin at different places give silence that differs by less."""


def cut_point(samples: NDArray[np.float32], sample_rate_hz: int) -> float:
    """Seconds from the start of `[N]` to the middle of its quietest 100 ms, the first of equals; the middle of a stretch that is shorter.

    It depends on these samples alone, so that two workers who read the same stretch of a recording choose the same place.
    """
    hop = round(HOP_S * sample_rate_hz)
    num_hops = len(samples) // hop
    if num_hops < FRAME_HOPS:
        return len(samples) / sample_rate_hz / 2
    blocks = samples[: num_hops * hop].reshape(num_hops, hop).astype(np.float64)
    power = np.lib.stride_tricks.sliding_window_view(np.square(blocks).mean(axis=1), FRAME_HOPS).mean(axis=1)
    return (int(np.maximum(power, SILENT_POWER).argmin()) + FRAME_HOPS / 2) * hop / sample_rate_hz


def quietest(samples: NDArray[np.float32], sample_rate_hz: int, *, start_s: float, end_s: float) -> float:
    """`cut_point` of the part from `start_s` to `end_s` of `[N]`, in seconds from the start of `[N]`."""
    first = max(0, round(start_s * sample_rate_hz))
    return first / sample_rate_hz + cut_point(samples[first : max(first, round(end_s * sample_rate_hz))], sample_rate_hz)


def split_long(samples: NDArray[np.float32], sample_rate_hz: int, max_duration_s: float) -> list[tuple[float, float]]:
    """`[N]` as stretches (start and end in seconds) that touch each other, none longer than `max_duration_s`, cut where it is quietest."""
    end_s = len(samples) / sample_rate_hz
    starts = [0.0]
    while end_s - starts[-1] > max_duration_s:
        starts.append(next_cut(samples, sample_rate_hz, start_s=starts[-1], end_s=end_s, max_duration_s=max_duration_s))
    return list(zip(starts, [*starts[1:], end_s], strict=True)) if len(samples) else []


def next_cut(samples: NDArray[np.float32], sample_rate_hz: int, *, start_s: float, end_s: float, max_duration_s: float) -> float:
    """Where to end the first piece of `start_s` to `end_s`, which is longer than `max_duration_s`: neither piece is shorter than a quarter of that."""
    latest_s = min(start_s + max_duration_s, end_s - max_duration_s / 4)
    return quietest(samples, sample_rate_hz, start_s=start_s + max_duration_s / 2, end_s=latest_s)
