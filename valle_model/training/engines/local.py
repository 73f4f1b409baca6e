"""One process, one device, plain torch."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from pydantic import Field, NonNegativeInt
from torch import Tensor

from valle_data.config import EntryConfig
from valle_data.records import Batch
from valle_model.device import pick_device, pick_precision
from valle_model.loss import LossResult
from valle_model.optimizers.base import OptimizerEntry
from valle_model.tensors import TensorBatch
from valle_model.training.engines.base import Engine, StepResult
from valle_model.valle import Valle


class LocalEngine(Engine):
    """Weights and optimizer are float32; with bf16 the forward pass runs under autocast, so gradients need no scaling."""

    class Config(EntryConfig):
        """`threads` 0 leaves torch's choice."""

        name: Literal["local"] = "local"
        device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
        precision: Literal["auto", "fp32", "bf16"] = "auto"
        threads: NonNegativeInt = 0

    def __init__(self, config: "LocalEngine.Config", model: Valle, optimizer: OptimizerEntry, clip_norm: float) -> None:
        if config.threads:
            torch.set_num_threads(config.threads)
        self.device = pick_device(config.device)
        self.precision = pick_precision(config.precision, self.device)
        self.model = model.to(self.device)
        self.optimizer = optimizer.make(self.model)
        self._base_lrs = [group["lr"] for group in self.optimizer.param_groups]
        self._clip_norm = clip_norm

    def _loss(self, batch: Batch) -> LossResult:
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            return self.model.loss(TensorBatch.of(batch, self.device))

    def step(self, batches: Sequence[Batch], lr_scale: float) -> StepResult:
        """See Engine. Each batch counts by its targets, so accumulated batches give the gradient of one large batch."""
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        num_targets = sum(len(batch.targets) for batch in batches)
        results = []
        for batch in batches:
            result = self._loss(batch)
            (result.loss * (len(batch.targets) / num_targets)).backward()
            results.append(result)
        grad_norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), self._clip_norm))
        summed = _add(results, grad_norm)
        if summed.taken:
            for group, lr in zip(self.optimizer.param_groups, self._base_lrs, strict=True):
                group["lr"] = lr * lr_scale
            self.optimizer.step()
        return summed

    @torch.no_grad()
    def evaluate(self, batch: Batch) -> StepResult:
        self.model.eval()
        return _add([self._loss(batch)], 0.0)

    def model_state(self) -> Mapping[str, Tensor]:
        return {name: tensor.detach().cpu() for name, tensor in self.model.state_dict().items()}

    def optimizer_state(self) -> Mapping[str, Tensor]:
        state = self.optimizer.state_dict()["state"]
        return {f"{index}.{name}": value.detach().cpu() for index, values in state.items() for name, value in values.items()}

    def load_optimizer_state(self, tensors: Mapping[str, Tensor]) -> None:
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            index, name = key.split(".", 1)
            state.setdefault(int(index), {})[name] = tensor
        self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})


def _add(results: Sequence[LossResult], grad_norm: float) -> StepResult:
    sums, hits, counts = (torch.stack([getattr(r, name) for r in results]).sum(0).cpu() for name in ("sums", "hits", "counts"))
    loss = float(sums.sum() / counts.sum())
    finite = torch.isfinite(torch.tensor([loss, grad_norm])).all()
    return StepResult(loss, grad_norm, sums, hits, counts, bool(finite))
