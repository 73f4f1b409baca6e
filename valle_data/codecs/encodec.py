"""EnCodec (Defossez et al. 2022, arXiv:2210.13438) from the `encodec` package: 24 kHz at 75 frames a second, 48 kHz at 150, levels of 1024.

The 24 kHz model is causal and used as published, fed in blocks that keep what the next one needs. Only its first seven frames look ahead: each of its
convolutions mirrors its first inputs where others put zeros.

The 48 kHz model is meant for music: stereo, cut into seconds, and each second brought to unit loudness before it is coded, the loudness travelling
beside the codes. Codes `[Q, T]` have no place for that, and its normalisation over time makes the network blind to overall level. So here an
utterance is coded in one piece: scaled once to unit RMS, both channels alike, and decoded at `LEVEL_RMS` with the channels averaged. Loudness within an
utterance survives, its overall level does not, and there are no seams. What is longer than `PIECE_FRAMES` is coded in equal pieces, each as an
utterance of its own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from encodec.model import ROOT_URL, EncodecModel
from encodec.modules.conv import SConv1d, SConvTranspose1d
from encodec.modules.lstm import SLSTM
from encodec.modules.seanet import SEANetResnetBlock
from numpy.typing import NDArray
from pydantic import model_validator
from torch import Tensor, nn

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
from valle_data.codecs.weights import download, fold_weight_norm, load_state, read_weights, sha256
from valle_data.records import CodecSpec

HOP = 320
CODEBOOK_SIZE = 1024
LEVEL_RMS = 0.1  # -20 dBFS: usual for speech, and crests of ten times that still fit
BLOCK_FRAMES = 50  # two thirds of a second: the delay of a stream, and as fast as one pass
MIRRORED_FRAMES = 7  # fewer are extended by zeros before they are mirrored
PIECE_FRAMES = 30 * 150


@dataclass(frozen=True)
class Variant:
    """A published model: its file, its rates, how many levels each bandwidth in kbit/s has."""

    file: str
    channels: int
    levels: dict[float, int]

    @property
    def checksum(self) -> str:
        """First digits of the file's sha256, which its publishers put in its name."""
        return Path(self.file).stem.split("-")[1]


VARIANTS = {
    24_000: Variant("encodec_24khz-d7cc33bc.th", 1, {1.5: 2, 3: 4, 6: 8, 12: 16, 24: 32}),
    48_000: Variant("encodec_48khz-7e698e3e.th", 2, {3: 2, 6: 4, 12: 8, 24: 16}),
}


class Encodec(TorchCodec):
    """See the module."""

    block_frames = BLOCK_FRAMES
    piece_frames = PIECE_FRAMES

    class Config(TorchConfig):
        """`weights` is the published `.th` file, or its state dict as `.pt` or `.safetensors`; none means torch's download cache, filled on first use."""

        name: Literal["encodec"] = "encodec"
        sample_rate_hz: Literal[24_000, 48_000] = 24_000
        bandwidth_kbps: float = 6.0
        weights: Path | None = None

        @model_validator(mode="after")
        def _bandwidth_is_offered(self) -> "Encodec.Config":
            offered = VARIANTS[self.sample_rate_hz].levels
            if self.bandwidth_kbps not in offered:
                choices = ", ".join(f"{kbps:g}" for kbps in offered)
                raise ValueError(f"EnCodec at {self.sample_rate_hz} Hz offers bandwidth_kbps {choices}, not {self.bandwidth_kbps:g}")
            return self

    def __init__(self, config: "Encodec.Config | None" = None) -> None:
        config = config or Encodec.Config()
        variant = VARIANTS[config.sample_rate_hz]
        self.device, self.batch_size = pick_device(config), config.batch_size
        path = config.weights or download(ROOT_URL + variant.file, Path(torch.hub.get_dir()) / "checkpoints" / variant.file, "encodec", variant.checksum)
        model = make_model(config.sample_rate_hz)
        load_state(model, read_weights(path, "encodec").tensors, path, f"EnCodec at {model.sample_rate} Hz. Use {variant.file!r} or its state dict.")
        fold_weight_norm(model)
        self.model: Any = model.requires_grad_(False).to(self.device)
        self.causal = variant.channels == 1
        self.lookahead_samples = 0 if self.causal else None
        self.spec = CodecSpec(
            name="encodec",
            weights_hash=sha256(path),
            sample_rate_hz=config.sample_rate_hz,
            frame_rate_hz=config.sample_rate_hz / HOP,
            num_levels=variant.levels[config.bandwidth_kbps],
            codebook_size=CODEBOOK_SIZE,
        )

    def stream_encoder(self) -> EncoderStream:
        return BlockEncoderStream(self, self._encoder_step(), self.block_frames) if self.causal else super().stream_encoder()

    def stream_decoder(self) -> DecoderStream:
        return StepDecoderStream(self, self._decoder_step()) if self.causal else super().stream_decoder()

    def _batch_key(self, num_frames: int) -> int:
        """A causal network does not hear zeros behind a waveform, unless it mirrors them to its front."""
        return MIRRORED_FRAMES if self.causal and num_frames >= MIRRORED_FRAMES else num_frames

    def _prepare(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.causal:
            return waveform
        pieces = [waveform[first * HOP : last * HOP] for first, last in self._pieces(-(-len(waveform) // HOP))]
        return np.concatenate([waveform[:0], *(piece / (1e-8 + np.sqrt(np.mean(np.square(piece)))) for piece in pieces)])

    def _encode(self, waveforms: Tensor) -> Tensor:
        if self.causal:
            return in_blocks(self._encoder_step(), waveforms[:, None], self.block_frames * HOP)
        stereo = waveforms[:, None].expand(-1, 2, -1)
        pieces = (stereo[..., first * HOP : last * HOP] for first, last in self._pieces(stereo.shape[-1] // HOP))
        return torch.cat([self._quantize(self.model.encoder(piece.to(self.device))) for piece in pieces], dim=-1)

    def _decode(self, codes: Tensor) -> Tensor:
        if self.causal:
            return in_blocks(self._decoder_step(), codes, 3 * self.block_frames)[:, 0]
        pieces = (codes[..., first:last] for first, last in self._pieces(codes.shape[-1]))
        return torch.cat([(self.model.decoder(self._latent(piece)).mean(1) * LEVEL_RMS).clamp(-1, 1) for piece in pieces], dim=-1)

    def _pieces(self, num_frames: int) -> Iterator[tuple[int, int]]:
        """First and last frame (exclusive) of equal pieces of at most `piece_frames`."""
        count = -(-num_frames // self.piece_frames)
        return pairwise(num_frames * index // count for index in range(count + 1)) if count else iter(())

    def _quantize(self, latent: Tensor) -> Tensor:
        return self.model.quantizer.vq.encode(latent, self.spec.num_levels).transpose(0, 1)

    def _latent(self, codes: Tensor) -> Tensor:
        return self.model.quantizer.decode(codes.to(self.device).transpose(0, 1))

    def _encoder_step(self) -> Step:
        network = _step(self.model.encoder.model)
        return lambda samples, last: self._quantize(network(samples.to(self.device), last))

    def _decoder_step(self) -> Step:
        network = _step(self.model.decoder.model)
        return lambda codes, last: network(self._latent(codes), last).clamp(-1, 1)


def make_model(sample_rate_hz: int) -> EncodecModel:
    """The network with random weights, set to code an utterance in one piece and to leave its level alone."""
    model = EncodecModel.encodec_model_24khz(pretrained=False) if sample_rate_hz == 24_000 else EncodecModel.encodec_model_48khz(pretrained=False)
    model.segment, model.normalize = None, False
    return model.eval()


class _LstmStep:
    """EnCodec's LSTM with its skip connection, `[B, C, T]`."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self.state: Any = None

    def __call__(self, x: Tensor, last: bool) -> Tensor:
        if not x.shape[-1]:
            return x
        steps = x.permute(2, 0, 1)
        y, self.state = self.layer.lstm(steps, self.state)
        return (y + steps if self.layer.skip else y).permute(1, 2, 0)


def _step(layer: Any) -> Step:
    """The layer as one that can be fed piece by piece."""
    return STEPS.get(type(layer), PlainStep)(layer)


STEPS: dict[type, Callable[[Any], Step]] = {
    nn.Sequential: lambda layers: ChainStep([_step(layer) for layer in layers]),
    SEANetResnetBlock: lambda block: ResidualStep(_step(block.block), _step(block.shortcut)),
    SConv1d: lambda conv: ConvStep(conv.conv.conv, conv.pad_mode),
    SConvTranspose1d: lambda conv: TransposedConvStep(conv.convtr.convtr),
    SLSTM: _LstmStep,
}
