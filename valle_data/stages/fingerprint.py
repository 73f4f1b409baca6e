"""Fingerprint: a hash of the samples and a vector of the sound, by which `valle_data.duplicates` finds copies of one recording."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version

import numpy as np

from valle_data.config import StageConfig
from valle_data.errors import ReasonCode
from valle_data.fingerprint import DIMENSION, RATE_HZ, audio_hash, fingerprint
from valle_data.stages.base import Outcome, Stage, Tools, Work

SIDE = "fingerprint"


class FingerprintStage(Stage):
    """See the module. `active_s` is how long the utterance sounds; it is null, and there is no vector, where that is less than 0.2 s."""

    name = "fingerprint"
    reasons: frozenset[ReasonCode] = frozenset()
    columns = {"audio_hash": "text", "active_s": "float"}
    vectors = {SIDE: DIMENSION}

    class Config(StageConfig):
        """Nothing to choose: fingerprints are there to be compared."""

        def stamp(self) -> str:
            return f"numpy {np.__version__}, soxr {version('soxr')}"

    def __init__(self, config: "FingerprintStage.Config", tools: Tools) -> None:
        pass

    def process(self, works: Sequence[Work]) -> list[Outcome]:
        return [self._mark(work) for work in works]

    def _mark(self, work: Work) -> Work:
        samples = work.heard().at(RATE_HZ)
        found = fingerprint(samples)
        marked = work.scored(audio_hash=audio_hash(samples), active_s=found and found.active_s)
        return marked if found is None else replace(marked, vectors={**marked.vectors, SIDE: found.vector})
