"""What a stage owes."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from valle_data.codecs.base import Codec
from valle_data.errors import InputError, ReasonCode
from valle_data.records import CodedUtterance, PlannedUtterance, Rejection, Utterance
from valle_data.sound import Sound
from valle_data.text.phonemizers.base import Phonemizer

ColumnType = Literal["float", "text"]
SEGMENT_STEM = 56


@dataclass(frozen=True)
class Work:
    """An utterance on its way: each stage fills in its fields.

    `planned` is what the planner knew; `utterance` is how it stands: stages may give it another text, language or speaker, and a segment has an id and a
    stretch of its own. `sound` is gone once there are codes `[Q, T]`. `scores` become columns of the index, `vectors` `[D]` go to side files.
    """

    planned: PlannedUtterance
    utterance: Utterance
    sound: Sound | None = None
    duration_s: float = 0.0
    text_normalized: str = ""
    phones: tuple[str, ...] = ()
    codes: NDArray[np.uint16] | None = None
    scores: Mapping[str, float | str | None] = field(default_factory=dict)
    vectors: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    @classmethod
    def begin(cls, planned: PlannedUtterance) -> "Work":
        return cls(planned, planned.utterance)

    def heard(self) -> Sound:
        """The sound; only for stages between decode and quantize."""
        assert self.sound is not None, "decode has run, quantize has not"
        return self.sound

    def scored(self, **scores: float | str | None) -> "Work":
        """With these scores added. A number that is not finite is no score: it becomes null."""
        finite = {name: None if isinstance(value, float) and not np.isfinite(value) else value for name, value in scores.items()}
        return replace(self, scores={**self.scores, **finite})

    def segment(self, start_s: float, end_s: float) -> "Work":
        """The utterance from `start_s` to `end_s` of this one's sound: its stretch of the file, a stable id of its own, the same speaker and no text."""
        piece = self.heard().cut(start_s, end_s)
        audio = replace(self.utterance.audio, start_s=round(self.utterance.audio.start_s + start_s, 6), duration_s=round(piece.duration_s, 6))
        name = segment_id(self.utterance.id, audio.start_s, piece.duration_s)
        return replace(self, utterance=replace(self.utterance, id=name, audio=audio, text=""), sound=piece, duration_s=piece.duration_s)

    def coded(self) -> CodedUtterance:
        """The finished utterance."""
        assert self.codes is not None and self.phones, "every stage has run"
        return CodedUtterance(
            utterance=self.utterance,
            phones=self.phones,
            codes=self.codes,
            duration_s=self.duration_s,
            source_digest=self.planned.source_digest,
            text_normalized=self.text_normalized,
            scores=self.scores,
            source_sample_rate_hz=self.planned.sample_rate_hz,
            vectors=self.vectors,
            planned_id=None if self.utterance.id == self.planned.utterance.id else self.planned.utterance.id,
        )


def segment_id(parent: str, start_s: float, duration_s: float) -> str:
    """At most 90 characters of `a-z0-9_-`, the same for the same stretch of the same recording: readable start of the parent, place in ms, hash."""
    start_ms, duration_ms = round(start_s * 1000), round(duration_s * 1000)
    mark = hashlib.sha256(f"{parent} {start_ms} {duration_ms}".encode()).hexdigest()[:12]
    return f"{parent[:SEGMENT_STEM].rstrip('-_')}-{start_ms:09d}-{mark}"


def silent(_works: Sequence[Work]) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class Tools:
    """What stages share within a worker process, made when a stage first asks: one codec and one phonemizer, held for its life.

    A stage that takes long calls `report` with the works it is about to deal with: a sign of life, and a trace if they are the last it deals with.
    """

    make_codec: Callable[[], Codec]
    make_phonemizer: Callable[[], Phonemizer]
    report: Callable[[Sequence[Work]], None] = silent

    @cached_property
    def codec(self) -> Codec:
        return self.make_codec()

    @cached_property
    def phonemizer(self) -> Phonemizer:
        return self.make_phonemizer()


@dataclass(frozen=True)
class StageResult:
    """What a stage made of a list: the works that go on, in their order, and why the others do not."""

    kept: list[Work]
    rejected: list[Rejection]


Outcome = Work | Sequence[Work] | InputError
"""What becomes of a work: itself with more fields filled in, its segments in their place, or why it is rejected."""


class Stage(ABC):
    """One step. A class names its configuration (a `StageConfig`) as `Config` and is made from one and the shared tools.

    `reasons` are all the codes with which it may reject, `columns` the scores it writes, `vectors` the side vectors and their D. `version` is raised when
    results change. What becomes of an utterance never depends on the others in the list.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    reasons: ClassVar[frozenset[ReasonCode]]
    columns: ClassVar[Mapping[str, ColumnType]] = {}
    vectors: ClassVar[Mapping[str, int]] = {}
    gives_text: ClassVar[bool] = False
    """Whether utterances without a transcript may come in because this stage finds one."""
    gives_language: ClassVar[bool] = False
    """Whether utterances of an unknown language (`und`) may come in because this stage tells it."""
    cuts: ClassVar[bool] = False
    """Whether it cuts long recordings, so that those may come in."""
    reads: ClassVar[frozenset[str]] = frozenset({"sound"})
    """Which of sound, text and language its results depend on, beside its options."""
    writes: ClassVar[frozenset[str]] = frozenset()
    """Which of them it changes."""
    Config: ClassVar[Any]

    @abstractmethod
    def __init__(self, config: Any, tools: Tools) -> None: ...

    def restore(self, work: Work, made: CodedUtterance) -> Work:
        """`work` as this stage would leave it, from an utterance that the same stage with the same options made of the same input."""
        scores = {name: made.scores.get(name) for name in self.columns}
        vectors = {name: made.vectors[name] for name in self.vectors if name in made.vectors}
        return replace(work, scores={**work.scores, **scores}, vectors={**work.vectors, **vectors})

    @abstractmethod
    def process(self, works: Sequence[Work]) -> list[Outcome]:
        """The outcome of each work; same order, same length."""

    def run(self, works: Sequence[Work], given: Mapping[int, Sequence[Work]] = MappingProxyType({})) -> StageResult:
        """`process`, with segments put in the place of their recording and rejected utterances written up for the quarantine.

        `given` says of some places in the list what the stage would make of the work there, which it is not asked then.
        """
        kept: list[Work] = []
        rejected: list[Rejection] = []
        processed = zip(fresh := [index for index in range(len(works)) if index not in given], self.process([works[index] for index in fresh]), strict=True)
        outcomes: dict[int, Outcome] = {**given, **dict(processed)}
        for index, work in enumerate(works):
            outcome = outcomes[index]
            if isinstance(outcome, Work):
                kept.append(outcome)
            elif not isinstance(outcome, InputError):
                kept += outcome
            elif outcome.reason in self.reasons:
                rejected.append(rejection(work, self.name, outcome))
            else:  # a failing disk or another fault of the machine: no fault of the utterance
                raise outcome
        return StageResult(kept, rejected)


def rejection(work: Work, stage: str, error: InputError, attempts: int = 1) -> Rejection:
    """A quarantine entry for an utterance."""
    utterance = work.utterance
    return Rejection(utterance.id, utterance.audio.path, stage, error.reason, str(error.args[0]), work.planned.fingerprint, attempts)
