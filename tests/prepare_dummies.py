"""A small corpus, its configuration, and runs of `valle prepare` on it."""

import io
from pathlib import Path

import numpy as np
import soundfile

from pipelines import prepare
from pipelines.console import Console
from pipelines.executors.local import LocalExecutor
from pipelines.prepare import PrepareOptions
from pipelines.prepare_config import PrepareConfig
from tests.toy_codec import ToyCodec
from valle_data.corpora import CORPORA
from valle_data.errors import ExitCode

RATE = 16000
PLAIN = PrepareOptions()


def recording(folder: Path, speaker: str, name: str, *, seed: int, duration_s: float = 0.5, text: str | None = "one two") -> Path:
    """Noise of half a second with a transcript beside it."""
    path = folder / "train" / speaker / f"{name}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:  # soundfile itself cannot write to names that are no UTF-8
        soundfile.write(file, np.random.default_rng(seed).normal(0, 0.1, round(duration_s * RATE)).astype(np.float32), RATE, format="WAV")
    if text is not None:
        path.with_suffix(".txt").write_text(text)
    return path


def corpus(folder: Path, *, speakers: int = 3, each: int = 4) -> Path:
    """`speakers` x `each` recordings of about half a second."""
    for speaker in range(speakers):
        for index in range(each):
            recording(folder, f"s{speaker}", f"u{index}", seed=speaker * 1000 + index, duration_s=0.4 + 0.05 * index, text=f"text {index} of {speaker}")
    return folder


def config(folder: Path, **changes: object) -> PrepareConfig:
    """Parts of about a second, so that a few recordings make several."""
    values = {
        "corpus": CORPORA["folder"].Config(root=folder, language="en-us"),
        "codec": ToyCodec.Config(),
        "phonemizer": "characters",
        "part_duration_s": 1.0,
        **changes,
    }
    return PrepareConfig.model_validate(values)


def run(settings: PrepareConfig, output: Path, *, workers: int = 0, options: PrepareOptions = PLAIN) -> tuple[ExitCode, str]:
    """Exit code and what was said."""
    said = io.StringIO()
    code = prepare.run(settings, output, executor=LocalExecutor.Config(workers=workers), console=Console(stdout=said, as_json=True), options=options)
    return code, said.getvalue()


def result(output: Path) -> dict[str, bytes]:
    """All that counts of a data set: no log, no lock, but also no leftovers."""
    return {str(path.relative_to(output)): path.read_bytes() for path in sorted(output.rglob("*")) if path.is_file() and path.suffix != ".log"}
