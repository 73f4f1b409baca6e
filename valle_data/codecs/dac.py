"""DAC, the Descript Audio Codec (Kumar et al. 2023, arXiv:2306.06546) from the `descript-audio-codec` package: 16, 24 and 44.1 kHz.

Its convolutions look as far ahead as back, so zeros behind a short waveform would change its last frames: a batch holds waveforms of one length. The
loudness of a recording is coded as it is; the package's own `compress` first normalises it to -16 dB and keeps the difference beside the codes, where
codes `[Q, T]` have no place for it.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch.nn.functional as F
from dac.model.dac import DAC
from pydantic import Field, ValidationError, model_validator
from torch import Tensor, nn

from valle_data.codecs.batches import windowed
from valle_data.codecs.torch_codec import TorchCodec, TorchConfig, pick_device
from valle_data.codecs.weights import WeightsFile, check_levels, download, fold_weight_norm, load_state, read_weights, sha256
from valle_data.config import Config
from valle_data.errors import InputError, ReasonCode
from valle_data.records import CodecSpec

WINDOW_S = 10.0
ROOT_URL = "https://github.com/descriptinc/descript-audio-codec/releases/download/"
SCALAR: Any = np.float64(0).__reduce__()[0]
# The published files carry their training options and measures; those are numpy scalars here and there, and numpy 1 called its module otherwise.
NUMPY_SCALARS = [SCALAR, (SCALAR, "numpy.core.multiarray.scalar"), np.dtype, *{type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "i4", "?")}]


@dataclass(frozen=True)
class Variant:
    """A published model: the folder and name of its file, the name the `dac` package gives it in its cache, the options of its network."""

    file: str
    cached_as: str
    options: Mapping[str, Any]


def _strides(*down: int) -> dict[str, Any]:
    return {"encoder_rates": list(down), "decoder_rates": list(reversed(down))}


VARIANTS = {
    (16_000, 8): Variant("0.0.5/weights_16khz.pth", "weights_16khz_8kbps_0.0.5.pth", {**_strides(2, 4, 5, 8), "n_codebooks": 12}),
    (24_000, 8): Variant("0.0.4/weights_24khz.pth", "weights_24khz_8kbps_0.0.4.pth", {**_strides(2, 4, 5, 8), "n_codebooks": 32}),
    (44_100, 8): Variant("0.0.1/weights.pth", "weights_44khz_8kbps_0.0.1.pth", {**_strides(2, 4, 8, 8), "n_codebooks": 9}),
    (44_100, 16): Variant("1.0.0/weights_44khz_16kbps.pth", "weights_44khz_16kbps_1.0.0.pth", {**_strides(2, 4, 8, 8), "n_codebooks": 18}),
}


Stride = Annotated[int, Field(ge=1, le=64)]


class DacShape(Config):
    """Options of the network, by the package's own names. A weights file may name others, which only training needs."""

    model_config = {"extra": "ignore"}

    encoder_dim: int = Field(default=64, ge=1, le=1024)
    encoder_rates: tuple[Stride, ...] = (2, 4, 8, 8)
    latent_dim: int | None = Field(default=None, ge=1, le=65_536)
    decoder_dim: int = Field(default=1536, ge=1, le=16_384)
    decoder_rates: tuple[Stride, ...] = (8, 8, 4, 2)
    n_codebooks: int = Field(default=9, ge=1, le=64)
    codebook_size: int = Field(default=1024, ge=2, le=65_536)
    codebook_dim: int = Field(default=8, ge=1, le=1024)
    sample_rate: int = Field(default=44_100, ge=8_000, le=192_000)

    @model_validator(mode="after")
    def _frames_agree(self) -> "DacShape":
        if math.prod(self.encoder_rates) != math.prod(self.decoder_rates):
            raise ValueError(f"encoder_rates {list(self.encoder_rates)} and decoder_rates {list(self.decoder_rates)} make frames of different lengths")
        return self


class Dac(TorchCodec):
    """See the module."""

    class Config(TorchConfig):
        """`weights` is a published `.pth` file, or its tensors as `.safetensors`; none means the `dac` package's own cache, filled on first use.

        `num_levels` uses only the first levels of the model; none means all. `bitrate_kbps` 16 is published at 44100 Hz only.
        """

        name: Literal["dac"] = "dac"
        sample_rate_hz: Literal[16_000, 24_000, 44_100] = 24_000
        bitrate_kbps: Literal[8, 16] = 8
        num_levels: int | None = Field(default=None, ge=1, le=64)
        weights: Path | None = None

        @model_validator(mode="after")
        def _is_published(self) -> "Dac.Config":
            if (self.sample_rate_hz, self.bitrate_kbps) not in VARIANTS:
                raise ValueError(f"DAC at {self.sample_rate_hz} Hz offers bitrate_kbps 8, not {self.bitrate_kbps}")
            return self

    def __init__(self, config: "Dac.Config | None" = None) -> None:
        config = config or Dac.Config()
        variant = VARIANTS[config.sample_rate_hz, config.bitrate_kbps]
        self.device, self.batch_size = pick_device(config), config.batch_size
        path = config.weights or download(ROOT_URL + variant.file, Path.home() / ".cache/descript/dac" / variant.cached_as, "dac")
        shape, tensors = _read(path, variant, config.sample_rate_hz)
        self.model: Any = make_model(shape)
        load_state(self.model, tensors, path, f"DAC at {config.sample_rate_hz} Hz. Use {variant.file.split('/')[1]!r} of its release {variant.file[:5]}.")
        fold_weight_norm(self.model)
        self.model.requires_grad_(False).to(self.device)
        hop = math.prod(shape.encoder_rates)
        self.spec = CodecSpec(
            name="dac",
            weights_hash=sha256(path),
            sample_rate_hz=shape.sample_rate,
            frame_rate_hz=shape.sample_rate / hop,
            num_levels=check_levels(config.num_levels, shape.n_codebooks, "dac"),
            codebook_size=shape.codebook_size,
        )
        self.window_frames = round(WINDOW_S * self.spec.frame_rate_hz)
        self.encoder_context = _context(self.model.encoder.modules(), hop)
        self.decoder_context = _context(reversed(list(self.model.decoder.modules())), hop)
        self.lookahead_samples = (self.encoder_context + self.decoder_context) * hop

    def _encode(self, waveforms: Tensor) -> Tensor:
        return windowed(self._encode_window, waveforms, into=self.hop, out=1, window=self.window_frames, context=self.encoder_context)

    def _encode_window(self, waveforms: Tensor) -> Tensor:
        latent = self.model.encoder(waveforms[:, None].to(self.device))
        return self.model.quantizer(latent, self.spec.num_levels)[1]

    def _decode(self, codes: Tensor) -> Tensor:
        return windowed(self._decode_window, codes, into=1, out=self.hop, window=self.window_frames, context=self.decoder_context)

    def _decode_window(self, codes: Tensor) -> Tensor:
        """An odd stride makes the network stop a few samples early: silence fills the last frame."""
        sound = self.model.decoder(self.model.quantizer.from_codes(codes.to(self.device))[0])[:, 0]
        return F.pad(sound, (0, codes.shape[-1] * self.hop - sound.shape[-1]))


def make_model(shape: DacShape) -> DAC:
    """The network with random weights."""
    options = shape.model_dump()
    return DAC(**{**options, "encoder_rates": list(shape.encoder_rates), "decoder_rates": list(shape.decoder_rates)}).eval()


def _read(path: Path, variant: Variant, sample_rate_hz: int) -> tuple[DacShape, Mapping[str, Tensor]]:
    """What the file says about its network, else what is published at this rate; refuses the weights of another rate."""
    file: WeightsFile = read_weights(path, "dac", NUMPY_SCALARS)
    first = file.tensors.get("quantizer.quantizers.0.in_proj.weight_v")
    published = {**variant.options, "sample_rate": sample_rate_hz, "latent_dim": None if first is None else first.shape[1]}
    try:
        shape = DacShape.model_validate(file.options or published)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise InputError(
            ReasonCode.CHECKPOINT_MISMATCH, f"{str(path)!r} names impossible options of DAC ({place}: {error.errors()[0]['msg']}). Download it again."
        ) from error
    if shape.sample_rate != sample_rate_hz:
        raise InputError(
            ReasonCode.CHECKPOINT_MISMATCH,
            f"{str(path)!r} holds DAC at {shape.sample_rate} Hz, the configuration says {sample_rate_hz} Hz. "
            f"Set `codec.sample_rate_hz={shape.sample_rate}`, or use {variant.file.split('/')[1]!r}.",
        )
    return shape, file.tensors


def _context(modules: Iterable[nn.Module], hop: int) -> int:
    """Frames to either side that a frame can depend on; `modules` from the end of the network where the waveform is."""
    reach, jump = 0, 1
    for module in modules:
        if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
            padding, span = int(module.padding[0]), (module.kernel_size[0] - 1) * module.dilation[0]
            reach += max(padding, span - padding) * jump
            jump *= module.stride[0]
    return -(-reach // hop) + 1
