"""Attention backends: how `softmax(q k^T) v` is computed. Each registers through transformers' attention interface as `valle_NAME`."""

from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface

from valle_data.registry import Table
from valle_model.attention_backends.base import AttentionBackend
from valle_model.layout import AttentionLayout, PackedLayout

ATTENTION_BACKENDS = Table(
    "attention backend", {"sdpa": "valle_model.attention_backends.sdpa:SdpaAttention", "eager": "valle_model.attention_backends.eager:EagerAttention"}
)


def register(name: str) -> str:
    """Make a backend known to transformers; returns the name to give a model as its attention implementation."""
    backend: AttentionBackend = ATTENTION_BACKENDS[name]()

    def attend(
        _module: nn.Module, query: Tensor, key: Tensor, value: Tensor, _mask: None, *, layout: AttentionLayout, scaling: float, **_unused: Any
    ) -> tuple[Tensor, None]:
        if isinstance(layout, PackedLayout):
            out = backend.packed(query[0], key[0], value[0], layout, scaling)[None]
        else:
            out = backend.decode(query, key, value, layout, scaling)
        return out.transpose(1, 2), None

    AttentionInterface.register(f"valle_{name}", attend)
    return f"valle_{name}"
