"""What a stage owes."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from valle_data.codecs.base import Codec
from valle_data.errors import InputError, ReasonCode
from valle_data.records import CodedUtterance, PlannedUtterance, Rejection
from valle_data.text.phonemizers.base import Phonemizer


@dataclass(frozen=True)
class Work:
    """An utterance on its way: each stage fills in its fields. `waveform` `[N]` is mono at the codec's rate, `codes` are `[Q, T]`."""

    planned: PlannedUtterance
    waveform: NDArray[np.float32] | None = None
    duration_s: float = 0.0
    text_normalized: str = ""
    phones: tuple[str, ...] = ()
    codes: NDArray[np.uint16] | None = None
    quality: Mapping[str, float] = field(default_factory=dict)

    def coded(self) -> CodedUtterance:
        """The finished utterance."""
        assert self.codes is not None and self.phones, "every stage has run"
        return CodedUtterance(
            utterance=self.planned.utterance,
            phones=self.phones,
            codes=self.codes,
            duration_s=self.duration_s,
            source_digest=self.planned.source_digest,
            text_normalized=self.text_normalized,
            quality=self.quality,
            source_sample_rate_hz=self.planned.sample_rate_hz,
        )


@dataclass(frozen=True)
class Tools:
    """What stages share within a worker process: one codec and one phonemizer, held for its life."""

    codec: Codec
    phonemizer: Phonemizer


@dataclass(frozen=True)
class StageResult:
    """What a stage made of a list: the works that go on, in their order, and why the others do not."""

    kept: list[Work]
    rejected: list[Rejection]


class Stage(ABC):
    """One step. A class names its configuration as `Config` and is made from one and the shared tools.

    `reasons` are all the codes with which it may reject. What becomes of an utterance never depends on the others in the list.
    """

    name: ClassVar[str]
    reasons: ClassVar[frozenset[ReasonCode]]
    Config: ClassVar[Any]

    @abstractmethod
    def __init__(self, config: Any, tools: Tools) -> None: ...

    @abstractmethod
    def process(self, works: Sequence[Work]) -> list[Work | InputError]:
        """Each work with this stage's fields filled in, or why it is rejected; same order, same length."""

    def run(self, works: Sequence[Work]) -> StageResult:
        """`process`, with rejected utterances written up for the quarantine."""
        kept: list[Work] = []
        rejected: list[Rejection] = []
        for work, outcome in zip(works, self.process(works), strict=True):
            if isinstance(outcome, Work):
                kept.append(outcome)
                continue
            if outcome.reason not in self.reasons:  # a failing disk or another fault of the machine: no fault of the utterance
                raise outcome
            rejected.append(rejection(work.planned, self.name, outcome))
        return StageResult(kept, rejected)


def rejection(planned: PlannedUtterance, stage: str, error: InputError) -> Rejection:
    """A quarantine entry for an utterance."""
    utterance = planned.utterance
    return Rejection(utterance.id, utterance.audio.path, stage, error.reason, str(error.args[0]), planned.fingerprint)
