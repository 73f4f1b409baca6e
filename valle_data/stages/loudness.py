"""Loudness: integrated loudness and true peak as scores and, where a target is given, a gain on the sound before it is quantized."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version

import numpy as np
from pydantic import Field

from valle_data.config import StageConfig
from valle_data.errors import ReasonCode
from valle_data.loudness import decibel, integrated_loudness, true_peak, wanted_gain
from valle_data.sound import Sound
from valle_data.stages.base import Outcome, Stage, Tools, Work


class LoudnessStage(Stage):
    """See the module. `loudness_lufs` and `true_peak_dbfs` are those of the recording; `gain_db` is null where no gain was asked for or none is known."""

    name = "loudness"
    version = "2"
    reasons: frozenset[ReasonCode] = frozenset()
    columns = {"loudness_lufs": "float", "true_peak_dbfs": "float", "gain_db": "float"}

    writes = frozenset({"sound"})

    class Config(StageConfig):
        """Without `target_lufs` the sound is only measured. With it, the true peak and `max_gain_db` keep the gain down, so that nothing clips."""

        target_lufs: float | None = Field(default=None, ge=-60, le=-5)
        max_true_peak_dbfs: float = Field(default=-1.0, ge=-20, le=0)
        max_gain_db: float = Field(default=30.0, ge=0, le=60)

        def stamp(self) -> str:
            return " ".join(f"{package} {version(package)}" for package in ("scipy", "soxr"))

    def __init__(self, config: "LoudnessStage.Config", tools: Tools) -> None:
        self.config = config

    def process(self, works: Sequence[Work]) -> list[Outcome]:
        return [self._measure(work) for work in works]

    def _measure(self, work: Work) -> Work:
        sound = work.heard()
        loudness_lufs = integrated_loudness(sound.samples, sound.sample_rate_hz)
        peak_dbfs = decibel(true_peak(sound.samples, sound.sample_rate_hz))
        gain_db = self._gain(loudness_lufs, peak_dbfs)
        if gain_db is not None:
            work = replace(work, sound=Sound(sound.samples * np.float32(10 ** (gain_db / 20)), sound.sample_rate_hz))
        return work.scored(loudness_lufs=loudness_lufs, true_peak_dbfs=peak_dbfs, gain_db=gain_db)

    def _gain(self, loudness_lufs: float | None, peak_dbfs: float | None) -> float | None:
        """None where the sound stays as it is."""
        options = self.config
        if options.target_lufs is None or loudness_lufs is None or peak_dbfs is None:
            return None
        return wanted_gain(
            loudness_lufs,
            peak_dbfs,
            target_lufs=options.target_lufs,
            max_true_peak_dbfs=options.max_true_peak_dbfs,
            max_gain_db=options.max_gain_db,
        )
