"""AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101), torch's fused form."""

from typing import Annotated, Literal

import torch
from pydantic import Field, NonNegativeFloat
from torch import nn

from valle_model.optimizers.base import OptimizerConfig, OptimizerEntry
from valle_model.valle import parameter_groups

Decay = Annotated[float, Field(ge=0, lt=1)]


class AdamW(OptimizerEntry):
    """Matrices decay; norms, biases and embeddings do not."""

    class Config(OptimizerConfig):
        """`betas` are the decay rates of the two moments."""

        name: Literal["adamw"] = "adamw"
        betas: tuple[Decay, Decay] = (0.9, 0.95)
        eps: float = Field(default=1e-8, gt=0)
        weight_decay: NonNegativeFloat = 0.05

    def __init__(self, config: "AdamW.Config") -> None:
        self.config = config

    def make(self, model: nn.Module) -> torch.optim.AdamW:
        return torch.optim.AdamW(parameter_groups(model, self.config.weight_decay), lr=self.config.lr, betas=self.config.betas, eps=self.config.eps, fused=True)
