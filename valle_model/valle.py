"""VALL-E as one network: AR over level 0 and NAR over the others (Wang et al. 2023, arXiv:2301.02111, section 4.2).

Each position embeds as the sum of its ids; the hidden state at a position is read by the output head of the level it predicts.
"""

import math
from collections.abc import Sequence
from typing import Any

from pydantic import PositiveFloat
from torch import Tensor, nn

from valle_data.config import Config, from_table
from valle_data.ids import IdSpace
from valle_model.architectures import ARCHITECTURES
from valle_model.architectures.base import Backbone
from valle_model.kv_cache import KVCache
from valle_model.layout import AttentionLayout, PackedLayout
from valle_model.loss import LossResult, cross_entropy_by_head
from valle_model.tensors import TensorBatch


class ModelConfig(Config):
    """`frames_per_phone` places phones in time (valle_data/tasks/base.py); none means: measure it on the training data."""

    architecture: from_table(ARCHITECTURES) = "llama"  # type: ignore[valid-type]
    frames_per_phone: PositiveFloat | None = None


class Valle(nn.Module):
    """`backbone` between an embedding bag over the id space and one output matrix, of which each head is a slice."""

    def __init__(self, config: ModelConfig, ids: IdSpace) -> None:
        super().__init__()
        self.ids = ids
        self.backbone: Backbone = ARCHITECTURES.build(config.architecture)
        self.embedding = nn.EmbeddingBag(ids.size, self.backbone.width, mode="sum")
        self.output = nn.Linear(self.backbone.width, sum(ids.head_sizes), bias=False)
        nn.init.normal_(self.embedding.weight, std=0.05)
        nn.init.normal_(self.output.weight, std=1 / math.sqrt(self.backbone.width))

    @property
    def num_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())

    def hidden(self, ids: Tensor, bag_starts: Tensor, times: Tensor, layout: AttentionLayout, cache: KVCache | None = None) -> Tensor:
        """Ids `[M]` of S bags -> hidden states `[S, D]`: packed documents, or one new position of each of S requests."""
        embedded = self.embedding(ids, bag_starts)
        if isinstance(layout, PackedLayout):
            return self.backbone(embedded[None], times[None], layout, cache)[0]
        return self.backbone(embedded[:, None], times[:, None], layout, cache)[:, 0]

    def logits(self, hidden: Tensor, head: int) -> Tensor:
        """Hidden states `[K, D]` -> logits `[K, classes of head]`."""
        start = sum(self.ids.head_sizes[:head])
        return nn.functional.linear(hidden, self.output.weight[start : start + self.ids.head_sizes[head]])

    def loss(self, batch: TensorBatch) -> LossResult:
        """Cross-entropy of everything the batch supervises."""
        hidden = self.hidden(batch.ids, batch.bag_starts, batch.times, batch.layout)
        chosen = [(head, batch.heads == head) for head in batch.present_heads]
        logits = {head: self.logits(hidden[batch.target_positions[mask]], head) for head, mask in chosen}
        return cross_entropy_by_head(logits, {head: batch.targets[mask] for head, mask in chosen}, len(self.ids.head_sizes))


def parameter_groups(model: nn.Module, weight_decay: float) -> Sequence[dict[str, Any]]:
    """Matrices decay; norms, biases and embeddings do not."""
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, (nn.Embedding, nn.EmbeddingBag))}
    trained = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in trained if p.ndim >= 2 and id(p) not in embeddings]
    others = [p for p in trained if p.ndim < 2 or id(p) in embeddings]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
