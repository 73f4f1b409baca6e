"""What an engine owes."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from valle_data.records import Batch
from valle_model.valle import Valle


@dataclass(frozen=True)
class StepResult:
    """One optimizer step. `sums`, `hits`, `counts` `[heads]` add up over all its targets (as in `loss.LossResult`).

    `taken` is false when the loss or the gradient was not finite: then nothing has changed.
    """

    loss: float
    grad_norm: float
    sums: Tensor
    hits: Tensor
    counts: Tensor
    taken: bool


class Engine(ABC):
    """Made from `(config, model, optimizer entry, clip_norm)`."""

    Config: ClassVar[Any]
    model: Valle

    @abstractmethod
    def step(self, batches: Sequence[Batch], lr_scale: float) -> StepResult:
        """One optimizer step over the mean of all targets of `batches`, with the learning rate times `lr_scale`."""

    @abstractmethod
    def evaluate(self, batch: Batch) -> StepResult:
        """The loss without learning from it; `grad_norm` is 0."""

    @abstractmethod
    def model_state(self) -> Mapping[str, Tensor]:
        """Weights by name, on the CPU."""

    @abstractmethod
    def optimizer_state(self) -> Mapping[str, Tensor]:
        """The optimizer's tensors by name, on the CPU."""

    @abstractmethod
    def load_optimizer_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what `optimizer_state` gave."""
