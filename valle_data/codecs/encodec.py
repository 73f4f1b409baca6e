"""EnCodec (Defossez et al. 2022, arXiv:2210.13438) from the `encodec` package: 24 kHz at 75 frames a second, 48 kHz at 150, levels of 1024.

The 48 kHz model is meant for music: stereo, cut into seconds, and each second brought to unit loudness before it is coded, the loudness travelling
beside the codes. Codes `[Q, T]` have no place for that, and its normalisation over time makes the network blind to overall level. So here an
utterance is coded in one piece: scaled once to unit RMS, both channels alike, and decoded at `LEVEL_RMS` with the channels averaged. Loudness within an
utterance survives, its overall level does not, and there are no seams. The 24 kHz model is used as published.
"""

import hashlib
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.error import URLError

import numpy as np
import torch
from encodec.model import ROOT_URL, EncodecModel
from numpy.typing import NDArray
from pydantic import model_validator
from safetensors import SafetensorError
from safetensors.torch import load_file

from valle_data.codecs.base import Codec
from valle_data.config import EntryConfig
from valle_data.errors import EnvironmentProblem, InputError, ReasonCode
from valle_data.records import CodecSpec

HOP = 320
CODEBOOK_SIZE = 1024
LEVEL_RMS = 0.1  # -20 dBFS: usual for speech, and crests of ten times that still fit


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


class Encodec(Codec):
    """See the module. One waveform at a time: a batch is slower on a CPU, and its rounding would depend on its neighbours."""

    class Config(EntryConfig):
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
        self.variant = VARIANTS[config.sample_rate_hz]
        path = config.weights or _cached(self.variant)
        self.model = make_model(config.sample_rate_hz)
        _load_weights(self.model, path)
        self.model.requires_grad_(False)
        self.model.set_target_bandwidth(config.bandwidth_kbps)
        self.spec = CodecSpec(
            name="encodec",
            weights_hash=hashlib.sha256(path.read_bytes()).hexdigest(),
            sample_rate_hz=config.sample_rate_hz,
            frame_rate_hz=config.sample_rate_hz / HOP,
            num_levels=self.variant.levels[config.bandwidth_kbps],
            codebook_size=CODEBOOK_SIZE,
        )

    def encode(self, waveforms: Sequence[NDArray[np.float32]]) -> list[NDArray[np.uint16]]:
        return [self._encode_one(waveform) for waveform in waveforms]

    @torch.inference_mode()
    def _encode_one(self, waveform: NDArray[np.float32]) -> NDArray[np.uint16]:
        padded = np.pad(np.asarray(waveform, dtype=np.float32), (0, -len(waveform) % HOP))
        if not len(padded):
            return np.zeros((self.spec.num_levels, 0), dtype=np.uint16)
        if self.variant.channels > 1:
            padded = padded / (1e-8 + np.sqrt(np.mean(np.square(waveform))))
        tensor = torch.from_numpy(padded).expand(1, self.variant.channels, -1)
        ((codes, _),) = self.model.encode(tensor)
        return codes[0].numpy().astype(np.uint16)

    @torch.inference_mode()
    def decode(self, codes: NDArray[np.uint16]) -> NDArray[np.float32]:
        self.check(codes)
        if not codes.shape[1]:
            return np.zeros(0, dtype=np.float32)
        waveform = self.model.decode([(torch.from_numpy(codes.astype(np.int64))[None], None)])[0].mean(0)
        if self.variant.channels > 1:
            waveform = waveform * LEVEL_RMS
        return waveform.clamp(-1, 1).numpy()


def make_model(sample_rate_hz: int) -> EncodecModel:
    """The network with random weights, set to code an utterance in one piece and to leave its level alone."""
    model = EncodecModel.encodec_model_24khz(pretrained=False) if sample_rate_hz == 24_000 else EncodecModel.encodec_model_48khz(pretrained=False)
    model.segment, model.normalize = None, False
    return model.eval()


def _load_weights(model: EncodecModel, path: Path) -> None:
    """Tensors only: a file that would run code is refused before it is opened."""
    if not path.is_file():
        raise EnvironmentProblem(
            f"There is no weights file {str(path)!r} for the codec 'encodec'. Correct `weights`, or leave it out to use the downloaded file."
        )
    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise InputError(
            ReasonCode.CHECKPOINT_MISMATCH, f"{str(path)!r} is damaged or no file of tensors ({type(error).__name__}). Download it again; it was not run."
        ) from error
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise InputError(
            ReasonCode.CHECKPOINT_MISMATCH,
            f"{str(path)!r} does not hold the weights of EnCodec at {model.sample_rate} Hz. Use {VARIANTS[model.sample_rate].file!r} or its state dict.",
        ) from error


def _cached(variant: Variant) -> Path:
    """The published file in torch's cache, downloaded and checked against the checksum in its name if it is not there yet."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / variant.file
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(ROOT_URL + variant.file, str(path), hash_prefix=variant.checksum, progress=False)
        except (URLError, OSError, RuntimeError) as error:
            raise EnvironmentProblem(
                f"The codec 'encodec' needs the weights {variant.file!r}, which could not be downloaded from {ROOT_URL} ({error}). "
                f"Copy that file to {str(path)!r}, or name it as `codec.weights`."
            ) from error
    return path
