"""Resemblyzer: the encoder of "Generalized end-to-end loss for speaker verification" (Wan et al., ICASSP 2018), with its weights in the package.

Three LSTM layers over windows of 1.6 s of 40 mel bands, averaged over the windows. Long silences are taken out first, by the WebRTC detector.
"""

import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from valle_data.config import speed
from valle_data.errors import EnvironmentProblem
from valle_data.source import file_digest
from valle_data.speaker_encoders.base import RATE_HZ, SpeakerEncoder, SpeakerEncoderConfig, unit

with warnings.catch_warnings():  # of the way in which the voice detector asks for its own version
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    import resemblyzer
    import resemblyzer.audio

MIN_VOICED_S = 0.4
LEVEL_DBFS = -30


class Resemblyzer(SpeakerEncoder):
    """See the module. One utterance at a time: the windows of one are a batch already, and rounding in a larger one would depend on its neighbours."""

    dimension = 256

    class Config(SpeakerEncoderConfig):
        """`weights` is another file for the same network."""

        name: Literal["resemblyzer"] = "resemblyzer"
        weights: Path | None = None
        device: str = speed("cpu")

        def stamp(self) -> str:
            packages = ", ".join(f"{name} {version(name)}" for name in ("resemblyzer", "librosa", "torch"))
            return f"{packages}, weights {file_digest(str(_weights(self)))}"

    def __init__(self, config: "Resemblyzer.Config") -> None:
        self.encoder = resemblyzer.VoiceEncoder(config.device, verbose=False, weights_fpath=_weights(config))
        self.encoder.eval()

    def embed(self, waveforms: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        return np.array([self._embed(waveform) for waveform in waveforms], np.float32).reshape(len(waveforms), self.dimension)

    def _embed(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        voiced = voiced_part(waveform)
        if len(voiced) < MIN_VOICED_S * RATE_HZ:
            return np.full(self.dimension, np.nan, np.float32)
        return unit(np.asarray(self.encoder.embed_utterance(voiced), np.float32))


def voiced_part(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """`[N]` made louder to -30 dBFS if it is softer and without its long silences, as the network was trained."""
    if len(waveform) < MIN_VOICED_S * RATE_HZ or not waveform.any():
        return np.zeros(0, np.float32)
    louder = np.clip(resemblyzer.audio.normalize_volume(waveform, LEVEL_DBFS, increase_only=True), -1, 1)
    return np.asarray(resemblyzer.audio.trim_long_silences(louder), np.float32)


def _weights(config: Resemblyzer.Config) -> Path:
    """Raises EnvironmentProblem where `weights` is no file."""
    path = config.weights or Path(str(resemblyzer.__file__)).with_name("pretrained.pt")
    if not path.is_file():
        raise EnvironmentProblem(f"The speaker encoder 'resemblyzer' needs a file as `weights`; {str(path)!r} is none. Correct the path.")
    return path
