"""Mimi (Defossez et al. 2024, arXiv:2410.00037), transformers' own model: 24 kHz, 12.5 frames a second, 32 levels of 2048.

Level 0 is distilled from a speech model and carries what is said; the others are residuals of the same latent beside it. Causal: convolutions that
look back, and two transformers that see ten seconds back. Fed in blocks, the transformers keep their keys and values and the convolutions their last
inputs.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from safetensors import SafetensorError
from torch import Tensor
from transformers import DynamicCache, MimiModel
from transformers.models.mimi.modeling_mimi import MimiConv1d, MimiConvTranspose1d, MimiDecoder, MimiEncoder, MimiResnetBlock, MimiTransformerModel
from transformers.utils import logging as transformers_logging

from valle_data.codecs.base import DecoderStream, EncoderStream
from valle_data.codecs.streaming import (
    BlockEncoderStream,
    ChainStep,
    ConvStep,
    PlainStep,
    ResidualStep,
    Step,
    StepDecoderStream,
    TransposedConvStep,
    in_blocks,
)
from valle_data.codecs.torch_codec import TorchCodec, TorchConfig, pick_device
from valle_data.codecs.weights import check_levels, from_hub, sha256
from valle_data.errors import EnvironmentProblem, InputError, ReasonCode
from valle_data.records import CodecSpec

REPOSITORY = "kyutai/mimi"
SAMPLE_RATE_HZ = 24_000
BLOCK_FRAMES = 12  # nearly a second: the delay of a stream, and as fast as one pass


class Mimi(TorchCodec):
    """See the module. A waveform may share a batch with any other: nothing hears the zeros behind it."""

    lookahead_samples = 0
    block_frames = BLOCK_FRAMES

    class Config(TorchConfig):
        """`weights` is a folder with the published `config.json` and `model.safetensors`; none means the Hugging Face cache, filled on first use.

        `num_levels` uses only the first levels; none means all 32.
        """

        name: Literal["mimi"] = "mimi"
        num_levels: int | None = Field(default=8, ge=1, le=64)
        weights: Path | None = None

    def __init__(self, config: "Mimi.Config | None" = None) -> None:
        config = config or Mimi.Config()
        self.device, self.batch_size = pick_device(config), config.batch_size
        folder = config.weights or _cached()
        self.model = _load(folder)
        self.model.requires_grad_(False).to(self.device)
        shape = self.model.config
        self.spec = CodecSpec(
            name="mimi",
            weights_hash=sha256(folder / "model.safetensors"),
            sample_rate_hz=shape.sampling_rate,
            frame_rate_hz=shape.sampling_rate / shape.frame_size,
            num_levels=check_levels(config.num_levels, shape.num_quantizers, "mimi"),
            codebook_size=shape.codebook_size,
        )

    def stream_encoder(self) -> EncoderStream:
        return BlockEncoderStream(self, self._encoder_step(), self.block_frames)

    def stream_decoder(self) -> DecoderStream:
        return StepDecoderStream(self, self._decoder_step())

    def _batch_key(self, num_frames: int) -> int:
        return min(num_frames, 1)

    def _encode(self, waveforms: Tensor) -> Tensor:
        return in_blocks(self._encoder_step(), waveforms[:, None], self.block_frames * self.hop)

    def _decode(self, codes: Tensor) -> Tensor:
        return in_blocks(self._decoder_step(), codes, 3 * self.block_frames)[:, 0]

    def _encoder_step(self) -> Step:
        half = self.model.encoder
        network = ChainStep([_step(half.encoder_seanet), _step(half.encoder_transformer), _step(half.downsample)])
        return lambda samples, last: self._quantize(network(samples.to(self.device), last))

    def _decoder_step(self) -> Step:
        half = self.model.decoder
        network = ChainStep([_step(half.upsample), _step(half.decoder_transformer), _step(half.decoder_seanet)])
        return lambda codes, last: network(self._latent(codes.to(self.device)), last).clamp(-1, 1)

    def _quantize(self, latent: Tensor) -> Tensor:
        if not latent.shape[-1]:
            return latent.new_zeros(len(latent), self.spec.num_levels, 0)
        return self.model.quantizer.encode(latent, self.spec.num_levels).transpose(0, 1)

    def _latent(self, codes: Tensor) -> Tensor:
        if not codes.shape[-1]:
            return torch.zeros(len(codes), self.model.config.hidden_size, 0, device=self.device)
        return self.model.quantizer.decode(codes)


class _TransformerStep:
    """A transformer with a sliding window, `[B, C, T]`; its cache holds no more than that window."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self.cache = DynamicCache(config=layer.config)

    def __call__(self, x: Tensor, last: bool) -> Tensor:
        if not x.shape[-1]:
            return x
        return self.layer(x.transpose(1, 2), past_key_values=self.cache, use_cache=True).last_hidden_state.transpose(1, 2)


def _step(layer: Any) -> Step:
    """The layer as one that can be fed piece by piece."""
    return STEPS.get(type(layer), PlainStep)(layer)


STEPS: dict[type, Callable[[Any], Step]] = {
    MimiEncoder: lambda network: ChainStep([_step(layer) for layer in network.layers]),
    MimiDecoder: lambda network: ChainStep([_step(layer) for layer in network.layers]),
    MimiResnetBlock: lambda block: ResidualStep(ChainStep([_step(layer) for layer in block.block]), _step(block.shortcut)),
    MimiConv1d: lambda conv: ConvStep(conv.conv, conv.pad_mode),
    MimiConvTranspose1d: lambda conv: TransposedConvStep(conv.conv),
    MimiTransformerModel: _TransformerStep,
}


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """transformers draws one while it copies tensors from a local file."""
    drawn = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if drawn:
            transformers_logging.enable_progress_bar()


def _cached() -> Path:
    for name in ("config.json", "model.safetensors"):
        path = from_hub(REPOSITORY, name, "mimi")
    return path.parent


def _load(folder: Path) -> Any:
    """The model in a folder, its tensors from safetensors only; refuses one that is incomplete, of another kind or not causal."""
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise EnvironmentProblem(
                f"The weights of the codec 'mimi' are a folder with config.json and model.safetensors; {str(folder)!r} has no {name}. "
                "Correct `weights`, or leave it out to use the downloaded files."
            )
    try:
        loader: Any = MimiModel
        with _no_progress_bar():
            model, found = loader.from_pretrained(folder, use_safetensors=True, local_files_only=True, output_loading_info=True, attn_implementation="sdpa")
    except (SafetensorError, RuntimeError, ValueError, OSError, KeyError, TypeError) as error:
        raise InputError(
            ReasonCode.CHECKPOINT_MISMATCH,
            f"{str(folder)!r} does not hold the weights of Mimi ({type(error).__name__}: {str(error).splitlines()[0]}). Use those of {REPOSITORY}.",
        ) from error
    if found["missing_keys"] or found["mismatched_keys"]:
        lacking = sorted(str(key) for key in [*found["missing_keys"], *found["mismatched_keys"]])
        raise InputError(
            ReasonCode.CHECKPOINT_MISMATCH,
            f"{str(folder)!r} does not hold the weights of Mimi: {len(lacking)} tensors such as {lacking[0]!r} are missing or of another shape. "
            f"Use those of {REPOSITORY}.",
        )
    if model.config.sampling_rate != SAMPLE_RATE_HZ or not model.config.use_causal_conv:
        raise InputError(
            ReasonCode.CHECKPOINT_MISMATCH,
            f"The codec 'mimi' is causal at {SAMPLE_RATE_HZ} Hz; {str(folder)!r} is at {model.config.sampling_rate} Hz "
            f"with use_causal_conv={model.config.use_causal_conv}. Use the weights of {REPOSITORY}.",
        )
    return model.eval()
