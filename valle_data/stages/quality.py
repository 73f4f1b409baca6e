"""Quality: what the samples say (noise, clipping, bandwidth, silence) and, where they are asked for, models of listeners' ratings, all as scores."""

from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np

from valle_data.acoustics import activity, bandwidth, clipped_fraction
from valle_data.config import StageConfig, from_table
from valle_data.errors import ReasonCode
from valle_data.quality_models import QUALITY_MODELS
from valle_data.quality_models.base import RATE_HZ, QualityModel, QualityModelConfig
from valle_data.sound import Sound
from valle_data.stages.base import ColumnType, Outcome, Stage, Tools, Work

MEASURED: dict[str, ColumnType] = dict.fromkeys(
    ("snr_db", "speech_ratio", "silence_begin_s", "silence_end_s", "clipped_fraction", "dc_offset", "bandwidth_hz"), "float"
)
RATED: dict[str, ColumnType] = dict.fromkeys(("dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl", "utmos"), "float")


class QualityStage(Stage):
    """See the module. A score that a sound is too short for, and that of a model that was not asked for, is null; so is the noise where nobody speaks."""

    name = "quality"
    reasons: frozenset[ReasonCode] = frozenset()
    columns = {**MEASURED, **RATED}

    class Config(StageConfig):
        """`models` names quality models, as `models: [dnsmos]` or `models: [{name: dnsmos, weights: sig_bak_ovr.onnx}]`."""

        models: tuple[from_table(QUALITY_MODELS), ...] = ()

        def options(self) -> dict[str, Any]:
            return {"models": [model.options() for model in self._models]}

        def stamp(self) -> str:
            return "; ".join([f"numpy {np.__version__}, soxr {version('soxr')}", *(f"{model.name}: {model.stamp()}" for model in self._models)])

        @property
        def _models(self) -> tuple[QualityModelConfig, ...]:
            return self.models

    def __init__(self, config: "QualityStage.Config", tools: Tools) -> None:
        self.config = config

    @cached_property
    def models(self) -> list[QualityModel]:
        return [QUALITY_MODELS.build(config) for config in self.config.models]

    def process(self, works: Sequence[Work]) -> list[Outcome]:
        return [self._judge(work) for work in works]

    def _judge(self, work: Work) -> Work:
        sound = work.heard()
        scores = {**dict.fromkeys(RATED), **measure(sound)}
        if scores["speech_ratio"] is not None:
            for model in self.models:
                scores |= model.score(sound.at(RATE_HZ))
        return work.scored(**scores)


def measure(sound: Sound) -> dict[str, float | None]:
    """The scores that need no model. Speech and noise are looked for at 16 kHz, clipping and bandwidth at the sound's own rate."""
    heard = activity(sound.at(RATE_HZ), RATE_HZ)
    return {
        "snr_db": heard and heard.snr_db(),
        "speech_ratio": heard and heard.speech_ratio,
        "silence_begin_s": heard and heard.silence_begin_s(),
        "silence_end_s": heard and heard.silence_end_s(),
        "clipped_fraction": clipped_fraction(sound.samples),
        "dc_offset": float(sound.samples.mean(dtype=np.float64)) if len(sound.samples) else None,
        "bandwidth_hz": bandwidth(sound.samples, sound.sample_rate_hz),
    }
