"""Recordings of the repository's own examples, and what lossy codecs make of a sound."""

import io
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import soundfile

from valle_data.sound import Sound

DIGITS = Path(__file__).parents[2] / "examples/digits/train"
VOICES = ("awb", "kal16", "rms", "slt")


@cache
def _read(path: Path) -> Sound:
    samples, rate = soundfile.read(path, dtype="float32")
    return Sound(samples, rate)


def recordings_of(voice: str, count: int) -> list[Sound]:
    """The first `count` digit strings of a flite voice."""
    return [_read(path) for path in sorted((DIGITS / voice).glob("*.ogg"))[:count]]


def digit_recordings(each: int) -> Iterator[Sound]:
    """`each` recordings of each of the four voices."""
    for voice in VOICES:
        yield from recordings_of(voice, each)


def reencoded(samples: np.ndarray, rate: int, container: str, subtype: str, compression_level: float | None = None) -> tuple[np.ndarray, int]:
    """Samples `[N]` and rate after writing and reading by libsndfile; `compression_level` 0 is the best of a lossy codec and 1 the smallest."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=container, subtype=subtype, compression_level=compression_level)
    file.seek(0)
    return soundfile.read(file, dtype="float32")
