"""Causal networks fed piece by piece: every layer keeps what it will need of the past (Rybakov et al. 2020, arXiv:2005.06720).

A step takes `[B, C, T]`, T >= 0, and returns all that is certain by now. With `last` nothing comes any more. The joined results are those of one
pass, to fp32 rounding.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from valle_data.codecs.base import Codec, DecoderStream, EncoderStream
from valle_data.codecs.batches import repeatable_arithmetic
from valle_data.errors import UsageError

Step = Callable[[Tensor, bool], Tensor]


class ConvStep:
    """A convolution that looks back only. `padding` is what its network put before the first input.

    With "reflect" the first outputs depend on the first inputs that follow them: nothing is certain before there are as many. Inputs that stay too
    few for a reflection are extended by zeros first, as EnCodec does.
    """

    def __init__(self, conv: nn.Conv1d, padding: str) -> None:
        self.conv, self.padding = conv, padding
        self.reach = (conv.kernel_size[0] - 1) * conv.dilation[0] + 1
        self.before = self.reach - conv.stride[0]
        self.past: Tensor | None = None
        self.begun = False

    def __call__(self, x: Tensor, last: bool) -> Tensor:
        x = x if self.past is None else torch.cat([self.past, x], dim=-1)
        if not self.begun:
            if not last and x.shape[-1] <= (self.before if self.padding == "reflect" else 0):
                self.past = x
                return x.new_zeros(x.shape[0], self.conv.out_channels, 0)
            x, self.begun = self._pad(x), True
        stride = self.conv.stride[0]
        count = max(0, (x.shape[-1] - self.reach) // stride + 1)
        self.past = x[..., count * stride :].clone()  # a view would keep the whole piece alive
        if not count:
            return x.new_zeros(x.shape[0], self.conv.out_channels, 0)
        return self.conv(x[..., : (count - 1) * stride + self.reach])

    def _pad(self, x: Tensor) -> Tensor:
        if not x.shape[-1]:
            return x
        short = max(0, self.before + 1 - x.shape[-1]) if self.padding == "reflect" else 0
        padded = F.pad(F.pad(x, (0, short)), (self.before, 0), mode=self.padding)
        return padded[..., : padded.shape[-1] - short]


class TransposedConvStep:
    """A transposed convolution whose overhang at the end is cut off: what overlaps the next piece waits for it."""

    def __init__(self, conv: nn.ConvTranspose1d) -> None:
        self.conv = conv
        self.overlap = conv.kernel_size[0] - conv.stride[0]
        self.tail: Tensor | None = None

    def __call__(self, x: Tensor, last: bool) -> Tensor:
        if not x.shape[-1]:
            return x.new_zeros(x.shape[0], self.conv.out_channels, 0)
        y = F.conv_transpose1d(x, self.conv.weight, None, self.conv.stride, groups=self.conv.groups)
        if self.tail is not None:
            y[..., : self.overlap] += self.tail
        self.tail = y[..., y.shape[-1] - self.overlap :].clone()
        y = y[..., : y.shape[-1] - self.overlap]
        return y if self.conv.bias is None else y + self.conv.bias[:, None]


class PlainStep:
    """A layer that sees one position at a time."""

    def __init__(self, layer: Callable[[Tensor], Tensor]) -> None:
        self.layer = layer

    def __call__(self, x: Tensor, last: bool) -> Tensor:
        return self.layer(x)


class ChainStep:
    """Layers one after the other."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = list(steps)

    def __call__(self, x: Tensor, last: bool) -> Tensor:
        for step in self.steps:
            x = step(x, last)
        return x


class ResidualStep:
    """`shortcut(x) + block(x)`; the shortcut waits where the block still does."""

    def __init__(self, block: Step, shortcut: Step) -> None:
        self.block, self.shortcut = block, shortcut
        self.ahead: Tensor | None = None

    def __call__(self, x: Tensor, last: bool) -> Tensor:
        y, direct = self.block(x, last), self.shortcut(x, last)
        direct = direct if self.ahead is None else torch.cat([self.ahead, direct], dim=-1)
        self.ahead = direct[..., y.shape[-1] :].clone()
        return direct[..., : y.shape[-1]] + y


class BlockEncoderStream(EncoderStream):
    """Feeds `step`, which turns `[1, 1, n * hop]` into codes `[1, Q, n]`, blocks of `block` frames: the ones that `encode` makes."""

    def __init__(self, codec: Codec, step: Step, block: int) -> None:
        self._codec, self._step, self._block = codec, step, block * codec.hop
        self._rest = np.zeros(0, dtype=np.float32)
        self._finished = False

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.uint16]:
        if self._finished:
            raise UsageError("This stream is finished and takes nothing more. Start another with `stream_encoder()`.")
        rest = np.concatenate([self._rest, self._codec.check_waveform(samples)])
        ready = len(rest) // self._block * self._block
        codes = [self._run(rest[start : start + self._block], last=False) for start in range(0, ready, self._block)]
        self._rest = rest[ready:]
        return np.concatenate([np.zeros((self._codec.spec.num_levels, 0), dtype=np.uint16), *codes], axis=1)

    def finish(self) -> NDArray[np.uint16]:
        if self._finished:
            raise UsageError("This stream is finished already. Start another with `stream_encoder()`.")
        self._finished = True
        return self._run(np.pad(self._rest, (0, -len(self._rest) % self._codec.hop)), last=True)

    @torch.inference_mode()
    def _run(self, samples: NDArray[np.float32], *, last: bool) -> NDArray[np.uint16]:
        with repeatable_arithmetic():
            return self._step(torch.from_numpy(samples)[None, None], last)[0].cpu().numpy().astype(np.uint16)


class StepDecoderStream(DecoderStream):
    """Feeds `step`, which turns codes `[1, Q', n]` into sound `[1, 1, m]`, whatever comes as it comes."""

    def __init__(self, codec: Codec, step: Step) -> None:
        self._codec, self._step = codec, step
        self._num_levels: int | None = None
        self._finished = False

    def push(self, codes: NDArray[np.uint16]) -> NDArray[np.float32]:
        if self._finished:
            raise UsageError("This stream is finished and takes nothing more. Start another with `stream_decoder()`.")
        self._codec.check(codes)
        if self._num_levels not in (None, len(codes)):
            raise UsageError(f"A stream decodes the same number of levels throughout: it began with {self._num_levels}, these codes have {len(codes)}.")
        self._num_levels = len(codes)
        return self._run(codes, last=False)

    def finish(self) -> NDArray[np.float32]:
        if self._finished:
            raise UsageError("This stream is finished already. Start another with `stream_decoder()`.")
        self._finished = True
        if self._num_levels is None:
            return np.zeros(0, dtype=np.float32)
        return self._run(np.zeros((self._num_levels, 0), dtype=np.uint16), last=True)

    @torch.inference_mode()
    def _run(self, codes: NDArray[np.uint16], *, last: bool) -> NDArray[np.float32]:
        with repeatable_arithmetic():
            return self._step(torch.from_numpy(codes.astype(np.int64))[None], last)[0, 0].cpu().numpy()


def in_blocks(step: Step, x: Tensor, block: int) -> Tensor:
    """All of `x` `[B, C, T]` through a fresh step, `block` positions at a time."""
    total = x.shape[-1]
    return torch.cat([step(x[..., start : start + block], start + block >= total) for start in range(0, total, block)], dim=-1)
