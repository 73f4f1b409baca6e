"""What a quality model owes."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from valle_data.config import EntryConfig, StageConfig

RATE_HZ = 16_000


class QualityModelConfig(EntryConfig, StageConfig):
    """Configuration of a quality model. Its `stamp` names the packages and the weights behind the scores."""


class QualityModel(ABC):
    """A sound at 16 kHz -> scores, each a column that the stage `quality` declares. A class names its configuration as `Config` and is made from one."""

    Config: ClassVar[Any]
    columns: ClassVar[tuple[str, ...]]

    @abstractmethod
    def score(self, samples: NDArray[np.float32]) -> dict[str, float]:
        """A finite or NaN number for each of `columns`. `samples` `[N]` are at least 0.2 s."""
