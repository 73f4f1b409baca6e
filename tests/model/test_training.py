"""Engines and the training loop: accumulation, clipping, non-finite steps, exact resume."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.model.helpers import LAYOUT, draw, model
from tests.model.test_checkpoint import CARD
from valle_data.collate import collate
from valle_data.errors import InputError, ReasonCode
from valle_data.records import Batch
from valle_data.tasks import TASKS
from valle_model.checkpoint import find_newest, load_optimizer, load_state, load_weights
from valle_model.optimizers.adamw import AdamW
from valle_model.training.engines.base import Engine
from valle_model.training.engines.local import LocalEngine
from valle_model.training.log import MetricsLog
from valle_model.training.trainer import LoopConfig, ScheduleConfig, Trainer

CONFIG = LocalEngine.Config(device="cpu", precision="fp32")


def batch(seed: int, num: int = 3) -> Batch:
    random = np.random.default_rng(seed)
    levels = random.integers(0, 4, num)
    return collate([TASKS["tts"](LAYOUT).example(draw(int(level), int(random.integers(3, 9)), seed=seed * 10 + i)) for i, level in enumerate(levels)])


def engine(clip_norm: float = 1.0, lr: float = 1e-2) -> LocalEngine:
    return LocalEngine(CONFIG, model(), AdamW(AdamW.Config(lr=lr)), clip_norm)


@dataclass
class Batches:
    """An endless source of batches that knows where it stands; `poison` steps carry a time that is not a number."""

    next_one: int = 0
    poison: frozenset[int] = frozenset()

    def __iter__(self) -> Iterator[Batch]:
        while True:
            self.next_one += 1
            made = batch(self.next_one)
            yield replace(made, times=np.full_like(made.times, np.nan)) if self.next_one in self.poison else made

    def state_dict(self) -> dict[str, Any]:
        return {"next": self.next_one}

    def utterance_id(self, row: int) -> str:
        return f"utterance-{row}"

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.next_one = state["next"]


@dataclass
class Quiet:
    """A listener that remembers, and asks to stop at a step."""

    stop_at: int | None = None
    events: list[str] = field(default_factory=list)
    step: int = 0

    def on_step(self, step: int, values: Mapping[str, float]) -> None:
        self.step = step

    def on_event(self, message: str) -> None:
        self.events.append(message)

    def should_stop(self) -> bool:
        return self.stop_at is not None and self.step >= self.stop_at

    def make_samples(self, step: int, engine: Engine, log: MetricsLog) -> None: ...


LOOP = LoopConfig(max_steps=8, log_every_steps=1, checkpoint_every_steps=3, validate_every_steps=4, samples_every_steps=0)


def trainer(run: Path, source: Batches, loop: LoopConfig = LOOP, listener: Quiet | None = None, validation: Sequence[Batch] = ()) -> Trainer:
    return Trainer(run, CARD, engine(), source, validation, loop, ScheduleConfig(warmup_steps=2), listener or Quiet())


def weights(engine: Engine) -> dict[str, torch.Tensor]:
    """A copy: on a CPU the state of an engine shares memory with it."""
    return {name: tensor.clone() for name, tensor in {**engine.model_state(), **engine.optimizer_state()}.items()}


def assert_equal(a: Mapping[str, torch.Tensor], b: Mapping[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_accumulated_batches_give_the_step_of_one_large_batch() -> None:
    """Batches with different numbers of targets, so that a mean of means would show."""
    examples = [TASKS["tts"](LAYOUT).example(draw(level, frames, seed=s)) for s, (level, frames) in enumerate([(0, 3), (2, 9), (1, 5)])]
    one, split = engine(clip_norm=1e9), engine(clip_norm=1e9)
    a = one.step([collate(examples)], 1.0)
    b = split.step([collate(examples[:1]), collate(examples[1:])], 1.0)
    assert a.loss == pytest.approx(b.loss, rel=1e-6)
    assert a.grad_norm == pytest.approx(b.grad_norm, rel=1e-5)
    for x, y in zip(one.model.parameters(), split.model.parameters(), strict=True):
        assert torch.allclose(x, y, atol=1e-6)


def test_the_gradient_is_clipped_to_the_norm() -> None:
    clipped = engine(clip_norm=1e-3)
    result = clipped.step([batch(1)], 1.0)
    norm = torch.cat([p.grad.flatten() for p in clipped.model.parameters() if p.grad is not None]).norm()
    assert result.grad_norm > 1e-3
    assert float(norm) == pytest.approx(1e-3, rel=1e-3)


def test_the_learning_rate_is_scaled() -> None:
    still = engine()
    before = weights(still)
    still.step([batch(1)], 0.0)
    assert_equal(before, {name: tensor for name, tensor in weights(still).items() if name in before})
    half, whole = engine(lr=1e-3), engine(lr=5e-4)
    half.step([batch(1)], 0.5)
    whole.step([batch(1)], 1.0)
    assert_equal(weights(half), weights(whole))
    assert not torch.equal(weights(half)["output.weight"], before["output.weight"])


def test_training_learns(tmp_path: Path) -> None:
    learner, fixed = engine(), batch(1)
    first = learner.evaluate(fixed).loss
    for _ in range(30):
        learner.step([fixed], 1.0)
    assert learner.evaluate(fixed).loss < 0.5 * first


def test_evaluation_changes_nothing() -> None:
    still = engine()
    still.step([batch(1)], 1.0)
    before = weights(still)
    still.evaluate(batch(2))
    assert_equal(before, weights(still))


def test_a_non_finite_step_changes_nothing_and_names_its_rows(tmp_path: Path) -> None:
    listener, source = Quiet(), Batches(poison=frozenset({2}))
    run = trainer(tmp_path, source, LOOP.model_copy(update={"max_steps": 2, "checkpoint_every_steps": 1}), listener)
    run.train()
    one, two = (load_optimizer(tmp_path / "checkpoints" / f"step-{step:09d}") for step in (1, 2))
    assert_equal(one, two)
    models = [load_file(tmp_path / "checkpoints" / f"step-{step:09d}" / "model.safetensors") for step in (1, 2)]
    assert_equal(*models)
    report = json.loads((tmp_path / "non-finite-step-000000002.json").read_text())
    assert [d["utterance"] for d in report["documents"]] == [f"utterance-{row}" for row in dict.fromkeys(batch(2).rows.tolist())]
    assert "Step 2 was skipped" in listener.events[0]


def test_too_many_non_finite_steps_stop_the_run(tmp_path: Path) -> None:
    run = trainer(tmp_path, Batches(poison=frozenset(range(100))), LOOP.model_copy(update={"max_skipped_steps": 3}))
    with pytest.raises(InputError, match="4 steps in a row") as error:
        run.train()
    assert error.value.reason is ReasonCode.NON_FINITE_LOSS


@pytest.mark.parametrize(("stop_at", "precision", "accumulation"), [(1, "fp32", 1), (3, "fp32", 2), (5, "bf16", 1), (7, "bf16", 2)])
def test_stopped_and_resumed_equals_undisturbed_bit_for_bit(
    tmp_path: Path, stop_at: int, precision: str, accumulation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.CONFIG", LocalEngine.Config.model_validate({"device": "cpu", "precision": precision}))
    monkeypatch.setattr(f"{__name__}.LOOP", LOOP.model_copy(update={"accumulation": accumulation}))
    whole = trainer(tmp_path / "whole", Batches(), LOOP, validation=[batch(77)])
    assert whole.train()
    run = tmp_path / "interrupted"
    assert not trainer(run, Batches(), LOOP, Quiet(stop_at=stop_at), [batch(77)]).train()
    torch.manual_seed(123)
    resumed = trainer(run, Batches(), LOOP, validation=[batch(77)])
    found = find_newest(run).folder
    assert found is not None and found.name == f"step-{stop_at:09d}"
    load_weights(resumed.engine.model, found)
    resumed.restore(load_state(found), load_optimizer(found))
    assert resumed.train()
    assert_equal(weights(whole.engine), weights(resumed.engine))
    lines = [[json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()] for folder in (tmp_path / "whole", run)]
    for line in (*lines[0], *lines[1]):
        line.pop("positions_per_s", None)
    assert lines[0] == lines[1]


def test_metrics_report_each_level(tmp_path: Path) -> None:
    trainer(tmp_path, Batches(), validation=[batch(77, 12)]).train()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    validation = [line for line in lines if line["kind"] == "validation"]
    assert [line["step"] for line in validation] == [4, 8]
    assert {f"{kind}_level/{level}" for kind in ("loss", "accuracy") for level in range(4)} <= validation[0].keys()
    assert list((tmp_path / "tensorboard").iterdir())


def test_the_schedule_warms_up_and_comes_down() -> None:
    scales = [trainer(Path("unused"), Batches())._lr_scale(step) for step in range(9)]
    assert scales[0] == pytest.approx(1 / 3) and scales[2] == 1.0
    assert scales[2:] == sorted(scales[2:], reverse=True)
    assert scales[8] == pytest.approx(0.01)
