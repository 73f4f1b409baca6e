"""What a run writes down: one JSON line a report in `metrics.jsonl`, and the same in TensorBoard."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.tensorboard.writer import SummaryWriter

from valle_data import files
from valle_model.training.engines.base import StepResult


class LevelMeans:
    """Adds up step results between two reports."""

    def __init__(self) -> None:
        self._results: list[StepResult] = []

    def add(self, result: StepResult) -> None:
        self._results.append(result)

    def take(self) -> dict[str, float]:
        """Mean loss, and per level loss and accuracy, over what was added since the last call; levels without targets are left out."""
        if not self._results:
            return {}
        sums, hits, counts = (torch.stack([getattr(r, name) for r in self._results]).sum(0) for name in ("sums", "hits", "counts"))
        self._results = []
        means = {"loss": float(sums.sum() / counts.sum())}
        for level in counts.nonzero()[:, 0].tolist():
            means[f"loss_level/{level}"] = float(sums[level] / counts[level])
            means[f"accuracy_level/{level}"] = float(hits[level] / counts[level])
        return means


class MetricsLog:
    """`start_step`: what an interrupted run had written beyond it is dropped, so that no step is reported twice."""

    def __init__(self, run: Path, start_step: int) -> None:
        self._path = run / "metrics.jsonl"
        if self._path.exists():
            lines = self._path.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if (step := _step_of(line)) is not None and step <= start_step]
            files.write_atomically(self._path, "".join(f"{line}\n" for line in kept).encode())
        self._tensorboard = SummaryWriter(str(run / "tensorboard"), purge_step=start_step + 1)

    def scalars(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        """`kind` is `train` or `validation`."""
        with self._path.open("a", encoding="utf-8") as file:
            known = {name: round(value, 6) if math.isfinite(value) else None for name, value in values.items()}
            file.write(json.dumps({"step": step, "kind": kind, **known}) + "\n")
        for name, value in values.items():
            self._tensorboard.add_scalar(f"{kind}/{name}", value, step)

    def audio(self, step: int, name: str, waveform: Tensor, sample_rate_hz: int) -> None:
        """`waveform` `[N]` in -1..1."""
        self._tensorboard.add_audio(name, waveform, step, sample_rate_hz)

    def close(self) -> None:
        self._tensorboard.close()


def _step_of(line: str) -> int | None:
    """The step of a line, or None for the torn last line of a killed run."""
    try:
        return int(json.loads(line)["step"])
    except (json.JSONDecodeError, KeyError, TypeError, ValueError):
        return None
