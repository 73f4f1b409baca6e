"""What a speaker encoder owes."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from valle_data.config import EntryConfig, StageConfig

RATE_HZ = 16_000


class SpeakerEncoderConfig(EntryConfig, StageConfig):
    """Configuration of a speaker encoder. Its `stamp` names the packages and the weights behind the vectors."""


class SpeakerEncoder(ABC):
    """Waveforms -> unit vectors whose inner product says how alike two voices are. A class names its configuration as `Config` and is made from one.

    `dimension` is D. A vector never depends on what else is in the list.
    """

    Config: ClassVar[Any]
    dimension: int

    @abstractmethod
    def embed(self, waveforms: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """`[n, D]` for float32 `[N]` at 16 kHz, each at least half a second; a row of NaN where no voice is heard."""


def unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """`[D]` of length 1; NaN for the zero vector, which points nowhere."""
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length > 0 else np.full_like(vector, np.nan)
