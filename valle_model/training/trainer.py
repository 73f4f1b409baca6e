"""The training loop: batches in, checkpoints and metrics out. Knows no data set and no command line."""

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from valle_data.config import Config
from valle_data.errors import InputError, ReasonCode
from valle_data.records import Batch
from valle_model.card import ModelCard
from valle_model.checkpoint import Checkpoint, keep_last, save_checkpoint
from valle_model.training.engines.base import Engine, StepResult
from valle_model.training.log import LevelMeans, MetricsLog


class ScheduleConfig(Config):
    """Linear warmup over `warmup_steps`, then a cosine towards `final_fraction` of the learning rate, reached after the last step."""

    warmup_steps: NonNegativeInt = 200
    final_fraction: float = Field(default=0.01, ge=0, le=1)


class LoopConfig(Config):
    """How long a run lasts and what it does on the way; 0 turns a thing off.

    `accumulation` micro-batches make one step. More than `max_skipped_steps` steps in a row without a finite loss stop the run.
    """

    max_steps: PositiveInt = 1000
    accumulation: PositiveInt = 1
    clip_norm: PositiveFloat = 1.0
    max_skipped_steps: NonNegativeInt = 10
    log_every_steps: PositiveInt = 20
    checkpoint_every_steps: NonNegativeInt = 500
    keep_checkpoints: PositiveInt = 3
    validate_every_steps: NonNegativeInt = 250
    validation_batches: PositiveInt = 4
    samples_every_steps: NonNegativeInt = 500


class BatchSource(Protocol):
    """An endless iterator of batches that knows where it stands."""

    def __iter__(self) -> Iterator[Batch]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def utterance_id(self, row: int) -> str: ...
    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class Listener(Protocol):
    """Who is told of progress (a progress bar), asked to stop (a signal) and asked for audio samples."""

    def on_step(self, step: int, values: Mapping[str, float]) -> None: ...
    def on_event(self, message: str) -> None: ...
    def should_stop(self) -> bool: ...
    def make_samples(self, step: int, engine: Engine, log: MetricsLog) -> None: ...


@dataclass(frozen=True)
class RunPlace:
    """Where a run stands: steps taken, and steps skipped in a row."""

    step: int = 0
    skipped: int = 0


class Trainer:
    """One run. Killed and started again from its newest checkpoint, it ends with the same weights as undisturbed."""

    def __init__(
        self,
        run: Path,
        card: ModelCard,
        engine: Engine,
        train: BatchSource,
        validation: Sequence[Batch],
        loop: LoopConfig,
        schedule: ScheduleConfig,
        listener: Listener,
    ) -> None:
        self.run, self.card, self.engine = run, card, engine
        self.train_source, self.validation = train, validation
        self.loop, self.schedule, self.listener = loop, schedule, listener
        self.place = RunPlace()

    def restore(self, state: Mapping[str, Any], optimizer: Mapping[str, torch.Tensor]) -> None:
        """Go on from a checkpoint's state; the caller has loaded the weights."""
        self.train_source.load_state_dict(state["sampler"])
        self.engine.load_optimizer_state(optimizer)
        self.place = RunPlace(state["step"], state["skipped"])
        torch.set_rng_state(torch.frombuffer(bytearray.fromhex(state["torch_rng"]), dtype=torch.uint8))

    def train(self) -> bool:
        """Train to `max_steps`; False if the listener asked to stop before (a checkpoint has been written)."""
        log = MetricsLog(self.run, self.place.step)
        means, batches = LevelMeans(), iter(self.train_source)
        positions, since = 0, time.monotonic()
        try:
            while self.place.step < self.loop.max_steps:
                step_batches = [next(batches) for _ in range(self.loop.accumulation)]
                result = self._step(step_batches)
                if result.taken:
                    means.add(result)
                positions += sum(batch.num_positions for batch in step_batches)
                step = self.place.step
                if step % self.loop.log_every_steps == 0 or step == self.loop.max_steps:
                    seconds = time.monotonic() - since
                    values = {
                        **means.take(),
                        "grad_norm": result.grad_norm,
                        "lr_scale": self._lr_scale(step - 1),
                        "positions_per_s": positions / max(seconds, 1e-9),
                    }
                    log.scalars(step, "train", values)
                    self.listener.on_step(step, values)
                    positions, since = 0, time.monotonic()
                self._periodic(step, log)
                if self.listener.should_stop() and step < self.loop.max_steps:
                    self.save()
                    return False
            return True
        finally:
            log.close()

    def _periodic(self, step: int, log: MetricsLog) -> None:
        last = step == self.loop.max_steps
        if self.validation and (last or _due(step, self.loop.validate_every_steps)):
            log.scalars(step, "validation", self._validate())
        if last or _due(step, self.loop.samples_every_steps):
            self.listener.make_samples(step, self.engine, log)
        if last or _due(step, self.loop.checkpoint_every_steps):
            self.save()

    def _lr_scale(self, step: int) -> float:
        warmup, total, floor = self.schedule.warmup_steps, self.loop.max_steps, self.schedule.final_fraction
        if step < warmup:
            return (step + 1) / (warmup + 1)
        progress = (step - warmup) / max(1, total - warmup)
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    def _step(self, batches: Sequence[Batch]) -> StepResult:
        result = self.engine.step(batches, self._lr_scale(self.place.step))
        self.place = RunPlace(self.place.step + 1, 0 if result.taken else self.place.skipped + 1)
        if not result.taken:
            self._report_non_finite(batches, result)
        return result

    def _report_non_finite(self, batches: Sequence[Batch], result: StepResult) -> None:
        path = self.run / f"non-finite-step-{self.place.step:09d}.json"
        rows = np.concatenate([batch.rows for batch in batches]).tolist()
        documents = [{"utterance": self.train_source.utterance_id(row), "row": row} for row in dict.fromkeys(rows)]
        report = {"step": self.place.step, "loss": str(result.loss), "grad_norm": str(result.grad_norm), "documents": documents}
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        message = f"Step {self.place.step} was skipped: loss {result.loss}, gradient norm {result.grad_norm}. Its utterances are listed in {path}."
        self.listener.on_event(message)
        if self.place.skipped > self.loop.max_skipped_steps:
            remedy = f"{self.place.skipped} steps in a row were skipped. Lower optimizer.lr, or look at these utterances."
            raise InputError(ReasonCode.NON_FINITE_LOSS, f"{message} {remedy}")

    def _validate(self) -> dict[str, float]:
        means = LevelMeans()
        for batch in self.validation:
            means.add(self.engine.evaluate(batch))
        return means.take()

    def save(self) -> Path:
        """Write a checkpoint of this moment and drop the oldest."""
        state = {
            "step": self.place.step,
            "skipped": self.place.skipped,
            "sampler": self.train_source.state_dict(),
            "torch_rng": bytes(torch.get_rng_state().numpy()).hex(),
            "torch_version": torch.__version__,
        }
        folder = save_checkpoint(self.run, self.place.step, Checkpoint(self.card, self.engine.model_state(), self.engine.optimizer_state(), state))
        keep_last(self.run, self.loop.keep_checkpoints)
        return folder


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
