"""The reference: the formula, in whatever precision it is given."""

import torch
from torch import Tensor

from valle_model.attention_backends.base import AttentionBackend
from valle_model.layout import DecodeLayout, PackedLayout


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float) -> Tensor:
    scores = (query @ key.transpose(-1, -2)) * scaling
    return torch.softmax(scores.masked_fill(~mask, float("-inf")), dim=-1) @ value


class EagerAttention(AttentionBackend):
    """Builds the whole `[S, S]` mask: slow and obvious."""

    def packed(self, query: Tensor, key: Tensor, value: Tensor, layout: PackedLayout, scaling: float) -> Tensor:
        return attend(query, key, value, layout.mask(), scaling)

    def decode(self, query: Tensor, key: Tensor, value: Tensor, layout: DecodeLayout, scaling: float) -> Tensor:
        return attend(query, key, value, layout.mask, scaling)
