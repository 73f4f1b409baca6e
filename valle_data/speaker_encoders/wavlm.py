"""WavLM with an x-vector head (Chen et al., "WavLM: large-scale self-supervised pre-training for full stack speech processing", 2022) by transformers."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoFeatureExtractor, WavLMForXVector

from valle_data.config import speed
from valle_data.errors import EnvironmentProblem
from valle_data.hub import hub_folder
from valle_data.source import file_digest
from valle_data.speaker_encoders.base import RATE_HZ, SpeakerEncoder, SpeakerEncoderConfig, unit

USER = "The speaker encoder 'wavlm'"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
DESCRIPTIONS = ("config.json", "preprocessor_config.json")


class Wavlm(SpeakerEncoder):
    """See the module. One utterance at a time: the attention of a padded batch is not that of each alone."""

    class Config(SpeakerEncoderConfig):
        """`model` is `owner/name` on the hub, found in the usual cache or fetched; `weights` is a folder instead of it."""

        name: Literal["wavlm"] = "wavlm"
        model: str = "microsoft/wavlm-base-plus-sv"
        weights: Path | None = None
        device: str = speed("cpu")

        def options(self) -> dict[str, Any]:
            """Without the name of the model: the stamp has the hash of its weights."""
            return {name: value for name, value in super().options().items() if name != "model"}

        def stamp(self) -> str:
            folder = _folder(self)
            files = ", ".join(f"{name} {file_digest(str(folder / name))}" for name in (*WEIGHTS, *DESCRIPTIONS) if (folder / name).is_file())
            return f"transformers {version('transformers')}, torch {version('torch')}, {files}"

    def __init__(self, config: "Wavlm.Config") -> None:
        folder = str(_folder(config))
        self.device = torch.device(config.device)
        self.extractor = AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)
        if self.extractor.sampling_rate != RATE_HZ:
            raise EnvironmentProblem(f"{USER} hears sounds at {RATE_HZ} Hz; the model in {folder!r} wants {self.extractor.sampling_rate} Hz. Choose another.")
        self.model: Any = WavLMForXVector.from_pretrained(folder, local_files_only=True).to(self.device).eval()  # pyright: ignore[reportArgumentType]
        self.dimension = int(self.model.config.xvector_output_dim)

    def embed(self, waveforms: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        return np.array([self._embed(waveform) for waveform in waveforms], np.float32).reshape(len(waveforms), self.dimension)

    def _embed(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        if not waveform.any():
            return np.full(self.dimension, np.nan, np.float32)
        features = self.extractor(waveform, sampling_rate=RATE_HZ, return_tensors="pt").to(self.device)
        with torch.inference_mode():
            return unit(self.model(features["input_values"]).embeddings[0].cpu().numpy())


def _folder(config: Wavlm.Config) -> Path:
    """The folder of the model, complete. Raises EnvironmentProblem."""
    folder = hub_folder(config.model, (*WEIGHTS, *DESCRIPTIONS), user=USER, weights=config.weights)
    missing = [name for name in DESCRIPTIONS if not (folder / name).is_file()]
    if missing or not any((folder / name).is_file() for name in WEIGHTS):
        raise EnvironmentProblem(f"{USER} needs a folder with {' or '.join(WEIGHTS)}, {' and '.join(DESCRIPTIONS)}; {str(folder)!r} is not one.")
    return folder
