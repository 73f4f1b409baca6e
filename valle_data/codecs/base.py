"""What a codec owes."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from valle_data.errors import InputError, ReasonCode
from valle_data.records import CodecSpec


class Codec(ABC):
    """Waveform <-> codes. Codes of a waveform never depend on what else is in the batch.

    A class names its configuration as `Config`; its instances carry `spec`. Waveforms are float32 in -1..1, mono `[N]`, at
    `spec.sample_rate_hz`; codes are uint16 `[Q, T]` with T = ceil(N * frame rate / sample rate).
    """

    Config: ClassVar[Any]
    spec: CodecSpec

    @abstractmethod
    def encode(self, waveforms: Sequence[NDArray[np.float32]]) -> list[NDArray[np.uint16]]:
        """Codes of each waveform."""

    @abstractmethod
    def decode(self, codes: NDArray[np.uint16]) -> NDArray[np.float32]:
        """Waveform `[T * hop]` of codes `[Q', T]`, 1 <= Q' <= Q: fewer levels sound coarser."""

    def check(self, codes: NDArray[np.uint16]) -> None:
        """Refuse codes that this codec cannot have written."""
        if codes.ndim != 2 or not 1 <= codes.shape[0] <= self.spec.num_levels:
            raise InputError(ReasonCode.DATASET_MISMATCH, f"Codes are [Q, T] with at most {self.spec.num_levels} levels; these have shape {list(codes.shape)}.")
        if codes.size and int(codes.max()) >= self.spec.codebook_size:
            raise InputError(
                ReasonCode.CODE_OUT_OF_RANGE, f"Code {int(codes.max())} is not below the codebook size {self.spec.codebook_size} of codec {self.spec.name!r}."
            )
