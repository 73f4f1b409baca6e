"""ECAPA-TDNN (Desplanques et al., Interspeech 2020) with speechbrain's classes and the weights it trained on VoxCeleb.

The network is built here from the hyperparameters of speechbrain/spkrec-ecapa-voxceleb. speechbrain's own loader reads them from a YAML file that may
name any class to run, which nothing in this project does.
"""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from speechbrain.lobes.features import Fbank  # pyright: ignore[reportMissingImports]
from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN  # pyright: ignore[reportMissingImports]

from valle_data.config import speed
from valle_data.errors import EnvironmentProblem
from valle_data.hub import hub_file
from valle_data.source import file_digest
from valle_data.speaker_encoders.base import SpeakerEncoder, SpeakerEncoderConfig, unit

REPOSITORY, FILE = "speechbrain/spkrec-ecapa-voxceleb", "embedding_model.ckpt"
USER = "The speaker encoder 'ecapa'"
NUM_MELS = 80


class Ecapa(SpeakerEncoder):
    """See the module. One utterance at a time: its statistics run over the whole utterance, and padding would enter them."""

    dimension = 192

    class Config(SpeakerEncoderConfig):
        """`weights` is the file `embedding_model.ckpt`; without it, it comes from the usual cache or the hub."""

        name: Literal["ecapa"] = "ecapa"
        weights: Path | None = None
        device: str = speed("cpu")

        def stamp(self) -> str:
            return f"speechbrain {version('speechbrain')}, torch {version('torch')}, weights {file_digest(str(_found(self)))}"

    def __init__(self, config: "Ecapa.Config") -> None:
        self.device = torch.device(config.device)
        self.features: Any = Fbank(n_mels=NUM_MELS).to(self.device).eval()
        self.network = network().to(self.device).eval()
        path = _found(config)
        try:
            self.network.load_state_dict(torch.load(path, map_location=self.device, weights_only=True))
        except RuntimeError as error:
            first = str(error).splitlines()[0]
            raise EnvironmentProblem(f"{USER} needs the weights of {REPOSITORY}; {str(path)!r} holds others: {first} Name that model's {FILE}.") from error

    def embed(self, waveforms: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        return np.array([self._embed(waveform) for waveform in waveforms], np.float32).reshape(len(waveforms), self.dimension)

    def _embed(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        if not waveform.any():
            return np.full(self.dimension, np.nan, np.float32)
        with torch.inference_mode():
            mels = self.features(torch.from_numpy(np.array(waveform)).to(self.device)[None])
            return unit(self.network(mels - mels.mean(dim=1, keepdim=True))[0, 0].cpu().numpy())


def network() -> Any:
    """The network `[1, T, 80]` -> `[1, 1, 192]` with the sizes of the published model."""
    return ECAPA_TDNN(
        NUM_MELS,
        channels=[1024, 1024, 1024, 1024, 3072],
        kernel_sizes=[5, 3, 3, 3, 1],
        dilations=[1, 2, 3, 4, 1],
        attention_channels=128,
        lin_neurons=Ecapa.dimension,
    )


def _found(config: Ecapa.Config) -> Path:
    return hub_file(REPOSITORY, FILE, user=USER, weights=config.weights)
