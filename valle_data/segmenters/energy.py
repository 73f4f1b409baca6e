"""Utterances by level alone: what is louder than the recording's own background. For clean studio recordings; it takes a cough or a door for speech."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from valle_data.segmenters.base import Piece, Recording, Segmenter, SegmenterConfig
from valle_data.speech.intervals import SpeechFrames, SpeechRules, utterances

RATE_HZ = 16_000
FRAME = 320
SMOOTHING = 5
"""Frames of 20 ms over which levels are averaged: 100 ms, so that the closure of a stop consonant is no pause."""
BACKGROUND_QUANTILE, SPEECH_QUANTILE = 0.05, 0.95
SLOPE_DB = 6.0


class EnergySegmenter(Segmenter):
    """See the module."""

    class Config(SegmenterConfig, SpeechRules):
        """A frame `above_background_db` over the quietest twentieth of the recording is as likely speech as not; nothing under `floor_dbfs` is."""

        name: Literal["energy"] = "energy"
        above_background_db: float = Field(default=15.0, gt=0, le=80)
        floor_dbfs: float = Field(default=-55.0, ge=-120, le=0)

    def __init__(self, config: "EnergySegmenter.Config") -> None:
        self.config = config

    def suits(self, recording: Recording) -> bool:
        return True

    def pieces(self, recording: Recording) -> list[Piece]:
        samples = recording.sound.at(RATE_HZ)
        frames = self._speech_frames(samples)
        found = utterances(frames, samples, RATE_HZ, self.config, recording.own)
        return [Piece(place, scores={"vad_speech_ratio": frames.ratio(self.config.threshold, start_s=place.start_s, end_s=place.end_s)}) for place in found]

    def _speech_frames(self, samples: NDArray[np.float32]) -> SpeechFrames:
        """A logistic curve of the level above the background; speech without a pause has no background, so the gate is never over half its level."""
        num_frames = len(samples) // FRAME
        power = np.square(samples[: num_frames * FRAME].reshape(num_frames, FRAME), dtype=np.float64).mean(axis=1)
        if not num_frames:
            return SpeechFrames(np.zeros(0, dtype=np.float32), FRAME / RATE_HZ)
        smooth = np.convolve(np.pad(power, SMOOTHING // 2, mode="edge"), np.full(SMOOTHING, 1 / SMOOTHING), mode="valid")
        level = 10 * np.log10(np.maximum(smooth, 1e-12))
        background, loud = np.quantile(level, [BACKGROUND_QUANTILE, SPEECH_QUANTILE])
        gate = max(self.config.floor_dbfs, min(background + self.config.above_background_db, loud - self.config.above_background_db))
        return SpeechFrames((1 / (1 + np.exp((gate - level) / SLOPE_DB * 4))).astype(np.float32), FRAME / RATE_HZ)
