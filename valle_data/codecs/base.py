"""What a codec owes."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from valle_data.errors import InputError, ReasonCode, UsageError
from valle_data.records import CodecSpec


class EncoderStream(ABC):
    """Codes of a waveform that arrives piece by piece. All that `push` and `finish` return, joined, are the codes `encode` gives the whole waveform."""

    @abstractmethod
    def push(self, samples: NDArray[np.float32]) -> NDArray[np.uint16]:
        """Take the next samples `[N]`, any number; return the codes `[Q, T]` that became certain, T >= 0."""

    @abstractmethod
    def finish(self) -> NDArray[np.uint16]:
        """The codes of what is left. Nothing can be pushed afterwards."""


class DecoderStream(ABC):
    """Sound of codes that arrive piece by piece: all that `push` and `finish` return, joined, is what `decode` makes of all codes, to fp32 rounding."""

    @abstractmethod
    def push(self, codes: NDArray[np.uint16]) -> NDArray[np.float32]:
        """Take the next frames `[Q', T]`, the same Q' each time; return the samples `[N]` that became certain, N >= 0."""

    @abstractmethod
    def finish(self) -> NDArray[np.float32]:
        """The samples that are left. Nothing can be pushed afterwards."""


class Codec(ABC):
    """Waveform <-> codes. Codes of a waveform never depend on what else is in the batch.

    A class names its configuration as `Config`; its instances carry `spec`. Waveforms are float32 in -1..1, mono `[N]`, at
    `spec.sample_rate_hz`; codes are uint16 `[Q, T]` with T = ceil(N * frame rate / sample rate). Both methods work in blocks, so that their memory is
    bounded for recordings of hours; which codes that leaves as one pass would give them: docs/codecs.md.

    `lookahead_samples` tells how much of the future a frame's codes and sound depend on, encoder and decoder together: 0 is causal, None the whole
    utterance. Causal codecs stream.
    """

    Config: ClassVar[Any]
    spec: CodecSpec
    lookahead_samples: int | None = None

    @property
    def hop(self) -> int:
        """Samples in a frame."""
        return round(self.spec.sample_rate_hz / self.spec.frame_rate_hz)

    @abstractmethod
    def encode(self, waveforms: Sequence[NDArray[np.float32]]) -> list[NDArray[np.uint16]]:
        """Codes of each waveform."""

    @abstractmethod
    def decode(self, codes: NDArray[np.uint16]) -> NDArray[np.float32]:
        """Waveform `[T * hop]` of codes `[Q', T]`, 1 <= Q' <= Q: fewer levels sound coarser."""

    def stream_encoder(self) -> EncoderStream:
        """A fresh stream. UsageError where a frame's codes depend on what comes later."""
        raise UsageError(self._no_stream("encode"))

    def stream_decoder(self) -> DecoderStream:
        """A fresh stream. UsageError where a frame's sound depends on what comes later."""
        raise UsageError(self._no_stream("decode"))

    def _no_stream(self, whole: str) -> str:
        seen = "the whole utterance" if self.lookahead_samples is None else f"{self.lookahead_samples} samples ahead"
        return (
            f"Only a causal codec can stream; {type(self).__name__} ({self.spec.name}, {self.spec.sample_rate_hz} Hz) looks at {seen}. "
            f"Use `{whole}`, or choose encodec at 24000 Hz or mimi."
        )

    def check(self, codes: NDArray[np.uint16]) -> None:
        """Refuse codes that this codec cannot have written."""
        if codes.ndim != 2 or not 1 <= codes.shape[0] <= self.spec.num_levels:
            raise InputError(ReasonCode.DATASET_MISMATCH, f"Codes are [Q, T] with at most {self.spec.num_levels} levels; these have shape {list(codes.shape)}.")
        if codes.size and int(codes.max()) >= self.spec.codebook_size:
            raise InputError(
                ReasonCode.CODE_OUT_OF_RANGE, f"Code {int(codes.max())} is not below the codebook size {self.spec.codebook_size} of codec {self.spec.name!r}."
            )

    def check_waveform(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """The waveform as float32; refuses other shapes than mono, and NaN or infinity, which would become codes that mean nothing."""
        if waveform.ndim != 1:
            raise InputError(
                ReasonCode.BAD_HEADER, f"A codec takes mono waveforms [N]; this one has shape {list(waveform.shape)}. Mix the channels, or choose one."
            )
        if not np.isfinite(waveform).all():
            raise InputError(ReasonCode.NON_FINITE_AUDIO, f"Sample {int(np.argmin(np.isfinite(waveform)))} is not finite. Export the recording again.")
        return np.asarray(waveform, dtype=np.float32)
