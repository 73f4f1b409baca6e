"""Vocos (Siuzdak 2023, arXiv:2306.00814) from the `vocos` package: another decoder for the codes of EnCodec at 24 kHz, by inverse Fourier transform.

It encodes as EnCodec does, so its spec *is* EnCodec's: a data set or model made with either is decoded by both. One made with `encodec` speaks through
Vocos when `vocos` is named instead at synthesis (`valle_data.codecs.opened.open_codec`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from vocos.heads import ISTFTHead
from vocos.models import VocosBackbone

from valle_data.codecs.base import EncoderStream
from valle_data.codecs.batches import windowed
from valle_data.codecs.encodec import CODEBOOK_SIZE, HOP, Encodec
from valle_data.codecs.torch_codec import TorchCodec, TorchConfig
from valle_data.codecs.weights import from_hub, load_state, read_weights
from valle_data.errors import InputError, ReasonCode

REPOSITORY, FILE = "charactr/vocos-encodec-24khz", "pytorch_model.bin"
TRAINED_LEVELS = (2, 4, 8, 16)  # at 1.5, 3, 6 and 12 kbit/s, each with its own conditioning
WIDTH, HIDDEN, LAYERS, TRANSFORM, LATENT = 384, 1152, 8, 1280, 128
CONTEXT_FRAMES = 3 * (LAYERS + 1) + 2  # kernels of 7, and two frames of overlapping transforms
WINDOW_FRAMES = 20 * 75
CODEBOOKS = "feature_extractor.codebook_weights"


class VocosNetwork(nn.Module):
    """Backbone and head as published, with the codebooks they were trained on; other numbers only in tests."""

    def __init__(self, num_codes: int = TRAINED_LEVELS[-1] * CODEBOOK_SIZE) -> None:
        super().__init__()
        self.backbone = VocosBackbone(LATENT, WIDTH, HIDDEN, LAYERS, adanorm_num_embeddings=len(TRAINED_LEVELS))
        self.head = ISTFTHead(WIDTH, TRANSFORM, HOP, padding="same")
        self.feature_extractor = nn.ParameterDict({"codebook_weights": torch.zeros(num_codes, LATENT)})

    def forward(self, features: Tensor, bandwidth_id: Tensor) -> Tensor:
        """Sums of codebook vectors `[B, D, T]` -> waveform `[B, T * hop]`."""
        return self.head(self.backbone(features, bandwidth_id=bandwidth_id))


class VocosCodec(TorchCodec):
    """See the module. `lookahead_samples` is of the decoder; the encoder is causal and streams."""

    lookahead_samples = CONTEXT_FRAMES * HOP
    window_frames = WINDOW_FRAMES

    class Config(TorchConfig):
        """`weights` is Vocos' published `pytorch_model.bin`, or its tensors as `.safetensors`; none means the Hugging Face cache, filled on first use.

        `encodec_weights` are EnCodec's at 24 kHz, as its own `weights`.
        """

        name: Literal["vocos"] = "vocos"
        bandwidth_kbps: Literal[1.5, 3.0, 6.0, 12.0] = 6.0
        weights: Path | None = None
        encodec_weights: Path | None = None

    def __init__(self, config: "VocosCodec.Config | None" = None) -> None:
        config = config or VocosCodec.Config()
        shared = {"device": config.device, "batch_size": config.batch_size}
        self.encodec = Encodec(Encodec.Config(bandwidth_kbps=config.bandwidth_kbps, weights=config.encodec_weights, **shared))
        self.device, self.batch_size, self.spec = self.encodec.device, self.encodec.batch_size, self.encodec.spec
        path = config.weights or from_hub(REPOSITORY, FILE, "vocos")
        tensors = {name: tensor for name, tensor in read_weights(path, "vocos").tensors.items() if not name.startswith("feature_extractor.encodec.")}
        model = VocosNetwork()
        load_state(model, tensors, path, f"Vocos for EnCodec. Use {FILE!r} of {REPOSITORY}.")
        self._check_codebooks(tensors, path)
        self.model: Any = model.eval().requires_grad_(False).to(self.device)

    def _check_codebooks(self, tensors: Mapping[str, Tensor], path: Path) -> None:
        books = torch.cat([layer.codebook for layer in self.encodec.model.quantizer.vq.layers[: TRAINED_LEVELS[-1]]]).cpu()
        if not torch.equal(books, tensors[CODEBOOKS]):
            raise InputError(
                ReasonCode.CHECKPOINT_MISMATCH,
                f"{str(path)!r} was trained on other codebooks than those of {self.spec}: it would decode noise. Use the EnCodec weights it belongs to.",
            )

    def encode(self, waveforms: Sequence[NDArray[np.float32]]) -> list[NDArray[np.uint16]]:
        return self.encodec.encode(waveforms)

    def stream_encoder(self) -> EncoderStream:
        return self.encodec.stream_encoder()

    def _encode(self, waveforms: Tensor) -> Tensor:
        return self.encodec._encode(waveforms)

    def _decode(self, codes: Tensor) -> Tensor:
        return windowed(self._decode_window, codes, into=1, out=HOP, window=self.window_frames, context=CONTEXT_FRAMES)

    def _decode_window(self, codes: Tensor) -> Tensor:
        """The conditioning is that of the fewest trained levels which hold all of these."""
        num_levels = codes.shape[1]
        offsets = torch.arange(num_levels)[:, None] * CODEBOOK_SIZE
        features = F.embedding((codes + offsets).to(self.device), self.model.feature_extractor["codebook_weights"]).sum(1).transpose(1, 2)
        chosen = next(index for index, trained in enumerate(TRAINED_LEVELS) if trained >= num_levels)
        return self.model(features, torch.tensor([chosen], device=self.device)).clamp(-1, 1)
