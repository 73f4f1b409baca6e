"""How the codebooks of a residual quantiser learn: moving averages of what they are used for, k-means start, revival of unused codes.

van den Oord et al. 2017 (arXiv:1711.00937), appendix A.1, for the moving average; Dhariwal et al. 2020 (Jukebox), for the revival;
Zeghidour et al. 2021 (SoundStream), section III-C, for the k-means start and for dropping the last levels at random.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from valle_data.codecs.mini.quantizer import ResidualQuantizer


@dataclass(frozen=True)
class QuantizedLatent:
    """`latent` `[B, D, T]` with the gradient of its input (straight-through), and the commitment loss, a scalar."""

    latent: Tensor
    commitment: Tensor


class CodebookLearner:
    """Quantises latents for training and moves the codebooks towards them.

    `decay` is of the moving averages per step; a code used less than `revive_below` times a step on average starts again at a random latent of
    the step; with probability `dropout` an item is decoded from a random number of its first levels.
    """

    def __init__(self, quantizer: ResidualQuantizer, *, decay: float = 0.98, revive_below: float = 0.05, dropout: float = 0.3, seed: int = 0) -> None:
        self.quantizer = quantizer
        self.decay, self.revive_below, self.dropout = decay, revive_below, dropout
        self.generator = torch.Generator().manual_seed(seed)
        levels, size, _ = quantizer.codebooks.shape
        self.counts = torch.ones(levels, size)
        self.sums = quantizer.codebooks.clone()
        self.revived = 0

    @torch.no_grad()
    def start(self, latents: Tensor, iterations: int = 12) -> None:
        """Set every level by k-means over latents `[M, D]` (M at least the codebook size), each level on the residual of the last."""
        residual = latents.clone()
        for level, book in enumerate(self.quantizer.codebooks):
            book.copy_(residual[torch.randperm(len(residual), generator=self.generator)[: len(book)]])
            for _ in range(iterations):
                index = self.quantizer.nearest(residual, level)
                sums = torch.zeros_like(book).index_add_(0, index, residual)
                counts = torch.bincount(index, minlength=len(book))
                book.copy_(torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], book))
            index = self.quantizer.nearest(residual, level)
            self.counts[level] = torch.bincount(index, minlength=len(book)) / 20
            self.sums[level] = book * self.counts[level][:, None]
            residual = residual - book[index]

    def quantize(self, latent: Tensor) -> QuantizedLatent:
        """`[B, D, T]` -> quantised latents of the same shape; moves the codebooks one step."""
        batch, width, frames = latent.shape
        flat = latent.transpose(1, 2).reshape(-1, width)
        levels = len(self.quantizer.codebooks)
        kept = torch.randint(1, levels + 1, (batch,), generator=self.generator)
        kept[torch.rand(batch, generator=self.generator) >= self.dropout] = levels
        residual, total = flat.detach(), torch.zeros_like(flat)
        commitment = flat.new_zeros(())
        for level in range(levels):
            index = self.quantizer.nearest(residual, level)
            chosen = self.quantizer.codebooks[level][index]
            used = (kept > level).repeat_interleave(frames)[:, None]
            previous = total
            total = total + torch.where(used, chosen, torch.zeros_like(chosen))
            commitment = commitment + ((flat - previous - chosen).square().mean(-1, keepdim=True) * used).mean()
            self._move(level, residual, index)
            residual = residual - chosen
        straight = flat + (total - flat).detach()
        return QuantizedLatent(straight.view(batch, frames, width).transpose(1, 2), commitment / levels)

    @torch.no_grad()
    def _move(self, level: int, residual: Tensor, index: Tensor) -> None:
        book = self.quantizer.codebooks[level]
        counts = torch.bincount(index, minlength=len(book)).to(residual.dtype)
        sums = torch.zeros_like(book).index_add_(0, index, residual)
        self.counts[level].lerp_(counts, 1 - self.decay)
        self.sums[level].lerp_(sums, 1 - self.decay)
        dead = self.counts[level] < self.revive_below
        if num_dead := int(dead.sum()):
            fresh = residual[torch.randint(len(residual), (num_dead,), generator=self.generator)]
            self.counts[level][dead] = 4 * self.revive_below
            self.sums[level][dead] = fresh * 4 * self.revive_below
            self.revived += num_dead
        book.copy_(self.sums[level] / self.counts[level][:, None])
