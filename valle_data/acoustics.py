"""What can be told of a recording's quality from its samples alone: where it is loud, how far speech stands above the noise, clipping, bandwidth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FRAME_S = 0.02
MIN_FRAMES = 10
NOISE_PERCENTILE = 10
NOISE_BIAS_DB = 0.5  # of the 10th percentile below the mean, for 320 samples of white noise
SPEECH_PERCENTILE = 95
FLOOR_POWER = 1e-10  # -100 dBFS: nothing recorded is quieter
MIN_SPREAD_DB = 3.0
SHARE_OF_SPREAD = 0.35
SPEECH_RANGE_DB = 35.0
SHORTEST_SOUND_FRAMES = 3
LONGEST_CLOSURE_FRAMES = 10

FULL_SCALE = 0.999
FLAT_TOP_PEAK = 0.05
FLAT_TOP_SHARE = 0.98

WINDOW_S = 0.032
MAX_GROUPS = 100
BAND_PERCENTILE = 90
BAND_RANGE_DB = 60.0
SMOOTHED_BINS = 5


@dataclass(frozen=True)
class Activity:
    """`powers` `[F]` are variances of frames of 20 ms, `is_speech` `[F]` says which hold speech, `noise_power` is that of the background."""

    powers: NDArray[np.float64]
    is_speech: NDArray[np.bool_]
    noise_power: float

    @property
    def speech_ratio(self) -> float:
        """Share of the time with speech, 0 to 1."""
        return float(self.is_speech.mean())

    def silence_begin_s(self) -> float | None:
        """Seconds before the first speech; None where there is none."""
        return float(np.argmax(self.is_speech)) * FRAME_S if self.is_speech.any() else None

    def silence_end_s(self) -> float | None:
        """Seconds after the last speech."""
        return float(np.argmax(self.is_speech[::-1])) * FRAME_S if self.is_speech.any() else None

    def snr_db(self) -> float | None:
        """Power of the speech frames, less the noise in them, over that of the noise; None without speech.

        The noise is the 10th percentile of the frame powers, as in minimum statistics (Martin, "Noise power spectral density estimation based on optimal
        smoothing and minimum statistics", 2001): it needs pauses, and where there are none the weakest sounds of the speech are taken for noise, so the
        figure is then too low. Within about 1 dB from 10 dB on, some 2 dB too high at 5 dB, where weak sounds drown. WADA-SNR (Kim and Stern,
        2008) was farther off on the same recordings: its model of the amplitudes breaks where there are long pauses.
        """
        if not self.is_speech.any():
            return None
        speech_power = float(self.powers[self.is_speech].mean()) - self.noise_power
        return 10 * float(np.log10(max(speech_power, self.noise_power / 100) / self.noise_power))


def activity(samples: NDArray[np.float32], sample_rate_hz: int) -> Activity | None:
    """Speech by energy in mono `[N]`; None under 0.2 s.

    A frame holds speech if its level lies 35 % of the way from the background (10th percentile) to the speech (95th percentile) or more, and within 35 dB
    of the latter. Sounds under 60 ms are clicks, gaps up to 0.2 s belong to the speech. Levels that spread over less than 3 dB are no speech.
    """
    frame = round(FRAME_S * sample_rate_hz)
    num_frames = len(samples) // frame
    if num_frames < MIN_FRAMES:
        return None
    frames = samples[: num_frames * frame].reshape(num_frames, frame)
    powers = np.maximum(frames.var(axis=1, dtype=np.float64), FLOOR_POWER)  # about the frame's own mean: an offset or slow drift is no sound
    levels = 10 * np.log10(powers)
    noise_db, speech_db = np.percentile(levels, [NOISE_PERCENTILE, SPEECH_PERCENTILE])
    threshold_db = max(noise_db + SHARE_OF_SPREAD * (speech_db - noise_db), speech_db - SPEECH_RANGE_DB)
    is_speech = (levels >= threshold_db) & (speech_db - noise_db >= MIN_SPREAD_DB)
    is_speech = _without_runs(is_speech, value=True, shorter_than=SHORTEST_SOUND_FRAMES)
    is_speech = _without_runs(is_speech, value=False, shorter_than=LONGEST_CLOSURE_FRAMES + 1)
    return Activity(powers, is_speech, float(10 ** ((noise_db + NOISE_BIAS_DB) / 10)))


def _without_runs(mask: NDArray[np.bool_], *, value: bool, shorter_than: int) -> NDArray[np.bool_]:
    """With short runs of `value` turned over; pauses at the two ends are no gaps and stay."""
    edges = np.flatnonzero(np.diff(mask)) + 1
    starts, ends = np.concatenate([[0], edges]), np.concatenate([edges, [len(mask)]])
    inner = (starts > 0) & (ends < len(mask)) if not value else np.ones(len(starts), bool)
    turned = mask.copy()
    for start, end in zip(starts[inner], ends[inner], strict=True):
        if mask[start] == value and end - start < shorter_than:
            turned[start:end] = not value
    return turned


def clipped_fraction(samples: NDArray[np.float32]) -> float | None:
    """Share of `[N]` at full scale or on a flat top near the peak, where a recording was clipped and turned down later; None for no samples."""
    if not len(samples):
        return None
    sizes = np.abs(samples)
    clipped = sizes >= FULL_SCALE
    peak = float(sizes.max())
    if peak >= FLAT_TOP_PEAK:
        flat = (np.diff(samples) == 0) & (sizes[1:] >= FLAT_TOP_SHARE * peak)
        runs = flat[1:] & flat[:-1]  # three equal samples: a sine has no more than two
        for offset in range(3):
            clipped[offset : offset + len(runs)] |= runs
    return float(clipped.mean())


def bandwidth(samples: NDArray[np.float32], sample_rate_hz: int) -> float | None:
    """The highest frequency in Hz with energy in mono `[N]`; None under 32 ms and for silence.

    The spectrum is that of the loudest tenth of the time, frequency by frequency, so that hissing sounds count however rare they are and a single click does
    not; energy is what lies within 60 dB of its maximum. Speech from a telephone or a low-rate MP3 shows its 4 to 16 kHz whatever the file's sample rate.
    """
    size = 1 << round(np.log2(WINDOW_S * sample_rate_hz))
    if len(samples) < size:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::size]
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    groups = np.array_split(np.arange(len(frames)), min(MAX_GROUPS, len(frames)))
    spectra = np.stack([_mean_power(frames[group[0] : group[-1] + 1], window) for group in groups])
    smooth = np.convolve(np.percentile(spectra, BAND_PERCENTILE, axis=0), np.full(SMOOTHED_BINS, 1 / SMOOTHED_BINS), "same")
    if smooth.max() <= 0:
        return None
    highest = int(np.flatnonzero(smooth >= smooth.max() * 10 ** (-BAND_RANGE_DB / 10))[-1])
    return min(highest * sample_rate_hz / size, sample_rate_hz / 2)


def _mean_power(frames: NDArray[np.float32], window: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean power spectrum of frames `[F, n]`, a few at a time: a group of a long recording has thousands."""
    total = np.zeros(len(window) // 2 + 1)
    for start in range(0, len(frames), 256):
        total += np.square(np.abs(np.fft.rfft(frames[start : start + 256] * window)), dtype=np.float64).sum(axis=0)
    return total / len(frames)
