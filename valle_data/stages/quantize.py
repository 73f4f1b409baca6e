"""Quantize: waveform -> codes, in batches of similar length. By the codec's contract the codes are those of each waveform alone."""

from collections.abc import Sequence
from dataclasses import replace

from valle_data.config import StageConfig, speed
from valle_data.errors import InputError, ReasonCode
from valle_data.records import CodedUtterance
from valle_data.stages.base import Outcome, Stage, Tools, Work


class QuantizeStage(Stage):
    """See the module."""

    name = "quantize"
    reasons = frozenset({ReasonCode.CODE_OUT_OF_RANGE})

    class Config(StageConfig):
        """How much audio goes to the codec at once: speed and memory, never the codes."""

        batch_duration_s: float = speed(60.0, gt=0, le=3600)
        batch_size: int = speed(16, ge=1, le=1024)

    def __init__(self, config: "QuantizeStage.Config", tools: Tools) -> None:
        self.config = config
        self.codec = tools.codec
        self.report = tools.report

    def restore(self, work: Work, made: CodedUtterance) -> Work:
        return replace(work, codes=made.codes, sound=None)

    def process(self, works: Sequence[Work]) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        for batch in self._batches(works):
            self.report([works[index] for index in batch])
            waveforms = [works[index].heard().at(self.codec.spec.sample_rate_hz) for index in batch]
            for index, codes in zip(batch, self.codec.encode(waveforms), strict=True):
                try:
                    self.codec.check(codes)
                    outcomes[index] = replace(works[index], codes=codes, sound=None)
                except InputError as error:
                    outcomes[index] = error
        return [outcomes[index] for index in range(len(works))]

    def _batches(self, works: Sequence[Work]) -> list[list[int]]:
        """Indices by length, cut where a batch, padded to its longest, would exceed the limits."""
        batches: list[list[int]] = []
        for index in sorted(range(len(works)), key=lambda i: (works[i].duration_s, works[i].utterance.id)):
            padded_s = works[index].duration_s * (len(batches[-1]) + 1) if batches else 0.0
            if not batches or padded_s > self.config.batch_duration_s or len(batches[-1]) >= self.config.batch_size:
                batches.append([])
            batches[-1].append(index)
        return batches
