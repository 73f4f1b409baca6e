"""What two copies of one recording have in common: a hash of the samples, and a vector that lossy codecs and gains leave as it is."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import xxhash
from numpy.typing import NDArray

Array = NDArray[np.float32]

RATE_HZ = 16_000
MIN_ACTIVE_S = 0.2
ENDS = 0.01
CHUNK_FRAMES = 4096

SHAPE_WINDOW, SHAPE_HOP = 512, 128
SHAPE_LOW_HZ, SHAPE_HIGH_HZ, SHAPE_BANDS, SHAPE_FLOOR = 250.0, 3400.0, 16, 1e-4
SHAPE_STEPS, SHAPE_TIMES, SHAPE_TONES = 64, 16, 8

PITCH_WINDOW, PITCH_HOP = 1024, 256
PITCH_FIRST_BIN, PITCH_LAST_BIN, PITCH_FLOOR = 6, 77, 1e-5
PITCH_STEPS, PITCH_TIMES, PITCH_QUEFRENCIES = 32, 8, (6, 22)

SHAPE_DIMENSION = SHAPE_TIMES * SHAPE_TONES
DIMENSION = SHAPE_DIMENSION + PITCH_TIMES * (PITCH_QUEFRENCIES[1] - PITCH_QUEFRENCIES[0])


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """`vector` `[256]` is two unit vectors, shape and pitch; `active_s` is the time from the first to the last hundredth of the sound's energy."""

    vector: Array
    active_s: float


def audio_hash(samples: Array) -> str | None:
    """xxh3-128 of `[N]` at 16 kHz rounded to 16 bits: the same for every lossless copy, whatever the file; None for no samples."""
    pcm = np.round(np.clip(samples, -1, 1) * 32767).astype("<i2")
    return xxhash.xxh3_128(pcm.tobytes()).hexdigest() if len(pcm) else None


def fingerprint(samples: Array) -> Fingerprint | None:
    """Of mono `[N]` at 16 kHz; None where less than 0.2 s of it sounds.

    A perceptual hash in the manner of Haitsma and Kalker ("A highly robust audio fingerprinting system", 2002), who compare energies of bands between 300
    and 2,000 Hz, but of one fixed size for an utterance: the time from the first to the last hundredth of the energy is cut into equal steps, so that silence
    added or taken away does not matter, and the log energies go through a cosine transform of which the low orders are kept. `shape` has 16 orders over
    time of 8 over 16 bands, less their means (no gain, no equalisation). Takes of one text by one voice may have one shape; `pitch` tells them apart by the
    fine structure of the spectrum from 94 to 1,200 Hz (the cepstrum around the pitch), 8 orders over time.
    """
    if not len(samples):
        return None
    samples = samples - samples.mean(dtype=np.float64).astype(np.float32)
    bands = np.concatenate([power @ _bands().T for power in _spectra(samples, SHAPE_WINDOW, SHAPE_HOP)])
    energy = np.concatenate([[0.0], np.cumsum(bands.sum(axis=1, dtype=np.float64))])
    if energy[-1] <= 0:
        return None
    begin, end = np.interp([ENDS * energy[-1], (1 - ENDS) * energy[-1]], energy, np.arange(len(energy))) * SHAPE_HOP
    active_s = float(end - begin) / RATE_HZ
    if active_s < MIN_ACTIVE_S:
        return None
    shape = _shape(_steps(bands, begin / SHAPE_HOP, end / SHAPE_HOP, SHAPE_STEPS))
    narrow = np.concatenate([power[:, PITCH_FIRST_BIN:PITCH_LAST_BIN] for power in _spectra(samples, PITCH_WINDOW, PITCH_HOP)])
    pitch = _pitch(_steps(narrow, begin / PITCH_HOP, end / PITCH_HOP, PITCH_STEPS))
    if shape is None or pitch is None:
        return None
    return Fingerprint(np.concatenate([shape, pitch]).astype(np.float32), active_s)


def _spectra(samples: Array, window: int, hop: int) -> Iterator[Array]:
    """Power spectra `[F, window / 2 + 1]`, centred on every `hop`-th sample, a few thousand at a time."""
    shape = np.hanning(window + 1)[:-1].astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, window // 2), window)[::hop]
    for start in range(0, len(frames), CHUNK_FRAMES):
        yield np.square(np.abs(np.fft.rfft(frames[start : start + CHUNK_FRAMES] * shape)))


@cache
def _bands() -> Array:
    """`[16, bins]`: which bins belong to which band, the bands being equally wide on a logarithmic scale."""
    frequencies = np.fft.rfftfreq(SHAPE_WINDOW, 1 / RATE_HZ)
    edges = np.geomspace(SHAPE_LOW_HZ, SHAPE_HIGH_HZ, SHAPE_BANDS + 1)
    return ((frequencies >= edges[:-1, None]) & (frequencies < edges[1:, None])).astype(np.float32)


def _steps(powers: Array, begin: float, end: float, count: int) -> NDArray[np.float64]:
    """Means `[count, bins]` of `[F, bins]` over equal steps from frame `begin` to frame `end`, parts of frames counted as such."""
    sums = np.concatenate([np.zeros((1, powers.shape[1])), np.cumsum(powers, axis=0, dtype=np.float64)])
    edges = np.clip(np.linspace(begin, end, count + 1), 0, len(powers))
    frames = np.minimum(edges.astype(np.int64), len(powers) - 1)
    parts = (edges - frames)[:, None]
    return np.maximum(np.diff(sums[frames] * (1 - parts) + sums[frames + 1] * parts, axis=0), 0)


def _shape(steps: NDArray[np.float64]) -> NDArray[np.float64] | None:
    levels = np.log(np.maximum(steps, SHAPE_FLOOR * steps.max(axis=0) + 1e-20))
    return _unit(_cosines(SHAPE_STEPS, 1, 1 + SHAPE_TIMES) @ (levels - levels.mean(axis=0)) @ _cosines(SHAPE_BANDS, 0, SHAPE_TONES).T)


def _pitch(steps: NDArray[np.float64]) -> NDArray[np.float64] | None:
    levels = np.log(np.maximum(steps, PITCH_FLOOR * steps.max() + 1e-20))
    return _unit(_cosines(PITCH_STEPS, 0, PITCH_TIMES) @ levels @ _cosines(levels.shape[1], *PITCH_QUEFRENCIES).T)


@cache
def _cosines(count: int, first: int, last: int) -> NDArray[np.float64]:
    """Rows `first` to `last` of the orthonormal cosine transform (type 2) of `count` values."""
    orders = np.arange(first, last)[:, None]
    basis = np.sqrt(2 / count) * np.cos(np.pi * orders * (np.arange(count) + 0.5) / count)
    return np.where(orders == 0, basis / np.sqrt(2), basis)


def _unit(coefficients: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Flattened and of length 1; None for a spectrum that never changes, of which nothing is left."""
    flat = coefficients.ravel()
    length = float(np.linalg.norm(flat))
    return flat / length if length > 1e-6 else None
