"""UTMOS (Saeki et al., "UTMOS: UTokyo-SaruLab system for VoiceMOS Challenge 2022", Interspeech 2022) as a TorchScript program.

`utmos.jit`, published as balacoon/utmos on the Hugging Face hub, is the strong learner of the paper; it takes 16-bit samples at 16 kHz. TorchScript is a
program: name only files that you trust.
"""

from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import LocalEntryNotFoundError
from numpy.typing import NDArray

from valle_data.config import speed
from valle_data.errors import EnvironmentProblem
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
    """The file of the program. Raises EnvironmentProblem where it is not there and cannot be fetched."""
    if config.weights is None:
        try:
            return Path(hf_hub_download(REPOSITORY, FILE))
        except LocalEntryNotFoundError as error:
            raise EnvironmentProblem(
                f"The quality model 'utmos' needs {FILE} of {REPOSITORY}, which is not in the cache and cannot be fetched here. Fetch it on a machine "
                f"with a network (`hf download {REPOSITORY} {FILE}`) and name the file as `weights`."
            ) from error
    if not config.weights.is_file():
        raise EnvironmentProblem(f"The quality model 'utmos' needs a TorchScript file as `weights`; {str(config.weights)!r} is no file. Correct the path.")
    return config.weights
