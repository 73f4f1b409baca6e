"""UTMOS (Saeki et al., "UTMOS: UTokyo-SaruLab system for VoiceMOS Challenge 2022", Interspeech 2022) as a TorchScript program.

`utmos.jit`, published as balacoon/utmos on the Hugging Face hub, is the strong learner of the paper; it takes 16-bit samples at 16 kHz. TorchScript is a
program: name only files that you trust.
"""

from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from valle_data.config import speed
from valle_data.hub import hub_file
from valle_data.quality_models.base import QualityModel, QualityModelConfig
from valle_data.source import file_digest

REPOSITORY, FILE = "balacoon/utmos", "utmos.jit"


class Utmos(QualityModel):
    """See the module. Naturalness, 1 to 5."""

    columns = ("utmos",)

    class Config(QualityModelConfig):
        """`weights` is the file of the program; without it, it comes from the usual cache or the hub."""

        name: Literal["utmos"] = "utmos"
        weights: Path | None = None
        device: str = speed("cpu")

        def stamp(self) -> str:
            return f"torch {version('torch')}, weights {file_digest(str(_found(self)))}"

    def __init__(self, config: "Utmos.Config") -> None:
        self.device = torch.device(config.device)
        self.program = torch.jit.load(str(_found(config)), map_location=self.device).eval()

    def score(self, samples: NDArray[np.float32]) -> dict[str, float]:
        pcm = torch.from_numpy(np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)).to(self.device)
        with torch.inference_mode():
            return {"utmos": float(self.program(pcm[None]).mean())}


def _found(config: Utmos.Config) -> Path:
    return hub_file(REPOSITORY, FILE, user="The quality model 'utmos'", weights=config.weights)
