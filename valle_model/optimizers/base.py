"""What an optimizer entry owes."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from pydantic import PositiveFloat
from torch import nn
from torch.optim import Optimizer

from valle_data.config import EntryConfig


class OptimizerConfig(EntryConfig):
    """`lr` is the highest learning rate; the schedule scales it."""

    lr: PositiveFloat = 1e-3


class OptimizerEntry(ABC):
    """`Config` beside the class derives from OptimizerConfig."""

    Config: ClassVar[Any]

    @abstractmethod
    def make(self, model: nn.Module) -> Optimizer:
        """A torch optimizer over the model's trainable parameters."""
