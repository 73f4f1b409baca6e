"""The training loss and what is worth watching of it."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class LossResult:
    """`loss` is the mean cross-entropy over targets, a scalar with gradient.

    Per output head, without gradient: `sums` of cross-entropy, `hits` of the most likely class, `counts` of targets, `[heads]` each.
    """

    loss: Tensor
    sums: Tensor
    hits: Tensor
    counts: Tensor


def cross_entropy_by_head(logits_by_head: dict[int, Tensor], targets_by_head: dict[int, Tensor], num_heads: int) -> LossResult:
    """Logits `[K, classes]` and targets `[K]` for each head that occurs -> one mean over all targets."""
    some = next(iter(logits_by_head.values()))
    total = some.new_zeros((), dtype=torch.float32)
    sums, hits, counts = (torch.zeros(num_heads, device=some.device) for _ in range(3))
    for head, logits in logits_by_head.items():
        targets = targets_by_head[head]
        head_sum = F.cross_entropy(logits.float(), targets, reduction="sum")
        total = total + head_sum
        sums[head] = head_sum.detach()
        hits[head] = (logits.detach().argmax(-1) == targets).sum()
        counts[head] = len(targets)
    return LossResult(total / counts.sum(), sums, hits, counts)
