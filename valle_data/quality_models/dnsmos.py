"""DNSMOS P.835 (Reddy et al., "DNSMOS P.835: a non-intrusive perceptual objective speech quality metric", ICASSP 2022) by onnxruntime.

The model, `sig_bak_ovr.onnx` of the DNS challenge, hears windows of 9.01 s. A shorter sound is repeated until it fills one, a longer one is the mean over
windows a second apart: the challenge's own procedure, so that figures can be compared with published ones.
"""

from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from valle_data.config import speed
from valle_data.errors import EnvironmentProblem
from valle_data.quality_models.base import RATE_HZ, QualityModel, QualityModelConfig
from valle_data.source import file_digest

USUAL_PATH = Path("~/.torchmetrics/DNSMOS/DNSMOS/sig_bak_ovr.onnx")
WINDOW_S = 9.01
POLYNOMIALS = {
    "dnsmos_sig": (-0.08397278, 1.22083953, 0.0052439),
    "dnsmos_bak": (-0.13166888, 1.60915514, -0.39604546),
    "dnsmos_ovrl": (-0.06766283, 1.11546468, 0.04602535),
}
"""From the three outputs, in this order, to opinion scores of 1 to 5: the challenge's fit for speech of any speaker."""


class Dnsmos(QualityModel):
    """See the module. Signal (speech distortion), background (noise) and overall quality, 1 to 5."""

    columns = tuple(POLYNOMIALS)

    class Config(QualityModelConfig):
        """`weights` is the file of the model; without it, it is looked for where torchmetrics keeps it."""

        name: Literal["dnsmos"] = "dnsmos"
        weights: Path | None = None
        threads: int = speed(1, ge=1, le=256)

        def stamp(self) -> str:
            return f"onnxruntime {version('onnxruntime')}, weights {file_digest(str(_found(self)))}"

    def __init__(self, config: "Dnsmos.Config") -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = config.threads
        self.session = onnxruntime.InferenceSession(str(_found(config)), options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name

    def score(self, samples: NDArray[np.float32]) -> dict[str, float]:
        raw = np.array([self._run(window) for window in windows(samples)], np.float64)
        return {name: float(np.polyval(curve, raw[:, place]).mean()) for place, (name, curve) in enumerate(POLYNOMIALS.items())}

    def _run(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        outputs = np.ravel(np.asarray(self.session.run(None, {self.input: window[None]})[0]))
        assert outputs.shape == (len(POLYNOMIALS),), "signal, background, overall"
        return outputs


def windows(samples: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Windows of 9.01 s of `[N]`, N > 0; a short sound is doubled until it fills one."""
    length = int(WINDOW_S * RATE_HZ)
    while len(samples) < length:
        samples = np.concatenate([samples, samples])
    count = int(len(samples) // RATE_HZ - WINDOW_S) + 1
    return [samples[start * RATE_HZ : start * RATE_HZ + length] for start in range(count)]


def _found(config: Dnsmos.Config) -> Path:
    """The file of the model. Raises EnvironmentProblem where there is none."""
    path = config.weights or USUAL_PATH.expanduser()
    if not path.is_file():
        raise EnvironmentProblem(
            f"The quality model 'dnsmos' needs the file sig_bak_ovr.onnx of the DNS challenge (github.com/microsoft/DNS-Challenge, DNSMOS/DNSMOS); "
            f"{str(path)!r} is no file. Download it and name it as `weights`."
        )
    return path
