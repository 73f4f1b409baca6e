"""The codec in the box: 24 kHz, 25 frames a second, 8 levels of 1024 (2 kbit/s), nothing to download.

Trained by `python -m pipelines.codec_training` on synthesised speech; how well it does: docs/benchmarks/mini_codec.md.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from valle_data.codecs.base import Codec
from valle_data.codecs.mini.network import FRAME, LOOKAHEAD_SAMPLES, SAMPLE_RATE_HZ, MiniNetwork, MiniShape
from valle_data.config import EntryConfig
from valle_data.errors import EnvironmentProblem, InputError, ReasonCode
from valle_data.records import CodecSpec

SHIPPED_WEIGHTS = Path(__file__).parent / "weights.safetensors"


def load_network(path: Path) -> MiniNetwork:
    """The network in a file of `pipelines.codec_training`, ready for inference.

    Raises EnvironmentProblem where there is no such file, InputError `dataset_mismatch` for a file of something else.
    """
    if not path.is_file():
        raise EnvironmentProblem(f"The weights of the mini codec are not at {path}. Correct `codec.weights`, or leave it out to use those in the package.")
    try:
        with safe_open(path, "pt") as file:
            shape = MiniShape(**json.loads(file.metadata()["shape"]))
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 - safe_open is no mapping
        network = MiniNetwork(shape)
        network.load_state_dict(state)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            ReasonCode.DATASET_MISMATCH,
            f"{path} does not hold weights of the mini codec ({type(error).__name__}: {error}). `python -m pipelines.codec_training` writes such files.",
        ) from error
    return network.eval().requires_grad_(False)


class MiniCodec(Codec):
    """See the module. `lookahead_samples`: how much of the future a frame's codes and sound depend on, encoder and decoder together."""

    lookahead_samples = LOOKAHEAD_SAMPLES

    class Config(EntryConfig):
        """`weights` is a safetensors file written by `pipelines.codec_training`; none means the one in the package."""

        name: Literal["mini"] = "mini"
        weights: Path | None = None

    def __init__(self, config: "MiniCodec.Config | None" = None) -> None:
        path = (config or MiniCodec.Config()).weights or SHIPPED_WEIGHTS
        self.network = load_network(path)
        shape = self.network.shape
        weights_hash = hashlib.sha256(path.read_bytes()).hexdigest()
        self.spec = CodecSpec("mini", weights_hash, SAMPLE_RATE_HZ, SAMPLE_RATE_HZ / FRAME, shape.num_levels, shape.codebook_size)

    @torch.inference_mode()
    def encode(self, waveforms: Sequence[NDArray[np.float32]]) -> list[NDArray[np.uint16]]:
        """One waveform at a time: on a CPU a batch is no faster, and its rounding would depend on its size."""
        return [self._encode_one(waveform) for waveform in waveforms]

    def _encode_one(self, waveform: NDArray[np.float32]) -> NDArray[np.uint16]:
        padded = np.pad(np.asarray(waveform, dtype=np.float32), (0, -len(waveform) % FRAME))
        if not len(padded):
            return np.zeros((self.spec.num_levels, 0), dtype=np.uint16)
        return self.network.encode(torch.from_numpy(padded)[None])[0].numpy().astype(np.uint16)

    @torch.inference_mode()
    def decode(self, codes: NDArray[np.uint16]) -> NDArray[np.float32]:
        self.check(codes)
        if not codes.shape[1]:
            return np.zeros(0, dtype=np.float32)
        return self.network.decode(torch.from_numpy(codes.astype(np.int64))[None])[0].numpy()
