"""Loudness and true peak of a waveform (ITU-R BS.1770-4), and the gain that brings it to a wanted loudness."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import soxr
from numpy.typing import NDArray

BLOCK_S = 0.4
STEP_S = 0.1
MIN_DURATION_S = 0.1
ABSOLUTE_GATE_LUFS = -70.0
RELATIVE_GATE_LU = -10.0
OFFSET_DB = -0.691
TRUE_PEAK_HZ = 192_000
MAX_OVERSAMPLING = 4


@dataclass(frozen=True)
class Biquad:
    """A second-order filter: `numerator` b0, b1, b2 and `denominator` 1, a1, a2."""

    numerator: tuple[float, float, float]
    denominator: tuple[float, float, float]


def integrated_loudness(samples: NDArray[np.float32], sample_rate_hz: int) -> float | None:
    """Gated loudness of mono `[N]` in LUFS (BS.1770-4, annex 1); None under 0.1 s and where nothing is louder than -70 LUFS.

    Blocks of 0.4 s every 0.1 s; what is left at the end and fills no block is not measured, as in the standard. A sound of 0.1 to 0.4 s, for which the
    standard says nothing, is one block of its own length.
    """
    if len(samples) < MIN_DURATION_S * sample_rate_hz:
        return None
    powers = _block_powers(_weighted(samples, sample_rate_hz), sample_rate_hz)
    heard = powers[powers > _power(ABSOLUTE_GATE_LUFS)]
    if not len(heard):
        return None
    relative = _power(_loudness(float(heard.mean())) + RELATIVE_GATE_LU)
    return _loudness(float(heard[heard > relative].mean()))


def true_peak(samples: NDArray[np.float32], sample_rate_hz: int) -> float:
    """Largest magnitude of mono `[N]` between the samples too (BS.1770-4, annex 2); 0 for no samples.

    It is that of the signal at four times its rate, or at 192 kHz where that is less: the annex asks for no more of higher rates.
    """
    if not len(samples):
        return 0.0
    peak = float(np.abs(samples).max())
    rate = min(MAX_OVERSAMPLING * sample_rate_hz, TRUE_PEAK_HZ)
    if rate <= sample_rate_hz or peak == 0:
        return peak
    return max(peak, float(np.abs(soxr.resample(samples, sample_rate_hz, rate, quality="HQ")).max(initial=0.0)))


def decibel(amplitude: float) -> float | None:
    """dB below full scale; None for silence."""
    return 20 * float(np.log10(amplitude)) if amplitude > 0 else None


def wanted_gain(loudness_lufs: float, true_peak_dbfs: float, *, target_lufs: float, max_true_peak_dbfs: float, max_gain_db: float) -> float:
    """Gain in dB that brings a sound to `target_lufs`, or as near as its true peak may go."""
    return min(target_lufs - loudness_lufs, max_true_peak_dbfs - true_peak_dbfs, max_gain_db)


@cache
def k_weighting(sample_rate_hz: int) -> tuple[Biquad, Biquad]:
    """The two filters of K-weighting: the head (a high shelf), then the low-frequency cut.

    The standard gives coefficients for 48 kHz only (tables 1 and 2); these are the bilinear transforms of the analogue filters behind them, whose
    parameters were found by De Man, "Evaluation of Implementations of the EBU R128 Loudness Measurement", AES 2018.
    """
    k, q = float(np.tan(np.pi * 1681.974450955533 / sample_rate_hz)), 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    scale = 1 + k / q + k * k
    shelf = Biquad(
        ((high + band * k / q + k * k) / scale, 2 * (k * k - high) / scale, (high - band * k / q + k * k) / scale),
        (1.0, 2 * (k * k - 1) / scale, (1 - k / q + k * k) / scale),
    )
    k, q = float(np.tan(np.pi * 38.13547087602444 / sample_rate_hz)), 0.5003270373238773
    scale = 1 + k / q + k * k
    return shelf, Biquad((1.0, -2.0, 1.0), (1.0, 2 * (k * k - 1) / scale, (1 - k / q + k * k) / scale))


def _weighted(samples: NDArray[np.float32], sample_rate_hz: int) -> NDArray[np.float64]:
    from scipy.signal import sosfilt

    sections = np.array([[*biquad.numerator, *biquad.denominator] for biquad in k_weighting(sample_rate_hz)])
    return np.asarray(sosfilt(sections, samples.astype(np.float64)))


def _block_powers(weighted: NDArray[np.float64], sample_rate_hz: int) -> NDArray[np.float64]:
    """Mean square of each block."""
    sums = np.concatenate([[0.0], np.cumsum(np.square(weighted))])
    num_blocks = int((len(weighted) / sample_rate_hz - BLOCK_S) / STEP_S + 1e-9) + 1
    if len(weighted) < BLOCK_S * sample_rate_hz:
        return sums[-1:] / len(weighted)
    starts = np.round(np.arange(num_blocks) * STEP_S * sample_rate_hz).astype(np.int64)
    ends = np.minimum(starts + round(BLOCK_S * sample_rate_hz), len(weighted))
    return (sums[ends] - sums[starts]) / (ends - starts)


def _loudness(power: float) -> float:
    return OFFSET_DB + 10 * float(np.log10(power))


def _power(loudness_lufs: float) -> float:
    return float(10 ** ((loudness_lufs - OFFSET_DB) / 10))
