"""Decode: a stretch of a recording -> mono waveform at the codec's sample rate, read and resampled once, with loudness and peak as scores."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from valle_data.audio import AudioLimits, read_audio
from valle_data.errors import InputError, ReasonCode
from valle_data.stages.base import Stage, Tools, Work

FLOOR_DBFS = -120.0


class DecodeStage(Stage):
    """See the module."""

    name = "decode"
    reasons = frozenset(
        {
            ReasonCode.NOT_AUDIO,
            ReasonCode.TRUNCATED_AUDIO,
            ReasonCode.BAD_HEADER,
            ReasonCode.EMPTY_AUDIO,
            ReasonCode.SILENT_AUDIO,
            ReasonCode.CLIPPED_AUDIO,
            ReasonCode.NON_FINITE_AUDIO,
            ReasonCode.TOO_LONG,
            ReasonCode.TOO_SHORT,
        }
    )

    Config = AudioLimits

    def __init__(self, config: AudioLimits, tools: Tools) -> None:
        self.limits = config
        self.sample_rate_hz = tools.codec.spec.sample_rate_hz

    def process(self, works: Sequence[Work]) -> list[Work | InputError]:
        return [self._decode(work) for work in works]

    def _decode(self, work: Work) -> Work | InputError:
        try:
            waveform = read_audio(work.planned.utterance.audio, self.sample_rate_hz, self.limits)
        except InputError as error:
            return error
        return replace(work, waveform=waveform, duration_s=len(waveform) / self.sample_rate_hz, quality={**work.quality, **levels(waveform)})


def levels(waveform: NDArray[np.float32]) -> dict[str, float]:
    """Root mean square and peak of `[N]` in dB below full scale, not under -120."""
    rms, peak = float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64)))), float(np.abs(waveform).max())
    return {"rms_dbfs": _decibel(rms), "peak_dbfs": _decibel(peak)}


def _decibel(amplitude: float) -> float:
    return max(FLOOR_DBFS, 20 * float(np.log10(max(amplitude, 1e-12))))
