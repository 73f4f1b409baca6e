"""Who may see whom: the shape of attention for packed documents and for cached decoding."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class DocumentGroup:
    """Documents of one kind as rows of a padded table.

    `index` `[n, L]` names the packed position of each place (padding repeats a valid one), `valid` `[n, L]` marks the real ones,
    `flat` `[P]` are the places, row by row, that are real: packed positions in their packed order.
    """

    causal: bool
    index: Tensor
    valid: Tensor
    flat: Tensor
    padded: bool

    @classmethod
    def of(cls, starts: Tensor, lengths: Tensor, causal: bool) -> Self:
        columns = torch.arange(int(lengths.max()), device=lengths.device)
        valid = columns < lengths[:, None]
        index = starts[:, None] + torch.minimum(columns, lengths[:, None] - 1)
        return cls(causal, index, valid, valid.flatten().nonzero()[:, 0], not bool(valid.all()))


@dataclass(frozen=True)
class PackedLayout:
    """S packed positions: causal documents first, then documents that see themselves whole; nobody sees another document."""

    lengths: Tensor
    num_causal: int
    groups: tuple[DocumentGroup, ...]

    @classmethod
    def of(cls, lengths: Sequence[int] | Tensor, num_causal: int, device: torch.device | str = "cpu") -> Self:
        lengths = torch.as_tensor(lengths, dtype=torch.int64).to(device)
        starts = lengths.cumsum(0) - lengths
        kinds = ((slice(0, num_causal), True), (slice(num_causal, None), False))
        groups = tuple(DocumentGroup.of(starts[s], lengths[s], causal) for s, causal in kinds if len(lengths[s]))
        return cls(lengths, num_causal, groups)

    def mask(self) -> Tensor:
        """`[S, S]`, true where the row's position may see the column's: what `groups` means, spelt out."""
        document = torch.repeat_interleave(torch.arange(len(self.lengths), device=self.lengths.device), self.lengths)
        same = document[:, None] == document[None]
        order = torch.arange(len(document), device=document.device)
        return same & ((order[None] <= order[:, None]) | (document >= self.num_causal)[:, None])


@dataclass(frozen=True)
class DecodeLayout:
    """One new position for each of B requests; `mask` `[B, 1, 1, L]` is true at the cached positions each may see."""

    mask: Tensor


AttentionLayout = PackedLayout | DecodeLayout
