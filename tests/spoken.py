"""Long recordings of known content: short ones of the repository's spoken digits, joined with pauses."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).parents[1]
RATE = 16_000
AUDIBLE = 0.01
SHORTEST_S = 1.2
DIGITS = tuple("zero one two three four five six seven eight nine".split())


@dataclass(frozen=True)
class Spoken:
    """A recording `[N]` at 16 kHz without silence at its ends, and its text."""

    samples: np.ndarray
    text: str


@dataclass(frozen=True)
class Line:
    """A text and when it is said."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True)
class LongRecording:
    """Samples `[N]` at 16 kHz and what is said in them."""

    samples: np.ndarray
    lines: tuple[Line, ...]

    @property
    def text(self) -> str:
        """With capitals and full stops, as a book has it."""
        return " ".join(f"{line.text.capitalize()}." for line in self.lines)


@cache
def spoken(voice: str, side: str = "train", count: int = 12) -> tuple[Spoken, ...]:
    """The first `count` recordings of a voice that are long enough to be utterances."""
    paths = sorted((ROOT / "examples/digits" / side / voice).glob("*.ogg"))
    found = [Spoken(_trimmed(path), path.with_suffix(".txt").read_text(encoding="utf-8").strip()) for path in paths]
    return tuple(one for one in found if len(one.samples) >= SHORTEST_S * RATE)[:count]


def _trimmed(path: Path) -> np.ndarray:
    samples, rate = soundfile.read(path, dtype="float32")
    assert rate == RATE
    loud = np.nonzero(np.abs(samples) > AUDIBLE)[0]
    return samples[loud[0] : loud[-1] + 1]


def join(parts: Sequence[Spoken], pauses_s: Sequence[float], *, noise: float = 1e-4, seed: int = 0) -> LongRecording:
    """`pauses_s` before each part and after the last, over faint noise."""
    rng = np.random.default_rng(seed)
    pieces: list[np.ndarray] = []
    lines: list[Line] = []
    at = 0
    for part, pause_s in zip(parts, pauses_s, strict=False):
        pieces += [np.zeros(round(pause_s * RATE), np.float32), part.samples]
        start = at + len(pieces[-2])
        at = start + len(part.samples)
        lines.append(Line(start / RATE, at / RATE, part.text))
    pieces.append(np.zeros(round(pauses_s[len(parts)] * RATE), np.float32))
    samples = np.concatenate(pieces)
    return LongRecording((samples + noise * rng.standard_normal(len(samples))).astype(np.float32), tuple(lines))


def long_recording(num_parts: int = 12, *, seed: int = 0) -> LongRecording:
    """Two voices taking turns, with pauses of 0.7 to 1.6 s."""
    voices = [part for pair in zip(spoken("slt"), spoken("rms"), strict=True) for part in pair]
    parts = [voices[index % len(voices)] for index in range(num_parts)]
    return join(parts, np.random.default_rng(seed).uniform(0.7, 1.6, num_parts + 1).tolist(), seed=seed)
