"""Residual vector quantisation (SoundStream, Zeghidour et al. 2021, section III-C): each level codes what the levels before it left over."""

import torch
from torch import Tensor, nn


class ResidualQuantizer(nn.Module):
    """Q codebooks of V vectors of width D; `codebooks` is `[Q, V, D]`, plain data that no optimizer touches."""

    codebooks: Tensor

    def __init__(self, num_levels: int, codebook_size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("codebooks", torch.zeros(num_levels, codebook_size, width))

    def nearest(self, residual: Tensor, level: int) -> Tensor:
        """Index of the nearest code of one level for each of `residual` `[M, D]` -> `[M]`; ties go to the lowest index."""
        book = self.codebooks[level]
        return (book.square().sum(-1) - 2 * residual @ book.T).argmin(-1)

    def encode(self, latent: Tensor) -> Tensor:
        """Latent frames `[B, D, T]` -> codes `[B, Q, T]`, int64."""
        batch, width, frames = latent.shape
        residual = latent.transpose(1, 2).reshape(-1, width)
        codes = []
        for level in range(len(self.codebooks)):
            index = self.nearest(residual, level)
            residual = residual - self.codebooks[level][index]
            codes.append(index.view(batch, frames))
        return torch.stack(codes, dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes `[B, Q', T]` of the first Q' <= Q levels -> latent frames `[B, D, T]`."""
        levels = range(codes.shape[1])
        return torch.stack([self.codebooks[level][codes[:, level]] for level in levels]).sum(0).transpose(1, 2)
