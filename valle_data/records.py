"""The records that flow: Utterance -> CodedUtterance -> shard and index row -> Example -> Batch -> codes -> waveform.

Shape letters: B batch, S packed positions, Q RVQ levels, T frames, N waveform samples, V codebook size.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from valle_data.errors import ReasonCode


@dataclass(frozen=True)
class AudioRef:
    """Where a stretch of a recording lies. `duration_s` None means: to the end; `channel` None means: mix all channels to one.

    With `offset` and `nbytes` the recording is that range of the file's bytes: a member of a tar, a cell of an Arrow file.
    """

    path: str
    start_s: float = 0.0
    duration_s: float | None = None
    channel: int | None = None
    offset: int | None = None
    nbytes: int | None = None


@dataclass(frozen=True)
class Utterance:
    """One speaker, one text, a stretch of a recording. `language` is a BCP 47 tag; an empty `text` is one that nobody has written down yet.

    `corpus` is the label of the corpus it comes from.
    """

    id: str
    audio: AudioRef
    text: str
    speaker: str
    group: str
    language: str
    extra: Mapping[str, str] = field(default_factory=dict)
    corpus: str = ""


@dataclass(frozen=True)
class CodecSpec:
    """What a language model needs to know of a codec. `weights_hash` is the sha256 of the weights' bytes; codes of two hashes never mix."""

    name: str
    weights_hash: str
    sample_rate_hz: int
    frame_rate_hz: float
    num_levels: int
    codebook_size: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(**data)

    def __str__(self) -> str:
        size = f"{self.num_levels} levels of {self.codebook_size} at {self.frame_rate_hz:g} Hz"
        return f"{self.name} {self.sample_rate_hz} Hz, {size}, weights {self.weights_hash[:12]}"


@dataclass(frozen=True)
class PlannedUtterance:
    """An utterance whose recording the planner has looked at: content digest of the file, header-only rate and duration.

    `fingerprint` hashes everything the result depends on: recording, stretch, text, language. A stretch of a recording that is longer than a part overlaps
    its neighbours by margins; the two of a pair cut at the same place within the `2 * margin` they share. `listed_id` is the recording's id then.
    """

    utterance: Utterance
    source_digest: str
    sample_rate_hz: int
    duration_s: float
    fingerprint: str
    begin_margin_s: float = 0.0
    end_margin_s: float = 0.0
    listed_id: str | None = None


@dataclass(frozen=True)
class CodedUtterance:
    """An utterance as the model sees it: `phones` are symbols, `codes` are uint16 `[Q, T]`.

    `scores` are columns of the index, `vectors` `[D]` by name go to side files. `planned_id` is the id of the recording's stretch as it was planned, where
    the utterance is a segment of it.
    """

    utterance: Utterance
    phones: tuple[str, ...]
    codes: NDArray[np.uint16]
    duration_s: float
    source_digest: str
    text_normalized: str
    scores: Mapping[str, float | str | None] = field(default_factory=dict)
    source_sample_rate_hz: int = 0
    vectors: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    planned_id: str | None = None


@dataclass(frozen=True)
class Rejection:
    """Why an utterance (or, where `utterance` is None, a path) was left out, and by which stage.

    `fingerprint` is a hash of what was rejected (audio, text, stretch): once it changes, the utterance is tried again. `attempts` counts how often it was
    tried before it was given up.
    """

    utterance: str | None
    path: str
    stage: str
    reason: ReasonCode
    message: str
    fingerprint: str = ""
    attempts: int = 1


@dataclass(frozen=True)
class Segment:
    """A stretch of a training example.

    `bags` holds one row of ids per position, `[L, K]`, -1 where a position has fewer than K ids; a position embeds as the sum of its ids.
    `start` and `step` place it in time, in frames: position i stands at `start + i * step`. Several segments may cover the same time.
    """

    role: str
    bags: NDArray[np.int64]
    start: float
    step: float = 1.0


@dataclass(frozen=True)
class Example:
    """One document: segments end to end, one of them predicted.

    `targets` `[P]` are classes of output head `head` for the P positions that begin at `target_start`. `causal` tells whether a position may
    see later positions of its document.
    """

    task: str
    level: int
    segments: tuple[Segment, ...]
    head: int
    target_start: int
    targets: NDArray[np.int64]
    causal: bool
    row: int

    @property
    def num_positions(self) -> int:
        return sum(len(segment.bags) for segment in self.segments)


@dataclass(frozen=True)
class Batch:
    """Documents packed end to end in S positions, causal documents first.

    `ids` `[M]` and `bag_starts` `[S]` give each position its ids (embedding-bag form). `times` `[S]` are positions in frames, relative to each
    document's own origin. Document d covers `lengths[d]` positions; the first `num_causal` documents are causal, the others see themselves whole.
    Position `target_positions[k]` predicts class `targets[k]` of head `heads[k]`. `rows` and `levels` `[D]` tell where documents came from.
    """

    ids: NDArray[np.int64]
    bag_starts: NDArray[np.int64]
    times: NDArray[np.float32]
    lengths: NDArray[np.int64]
    num_causal: int
    target_positions: NDArray[np.int64]
    targets: NDArray[np.int64]
    heads: NDArray[np.int64]
    rows: NDArray[np.int64]
    levels: NDArray[np.int64]

    @property
    def num_positions(self) -> int:
        return len(self.bag_starts)
