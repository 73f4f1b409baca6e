"""What codecs on torch share: device, batches, padding to whole frames, arrays in and out."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from valle_data.codecs.base import Codec
from valle_data.codecs.batches import groups, halving, repeatable_arithmetic
from valle_data.config import EntryConfig
from valle_data.errors import EnvironmentProblem


class TorchConfig(EntryConfig):
    """`device` and `batch_size` belong to what a data set is: floats round otherwise on another device or in larger batches, and where two codes are
    nearly as close, another may be chosen. `batch_size` is how many waveforms are encoded at once; more than 1 is faster for some.
    """

    device: Literal["cpu", "cuda"] = "cpu"
    batch_size: int = Field(default=1, ge=1, le=256)


def pick_device(config: TorchConfig) -> torch.device:
    """The configured device; EnvironmentProblem where torch has none."""
    if config.device == "cuda" and not torch.cuda.is_available():
        raise EnvironmentProblem(
            "The codec's `device` is 'cuda', but torch finds no CUDA device here. Run on a machine with one, or set `codec.device=cpu` for the whole data set."
        )
    return torch.device(config.device)


class TorchCodec(Codec):
    """A codec whose networks take a batch. Subclasses set `spec`, `device` and `batch_size` and write `_encode` and `_decode`."""

    device: torch.device
    batch_size: int

    def encode(self, waveforms: Sequence[NDArray[np.float32]]) -> list[NDArray[np.uint16]]:
        """Batches of `batch_size`; see `_batch_key` for what may share one."""
        prepared = [self._prepare(self.check_waveform(waveform)) for waveform in waveforms]
        frames = [-(-len(waveform) // self.hop) for waveform in prepared]
        codes = [np.zeros((self.spec.num_levels, 0), dtype=np.uint16) for _ in prepared]

        def run(indices: Sequence[int]) -> list[NDArray[np.uint16]]:
            return self._encode_together([prepared[index] for index in indices], [frames[index] for index in indices])

        for batch in groups([self._batch_key(count) for count in frames], frames, self.batch_size):
            if frames[batch[-1]]:
                for index, found in zip(batch, halving(run, batch), strict=True):
                    codes[index] = found
        return codes

    @torch.inference_mode()
    def _encode_together(self, waveforms: Sequence[NDArray[np.float32]], frames: Sequence[int]) -> list[NDArray[np.uint16]]:
        padded = torch.zeros(len(waveforms), max(frames) * self.hop)
        for row, waveform in zip(padded, waveforms, strict=True):
            row[: len(waveform)] = torch.from_numpy(waveform)
        with repeatable_arithmetic():
            codes = self._encode(padded).cpu().numpy().astype(np.uint16)
        return [row[:, :count] for row, count in zip(codes, frames, strict=True)]

    @torch.inference_mode()
    def decode(self, codes: NDArray[np.uint16]) -> NDArray[np.float32]:
        self.check(codes)
        if not codes.shape[1]:
            return np.zeros(0, dtype=np.float32)
        with repeatable_arithmetic():
            return self._decode(torch.from_numpy(codes.astype(np.int64))[None])[0].cpu().numpy()

    def _prepare(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """What is coded of a waveform `[N]`, as long as it; the caller's array stays as it is."""
        return waveform

    def _batch_key(self, num_frames: int) -> int:
        """Waveforms share a batch where this is equal. Here: where their lengths are, as most networks would hear the zeros behind a shorter one."""
        return num_frames

    @abstractmethod
    def _encode(self, waveforms: Tensor) -> Tensor:
        """`[B, T * hop]` on the CPU -> codes `[B, Q, T]`, T >= 1."""

    @abstractmethod
    def _decode(self, codes: Tensor) -> Tensor:
        """Codes `[1, Q', T]` on the CPU -> waveform `[1, T * hop]`, T >= 1."""
