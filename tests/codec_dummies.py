"""Codecs of the real classes with random weights, whose codebooks are filled from what their encoders make of a signal.

A codec with random weights answers every frame with the same code, and every test would pass on it. So the layers in front of the quantiser are scaled
until their output has zero mean and unit spread on a signal where they can be, and the codebooks are filled with what comes out there.
"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from encodec.modules.seanet import SEANetDecoder, SEANetEncoder
from safetensors.torch import save_file

from pipelines.codec_training.codebooks import CodebookLearner
from valle_data.codecs.base import Codec
from valle_data.codecs.dac import Dac, DacShape
from valle_data.codecs.dac import make_model as make_dac
from valle_data.codecs.encodec import Encodec
from valle_data.codecs.encodec import make_model as make_encodec
from valle_data.codecs.mimi import Mimi
from valle_data.codecs.mini import MiniCodec
from valle_data.codecs.mini.network import FRAME, MiniNetwork, MiniShape
from valle_data.codecs.mini.quantizer import ResidualQuantizer
from valle_data.codecs.vocos import CODEBOOKS, VocosCodec, VocosNetwork

SMALL_DAC = {"encoder_dim": 8, "latent_dim": 32, "decoder_dim": 32}
DAC_RATES: dict[int, tuple[tuple[int, ...], int]] = {16_000: ((2, 4, 5, 8), 12), 24_000: ((2, 4, 5, 8), 32), 44_100: ((2, 4, 8, 8), 9)}
SMALL_MIMI = {
    "hidden_size": 64,
    "num_filters": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "intermediate_size": 128,
    "upsample_groups": 64,
    "codebook_dim": 16,
    "vector_quantization_hidden_dimension": 16,
    "codebook_size": 256,
    "sliding_window": 20,
    "layer_scale_initial_scale": 0.3,
    "num_quantizers": 12,
}


def voice(num_samples: int, sample_rate_hz: int, seed: int = 0) -> np.ndarray:
    """A gliding buzz with noise and pauses: float32 `[N]`, no two frames alike."""
    rng = np.random.default_rng(seed)
    time = np.arange(num_samples) / sample_rate_hz
    pitch = 140 + 60 * np.sin(2 * np.pi * 0.7 * time + seed)
    phase = 2 * np.pi * np.cumsum(pitch) / sample_rate_hz
    buzz = sum(np.sin(k * phase) / k * (1 + np.sin(2 * np.pi * (0.5 + k / 3) * time)) for k in range(1, 9))
    loud = 0.5 + 0.5 * np.sin(2 * np.pi * 2.3 * time)
    return (0.1 * loud * buzz + 0.02 * rng.normal(size=num_samples)).astype(np.float32)


def scattered(vectors: torch.Tensor, size: int, seed: int) -> torch.Tensor:
    """`size` vectors `[V, D]` from `vectors` `[M, D]`, moved a little so that no two are equal."""
    generator = torch.Generator().manual_seed(seed)
    chosen = vectors[torch.randint(len(vectors), (size,), generator=generator)]
    return chosen + 0.1 * vectors.std() * torch.randn(chosen.shape, generator=generator)


def kmeans_codebooks(latents: torch.Tensor, num_levels: int, size: int = 1024) -> torch.Tensor:
    """Codebooks `[Q, V, D]` from latents `[M, D]`: a few centres each, so that every level leaves something over, and codes scattered around them."""
    quantizer = ResidualQuantizer(num_levels, 32, latents.shape[1])
    CodebookLearner(quantizer).start(latents, iterations=3)
    spread = quantizer.codebooks.std((1, 2), keepdim=True)
    books = quantizer.codebooks.repeat(1, size // 32, 1)
    return books + 0.1 * spread * torch.randn(books.shape, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def mini_weights(folder: Path) -> Path:
    torch.manual_seed(0)
    shape = MiniShape(encoder_width=48, encoder_depth=1, decoder_width=48, decoder_depth=1, latent_width=16, codebook_size=256)
    network = MiniNetwork(shape).eval()
    signal = torch.from_numpy(voice(24_000 * 20 // FRAME * FRAME, 24_000))[None]
    network.quantizer.codebooks.copy_(kmeans_codebooks(network.latent(signal)[0].T, 8, 256))
    path = folder / "mini.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path, metadata={"shape": json.dumps(shape.__dict__)})
    return path


@torch.no_grad()
def spread_out(last: Any, outputs: torch.Tensor) -> None:
    """Scale and shift EnCodec's last encoder convolution (or the norm behind it) so that `outputs` `[D, T]` would have zero mean and unit spread."""
    mean, spread = outputs.mean(1), outputs.std(1)
    weight, bias = (last.norm.weight, last.norm.bias) if isinstance(last.norm, torch.nn.GroupNorm) else (last.conv.weight_g, last.conv.bias)
    weight.div_(spread.view(-1, *[1] * (weight.ndim - 1)))
    bias.sub_(mean).div_(spread)


def small_encodec(sample_rate_hz: int) -> Any:
    """EnCodec with a quarter of its filters; codebooks and everything about time as published."""
    model: Any = make_encodec(sample_rate_hz)
    options = {"channels": model.channels, "n_filters": 8, "causal": model.channels == 1, "norm": "weight_norm" if model.channels == 1 else "time_group_norm"}
    model.encoder, model.decoder = SEANetEncoder(**options).eval(), SEANetDecoder(**options).eval()
    return model


def encodec_weights(folder: Path, sample_rate_hz: int, num_levels: int = 8, make: Callable[[int], Any] = make_encodec) -> Path:
    path = folder / f"encodec-{sample_rate_hz}.th"
    torch.save(encodec_state(sample_rate_hz, num_levels, make), path)
    return path


@cache
@torch.no_grad()
def encodec_state(sample_rate_hz: int, num_levels: int, make: Callable[[int], Any]) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    model: Any = make(sample_rate_hz)
    seconds = 4 if sample_rate_hz == 24_000 else 2
    signal = torch.from_numpy(voice(sample_rate_hz * seconds, sample_rate_hz)).expand(1, model.channels, -1)
    signal = signal / signal.std() if model.channels > 1 else signal
    spread_out(model.encoder.model[-1].conv, model.encoder(signal)[0])
    latents = model.encoder(signal)[0].T
    for layer, book in zip(model.quantizer.vq.layers, kmeans_codebooks(latents, num_levels), strict=False):
        layer._codebook.embed.copy_(book)
    return model.state_dict()


def dac_shape(sample_rate_hz: int, **changes: Any) -> DacShape:
    rates, levels = DAC_RATES[sample_rate_hz]
    options = {"sample_rate": sample_rate_hz, "encoder_rates": rates, "decoder_rates": rates[::-1], "n_codebooks": levels}
    return DacShape.model_validate({**options, **SMALL_DAC, **changes})


@torch.no_grad()
def fill_dac(model: Any, sample_rate_hz: int) -> None:
    """Each level's projection of what the levels before it left gets zero mean and unit spread, its codebook vectors of that projection."""
    samples = voice(sample_rate_hz * 3 // model.hop_length * model.hop_length, sample_rate_hz)
    residual = model.encoder(torch.from_numpy(samples)[None, None])
    residual = (residual - residual.mean(2, keepdim=True)) / residual.std()
    last = model.encoder.block[-1]
    raw = model.encoder(torch.from_numpy(samples)[None, None])
    last.weight_g.div_(raw.std())
    last.bias.sub_(raw.mean((0, 2))).div_(raw.std())
    for level, quantizer in enumerate(model.quantizer.quantizers):
        projected = quantizer.in_proj(residual)
        quantizer.in_proj.weight_g.div_(projected.std())
        quantizer.in_proj.bias.sub_(projected.mean((0, 2))).div_(projected.std())
        quantizer.codebook.weight.copy_(scattered(quantizer.in_proj(residual)[0].T, model.codebook_size, level))
        quantizer.out_proj.weight_g.mul_(0.5)
        residual = residual - quantizer(residual)[0]


def dac_weights(folder: Path, sample_rate_hz: int) -> Path:
    path = folder / f"dac-{sample_rate_hz}.pth"
    filled_dac(sample_rate_hz).save(path, {"logs": {"loss": np.float64(0.5)}}, package=False)
    return path


@cache
def filled_dac(sample_rate_hz: int) -> Any:
    torch.manual_seed(2)
    model: Any = make_dac(dac_shape(sample_rate_hz))
    fill_dac(model, sample_rate_hz)
    return model


@torch.no_grad()
def vocos_weights(folder: Path, encodec: Path) -> Path:
    torch.manual_seed(3)
    model: Any = VocosNetwork()
    for embedding in (module for module in model.modules() if isinstance(module, torch.nn.Embedding)):
        embedding.weight.add_(0.1 * torch.randn_like(embedding.weight))
    model.head.out.weight.mul_(3)
    books = torch.load(encodec, weights_only=True)
    tensors = {**model.state_dict(), CODEBOOKS: torch.cat([books[f"quantizer.vq.layers.{level}._codebook.embed"] for level in range(16)])}
    path = folder / "vocos.bin"
    torch.save(tensors, path)
    return path


@torch.no_grad()
def mimi_weights(folder: Path, **changes: Any) -> Path:
    from transformers import MimiConfig, MimiModel

    torch.manual_seed(4)
    model: Any = MimiModel(MimiConfig(**{**SMALL_MIMI, **changes})).eval()
    waveform = torch.from_numpy(voice(1920 * 150, 24_000))[None, None]
    model.encoder.downsample.conv.weight.div_(model.encoder(waveform).latents.std())
    latent = model.encoder(waveform).latents
    for half in (model.quantizer.semantic_residual_vector_quantizer, model.quantizer.acoustic_residual_vector_quantizer):
        vectors = half.input_proj(latent)[0].T
        for layer, book in zip(half.layers, kmeans_codebooks(vectors, len(half.layers), model.config.codebook_size), strict=True):
            layer.codebook.embed_sum.copy_(book)
            layer.codebook._embed = None
    model.decoder.decoder_seanet.layers[-1].conv.weight.mul_(0.05)  # keeps the sound from being cut off at full scale
    model.save_pretrained(folder / "mimi")
    return folder / "mimi"


def make_small_encodec(folder: Path, sample_rate_hz: int, bandwidth_kbps: float) -> Encodec:
    path = encodec_weights(folder, sample_rate_hz, make=small_encodec)
    with patch("valle_data.codecs.encodec.make_model", small_encodec):
        return Encodec(Encodec.Config.model_validate({"sample_rate_hz": sample_rate_hz, "bandwidth_kbps": bandwidth_kbps, "weights": path}))


def make_small_vocos(folder: Path) -> VocosCodec:
    """Vocos as published, behind a small EnCodec."""
    path = encodec_weights(folder, 24_000, num_levels=16, make=small_encodec)
    with patch("valle_data.codecs.encodec.make_model", small_encodec):
        return VocosCodec(VocosCodec.Config(weights=vocos_weights(folder, path), encodec_weights=path))


def make_dac_codec(folder: Path, sample_rate_hz: int, num_levels: int | None = None, batch_size: int = 1) -> Dac:
    config = Dac.Config.model_validate(
        {"sample_rate_hz": sample_rate_hz, "weights": dac_weights(folder, sample_rate_hz), "num_levels": num_levels, "batch_size": batch_size}
    )
    return Dac(config)


MAKERS: dict[str, dict[str, Callable[[Path], Codec]]] = {
    "mini": {"mini": lambda folder: MiniCodec(MiniCodec.Config(weights=mini_weights(folder))), "mini-shipped": lambda folder: MiniCodec()},
    "encodec": {
        "encodec-24khz": lambda folder: make_small_encodec(folder, 24_000, 6),
        "encodec-48khz": lambda folder: make_small_encodec(folder, 48_000, 12),
    },
    "dac": {
        "dac-16khz": lambda folder: make_dac_codec(folder, 16_000),
        "dac-24khz": lambda folder: make_dac_codec(folder, 24_000, num_levels=8),
        "dac-44khz": lambda folder: make_dac_codec(folder, 44_100),
    },
    "vocos": {"vocos": make_small_vocos},
    "mimi": {"mimi": lambda folder: Mimi(Mimi.Config(weights=mimi_weights(folder)))},
}
CASES = {case: maker for makers in MAKERS.values() for case, maker in makers.items()}
