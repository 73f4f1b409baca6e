"""The codec in the box: 24 kHz, 25 frames a second, 8 levels of 1024 (2 kbit/s), nothing to download.

Trained by `python -m pipelines.codec_training` on synthesised speech; how well it does: docs/benchmarks/mini_codec.md.
"""

import json
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError, safe_open
from torch import Tensor

from valle_data.codecs.batches import windowed
from valle_data.codecs.mini.network import FRAME, LOOKAHEAD_SAMPLES, SAMPLE_RATE_HZ, MiniNetwork, MiniShape
from valle_data.codecs.torch_codec import TorchCodec, TorchConfig, pick_device
from valle_data.codecs.weights import sha256
from valle_data.errors import EnvironmentProblem, InputError, ReasonCode
from valle_data.records import CodecSpec

SHIPPED_WEIGHTS = Path(__file__).parent / "weights.safetensors"
WINDOW_FRAMES = 60 * 25


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


class MiniCodec(TorchCodec):
    """See the module. `lookahead_samples`: how much of the future a frame's codes and sound depend on, encoder and decoder together."""

    lookahead_samples = LOOKAHEAD_SAMPLES
    window_frames = WINDOW_FRAMES

    class Config(TorchConfig):
        """`weights` is a safetensors file written by `pipelines.codec_training`; none means the one in the package."""

        name: Literal["mini"] = "mini"
        weights: Path | None = None

    def __init__(self, config: "MiniCodec.Config | None" = None) -> None:
        config = config or MiniCodec.Config()
        path = config.weights or SHIPPED_WEIGHTS
        self.device, self.batch_size = pick_device(config), config.batch_size
        self.network = load_network(path).to(self.device)
        shape = self.network.shape
        self.spec = CodecSpec("mini", sha256(path), SAMPLE_RATE_HZ, SAMPLE_RATE_HZ / FRAME, shape.num_levels, shape.codebook_size)

    def _encode(self, waveforms: Tensor) -> Tensor:
        return windowed(
            lambda piece: self.network.encode(piece.to(self.device)),
            waveforms,
            into=FRAME,
            out=1,
            window=self.window_frames,
            context=self.network.encoder_context,
        )

    def _decode(self, codes: Tensor) -> Tensor:
        return windowed(
            lambda piece: self.network.decode(piece.to(self.device)), codes, into=1, out=FRAME, window=self.window_frames, context=self.network.decoder_context
        )
