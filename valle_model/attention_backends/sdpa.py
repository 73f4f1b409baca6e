"""torch's scaled_dot_product_attention, which picks its own kernel."""

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from valle_model.attention_backends.base import AttentionBackend
from valle_model.layout import DecodeLayout, PackedLayout


class SdpaAttention(AttentionBackend):
    """Packed documents become rows of a padded table for the attention alone; everything else of the model stays packed.

    No `[S, S]` mask is ever made. Causal rows need no mask at all: padding comes last, and no real position looks ahead.
    """

    def packed(self, query: Tensor, key: Tensor, value: Tensor, layout: PackedLayout, scaling: float) -> Tensor:
        by_position = [x.transpose(0, 1) for x in (query, key, value)]
        outputs = []
        for group in layout.groups:
            q, k, v = (x[group.index].transpose(1, 2) for x in by_position)
            mask = group.valid[:, None, None] if group.padded and not group.causal else None
            out = scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=group.causal, scale=scaling)
            outputs.append(out.transpose(1, 2).flatten(0, 1)[group.flat])
        return torch.cat(outputs).transpose(0, 1)

    def decode(self, query: Tensor, key: Tensor, value: Tensor, layout: DecodeLayout, scaling: float) -> Tensor:
        return scaled_dot_product_attention(query, key, value, attn_mask=layout.mask, scale=scaling)
