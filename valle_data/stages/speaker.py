"""Speaker: a vector for the voice of each utterance, from which similar utterances and the speakers of an unlabelled corpus are found later."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from valle_data.config import StageConfig, from_table
from valle_data.errors import ReasonCode
from valle_data.sound import Sound
from valle_data.speaker_encoders import SPEAKER_ENCODERS
from valle_data.speaker_encoders.base import RATE_HZ, SpeakerEncoder, SpeakerEncoderConfig
from valle_data.stages.base import Outcome, Stage, Tools, Work

SIDE = "speaker"


class SpeakerStage(Stage):
    """See the module. An utterance that is too short, or in which no voice is heard, gets no vector.

    `vectors` names the D of the default encoder; wavlm has 512 and ecapa 192.
    """

    name = "speaker"
    reasons: frozenset[ReasonCode] = frozenset()
    vectors = {SIDE: 256}

    class Config(StageConfig):
        """Of a sound longer than `max_duration_s` the encoder hears the middle: more adds nothing but time and memory."""

        encoder: from_table(SPEAKER_ENCODERS) = "resemblyzer"
        min_duration_s: float = Field(default=0.5, ge=0.5, le=60)
        max_duration_s: float = Field(default=30.0, ge=1, le=600)

        def options(self) -> dict[str, Any]:
            return {**super().options(), "encoder": self._encoder.options()}

        def stamp(self) -> str:
            return self._encoder.stamp()

        @property
        def _encoder(self) -> SpeakerEncoderConfig:
            return self.encoder

    def __init__(self, config: "SpeakerStage.Config", tools: Tools) -> None:
        self.config = config

    @cached_property
    def encoder(self) -> SpeakerEncoder:
        return SPEAKER_ENCODERS.build(self.config.encoder)

    def process(self, works: Sequence[Work]) -> list[Outcome]:
        return [self._embed(work) for work in works]

    def _embed(self, work: Work) -> Work:
        sound = work.heard()
        if sound.duration_s < self.config.min_duration_s:
            return work
        vector = self.encoder.embed([self._middle(sound)])[0]
        return replace(work, vectors={**work.vectors, SIDE: vector}) if np.isfinite(vector).all() else work

    def _middle(self, sound: Sound) -> NDArray[np.float32]:
        samples, most = sound.at(RATE_HZ), round(self.config.max_duration_s * RATE_HZ)
        start = max(0, (len(samples) - most) // 2)
        return samples[start : start + most]
