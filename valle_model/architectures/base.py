"""What an architecture owes: hidden states from embedded positions, their times and who sees whom."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn

from valle_model.kv_cache import KVCache
from valle_model.layout import AttentionLayout


class Backbone(nn.Module, ABC):
    """`Config` sits beside the class; `width` is D and `num_layers` what a cache needs rooms for."""

    Config: ClassVar[Any]
    width: int
    num_layers: int

    @abstractmethod
    def forward(self, embedded: Tensor, times: Tensor, layout: AttentionLayout, cache: KVCache | None = None) -> Tensor:
        """`embedded` `[B, S, D]` (B = 1 when packed), `times` `[B, S]` in frames -> hidden states `[B, S, D]`, normalised."""
