"""Probabilities of speech per frame -> utterances: hysteresis, pauses, shortest and longest length, padding."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from valle_data.config import StageConfig
from valle_data.speech.quiet import next_cut

HYSTERESIS = 0.15
"""Speech ends when its probability falls this far below the threshold at which it began, as in silero's own reading of its probabilities."""


class SpeechRules(StageConfig):
    """How speech becomes utterances.

    Silence of `pause_s` ends an utterance; shorter silence stays inside. One shorter than `min_duration_s` joins the nearer neighbour if at most
    `join_pause_s` lie between and both together are not too long, and is left out otherwise. One longer than `max_duration_s` is cut where it is
    quietest. Each keeps up to `padding_s` of what surrounds it. Sounds under `min_speech_s` are clicks.
    """

    threshold: float = Field(default=0.5, gt=HYSTERESIS, lt=1)
    pause_s: float = Field(default=0.4, gt=0, le=10)
    min_duration_s: float = Field(default=1.0, ge=0, le=60)
    max_duration_s: float = Field(default=20.0, gt=0, le=3600)
    join_pause_s: float = Field(default=1.0, ge=0, le=60)
    padding_s: float = Field(default=0.1, ge=0, le=2)
    min_speech_s: float = Field(default=0.1, ge=0, le=5)

    @model_validator(mode="after")
    def _lengths_leave_room(self) -> "SpeechRules":
        if 4 * max(self.min_duration_s, 2 * self.padding_s) > self.max_duration_s:
            raise ValueError("max_duration_s must be at least 4 x min_duration_s and 8 x padding_s, so that a long utterance can be cut into allowed ones")
        return self


@dataclass(frozen=True)
class Interval:
    """From `start_s` to `end_s`."""

    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True)
class SpeechFrames:
    """How probably each frame `[F]` of `frame_s` seconds holds speech."""

    probability: NDArray[np.float32]
    frame_s: float

    def ratio(self, threshold: float, *, start_s: float, end_s: float) -> float:
        """Share of the frames from `start_s` to `end_s` that hold speech; 0 where there is no frame."""
        first, last = int(start_s / self.frame_s), int(np.ceil(end_s / self.frame_s))
        chosen = self.probability[first:last]
        return float((chosen >= threshold).mean()) if len(chosen) else 0.0

    def speech(self, threshold: float) -> list[Interval]:
        """Every stretch of speech, however short the silence beside it."""
        intervals: list[Interval] = []
        start: int | None = None
        for frame, probability in enumerate(self.probability.tolist()):
            if start is None and probability >= threshold:
                start = frame
            elif start is not None and probability < threshold - HYSTERESIS:
                intervals.append(Interval(start * self.frame_s, frame * self.frame_s))
                start = None
        if start is not None:
            intervals.append(Interval(start * self.frame_s, len(self.probability) * self.frame_s))
        return intervals


def utterances(frames: SpeechFrames, samples: NDArray[np.float32], sample_rate_hz: int, rules: SpeechRules, own: Interval) -> list[Interval]:
    """Stretches of `own` that hold one utterance each, in order and without overlap. `samples` `[N]` are those behind `frames`."""
    speech = _clipped(frames.speech(rules.threshold), own)
    joined = _bridged([piece for piece in speech if piece.duration_s >= rules.min_speech_s], rules.pause_s)
    long_s = rules.max_duration_s - 2 * rules.padding_s
    pieces = _joined(joined, rules, long_s)
    cut = [part for piece in pieces for part in _cut(piece, samples, sample_rate_hz, long_s)]
    return [piece for piece in padded(cut, rules.padding_s, own) if piece.duration_s >= rules.min_duration_s]


def _clipped(intervals: Sequence[Interval], own: Interval) -> list[Interval]:
    inside = (Interval(max(piece.start_s, own.start_s), min(piece.end_s, own.end_s)) for piece in intervals)
    return [piece for piece in inside if piece.duration_s > 0]


def _bridged(intervals: Sequence[Interval], pause_s: float) -> list[Interval]:
    """With silences under `pause_s` counted as speech."""
    bridged: list[Interval] = []
    for piece in intervals:
        goes_on = bridged and piece.start_s - bridged[-1].end_s < pause_s
        start_s = bridged.pop().start_s if goes_on else piece.start_s
        bridged.append(Interval(start_s, piece.end_s))
    return bridged


def _joined(intervals: Sequence[Interval], rules: SpeechRules, long_s: float) -> list[Interval]:
    """With short ones joined to the nearer neighbour, from left to right."""
    pieces = list(intervals)
    index = 0
    while index < len(pieces):
        piece = pieces[index]
        beside = [other for other in (index - 1, index + 1) if 0 <= other < len(pieces) and _fits(piece, pieces[other], rules, long_s)]
        if piece.duration_s >= rules.min_duration_s or not beside:
            index += 1
            continue
        nearer = min(beside, key=lambda other: _gap(piece, pieces[other]))
        first, last = min(index, nearer), max(index, nearer)
        pieces[first : last + 1] = [Interval(pieces[first].start_s, pieces[last].end_s)]
        index = first
    return pieces


def _gap(one: Interval, other: Interval) -> float:
    return max(one.start_s - other.end_s, other.start_s - one.end_s)


def _fits(one: Interval, other: Interval, rules: SpeechRules, long_s: float) -> bool:
    together = max(one.end_s, other.end_s) - min(one.start_s, other.start_s)
    return _gap(one, other) <= rules.join_pause_s and together <= long_s


def _cut(piece: Interval, samples: NDArray[np.float32], sample_rate_hz: int, long_s: float) -> list[Interval]:
    """The piece in parts of at most `long_s` that touch each other."""
    parts: list[Interval] = []
    while piece.duration_s > long_s:
        place = next_cut(samples, sample_rate_hz, start_s=piece.start_s, end_s=piece.end_s, max_duration_s=long_s)
        parts.append(Interval(piece.start_s, place))
        piece = Interval(place, piece.end_s)
    return [*parts, piece]


def padded(pieces: Sequence[Interval], padding_s: float, own: Interval) -> list[Interval]:
    """Each with up to `padding_s` on both sides, at most half of what lies between neighbours, never outside of `own`."""
    lows = [own.start_s, *((one.end_s + other.start_s) / 2 for one, other in pairwise(pieces))]
    highs = [*lows[1:], own.end_s]
    return (
        [Interval(max(low, piece.start_s - padding_s), min(high, piece.end_s + padding_s)) for piece, low, high in zip(pieces, lows, highs, strict=True)]
        if pieces
        else []
    )
