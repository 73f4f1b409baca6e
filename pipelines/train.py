"""`valle train`: a data set -> a run folder with checkpoints, metrics and samples. The same command resumes."""

import difflib
import itertools
import json
import platform
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch

from pipelines.console import Console, Progress
from pipelines.samples import SampleMaker
from pipelines.train_config import TrainConfig
from valle_data import files
from valle_data.dataset import Dataset
from valle_data.errors import ExitCode, InputError, ReasonCode
from valle_data.loader import Loader
from valle_data.records import Batch
from valle_data.samplers.plan import Place, Plan
from valle_data.shards import lock
from valle_data.tasks import TASKS
from valle_data.yaml_config import dump_config
from valle_model.card import ModelCard
from valle_model.checkpoint import Found, find_newest, load_optimizer, load_state, load_weights, sweep
from valle_model.optimizers import OPTIMIZERS
from valle_model.training.engines import ENGINES
from valle_model.training.engines.base import Engine
from valle_model.training.log import MetricsLog
from valle_model.training.trainer import Trainer

__all__ = ["TrainConfig", "run"]


def run(config: TrainConfig, output: Path, console: Console, *, take_over: bool = False) -> ExitCode:
    """Train to `loop.max_steps` in the run folder `output`, from its newest complete checkpoint if it has one.

    Raises InputError: `dataset_mismatch`, `checkpoint_mismatch` (the run was made with something else), `broken_checkpoint`, `corrupt_shard`,
    `non_finite_loss`, `output_locked`, `storage_failed`.
    """
    files.make_folder(output)
    with lock.hold(output, take_over=take_over, note=console.warning):
        sweep(output)
        found = find_newest(output)
        for problem in found.broken:
            console.warning(f"A checkpoint is not complete and was passed over: {problem}.")
        train_data, validation_data = open_splits(config, console)
        card = make_card(config, train_data, validation_data)
        with stop_signal() as stop, console.progress(config.loop.max_steps, "Training", "steps") as progress:
            listener = ConsoleListener(console, progress, stop, output, config, card, validation_data)
            trainer = make_trainer(config, output, card, train_data, validation_data, listener)
            resume(trainer, found, console, progress)
            describe_run(output, config, card, train_data, console)
            finished = trainer.train()
    if not finished:
        console.warning(f"Stopped by a signal at step {trainer.place.step}; the checkpoint is written, and the same command goes on.")
        return ExitCode.PREEMPTED
    console.result({"run": str(output), "step": trainer.place.step}, f"Trained {trainer.place.step} steps. Speak with: valle synth TEXT --checkpoint {output}")
    return ExitCode.DONE


def open_splits(config: TrainConfig, console: Console) -> tuple[Dataset, Dataset | None]:
    """The training split, and the validation split if `valle metadata` has made one."""
    train = Dataset.open(config.dataset, "train")
    if train.num_unassigned:
        console.warning(f"{train.num_unassigned} utterances are in no split yet and are not used. Run `valle metadata {config.dataset}`.")
    try:
        validation = Dataset.open(config.dataset, "validation")
    except InputError as error:
        if error.reason is not ReasonCode.DATASET_MISMATCH:
            raise
        console.warning(f"There is no validation split, so nothing is validated. `valle metadata {config.dataset}` makes one.")
        return train, None
    return train, validation if len(validation) else None


def make_card(config: TrainConfig, data: Dataset, validation: Dataset | None) -> ModelCard:
    """What the model will be, with `frames_per_phone` measured where the configuration leaves it open; its first language is the most frequent."""
    spoken = Counter(data.language(row) for row in range(len(data)))
    languages = sorted({*data.languages, *(validation.languages if validation else ())}, key=lambda language: (-spoken[language], language))
    measured = float(data.columns.num_frames.sum()) / max(1.0, float(data.columns.num_phones.sum()))
    frames_per_phone = config.model.frames_per_phone or round(measured, 3)
    manifest = data.manifest
    return ModelCard(
        config=config.model.model_copy(update={"frames_per_phone": frames_per_phone}),
        vocabulary=data.vocabulary,
        languages=tuple(languages),
        tasks=tuple(sorted(config.sampler.tasks)),
        codec=manifest.codec,
        codec_config=manifest.codec_config,
        phonemizer_config=manifest.phonemizer.config,
        phonemizer_version=manifest.phonemizer.version,
    )


def make_trainer(config: TrainConfig, output: Path, card: ModelCard, train: Dataset, validation: Dataset | None, listener: "ConsoleListener") -> Trainer:
    torch.manual_seed(config.seed)
    engine: Engine = ENGINES[config.engine.name](config.engine, card.build(), OPTIMIZERS.build(config.optimizer), config.loop.clip_norm)
    sampler = config.sampler.model_copy(update={"seed": config.sampler.seed + config.seed})
    tasks = [TASKS[name](card.layout) for name in sampler.tasks]
    plan = Plan(train.columns, sampler)
    warn_of_left_out(plan, config, listener.console)
    loader = Loader(train, plan, tasks, card.ids)
    batches: list[Batch] = []
    if validation is not None and config.loop.validate_every_steps:
        plan = Plan(validation.columns, sampler.model_copy(update={"curriculum_draws": 0}))
        fixed = Loader(validation, plan, tasks, card.ids)
        batches = [fixed.batch(plan.micro_batch(plan.advance(Place(), index))) for index in range(config.loop.validation_batches)]
    listener.console.info(
        f"{engine.model.num_parameters / 1e6:.1f} M parameters, {len(train)} training utterances, {card.config.frames_per_phone} frames a phone."
    )
    return Trainer(output, card, engine, loader, batches, config.loop, config.schedule, listener)


def warn_of_left_out(plan: Plan, config: TrainConfig, console: Console) -> None:
    if plan.num_too_long:
        console.warning(f"{plan.num_too_long} utterances are longer than sampler.max_positions ({config.sampler.max_positions}) and are not used. Raise it.")
    if plan.num_without_prompt:
        console.warning(f"{plan.num_without_prompt} utterances have no other one of their speaker to be prompted with; they are trained without a prompt.")


def resume(trainer: Trainer, found: Found, console: Console, progress: Progress) -> None:
    """Put a trainer where the newest checkpoint stands; refuses one of another model, codec or vocabulary."""
    if found.folder is None:
        return
    differences = ModelCard.load(found.folder).differences(trainer.card)
    if differences:
        raise InputError(
            ReasonCode.CHECKPOINT_MISMATCH,
            f"{found.folder} does not fit this configuration: {'; '.join(differences)}. Use another output folder, or the run's own train.yaml.",
        )
    load_weights(trainer.engine.model, found.folder)
    state = load_state(found.folder)
    trainer.restore(state, load_optimizer(found.folder))
    progress.resume_at(trainer.place.step)
    console.info(f"Going on from {found.folder}.")


def describe_run(output: Path, config: TrainConfig, card: ModelCard, data: Dataset, console: Console) -> None:
    """`train.yaml` and `environment.json`: what this run is, for whoever finds the folder. A changed configuration is pointed out and both are kept."""
    path, text = output / "train.yaml", dump_config(config)
    before = path.read_text(encoding="utf-8") if path.exists() else text
    if before != text:
        kept = next(name for number in itertools.count(1) if not (name := output / f"train-{number}.yaml").exists())
        files.write_atomically(kept, before.encode())
        changed = [line[2:].strip() for line in difflib.ndiff(before.splitlines(), text.splitlines()) if line.startswith("+ ")]
        console.warning(f"This run began with another configuration (kept as {kept}). Changed now: {', '.join(changed) or 'lines were removed'}.")
    files.write_atomically(path, text.encode())
    environment = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "git": git_revision(),
        "data_fingerprint": data.columns.fingerprint,
        "codec": str(card.codec),
    }
    files.write_atomically(output / "environment.json", (json.dumps(environment, indent=2) + "\n").encode())


def git_revision() -> str | None:
    """The commit of the checkout this code runs from, `-dirty` if it has changes; None outside one."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


@contextmanager
def stop_signal() -> Iterator[threading.Event]:
    """An event that SIGTERM sets, so that a pre-empted run can save first."""
    event = threading.Event()
    previous = signal.signal(signal.SIGTERM, lambda *_: event.set())
    try:
        yield event
    finally:
        signal.signal(signal.SIGTERM, previous)


class ConsoleListener:
    """Shows a run on the console and makes its samples."""

    def __init__(
        self, console: Console, progress: Progress, stop: threading.Event, output: Path, config: TrainConfig, card: ModelCard, validation: Dataset | None
    ) -> None:
        self.console, self.progress, self.stop = console, progress, stop
        self._samples: SampleMaker | None = None
        if validation is not None and config.loop.samples_every_steps:
            self._samples = SampleMaker(output, card, config.samples, validation, config.sampler.prompt_max_duration_s)

    def on_step(self, step: int, values: Mapping[str, float]) -> None:
        shown = {"loss": round(values.get("loss", float("nan")), 3), "positions/s": round(values["positions_per_s"])}
        self.progress.advance(step - self.progress.done, shown)

    def on_event(self, message: str) -> None:
        self.console.warning(message)

    def should_stop(self) -> bool:
        return self.stop.is_set()

    def make_samples(self, step: int, engine: Engine, log: MetricsLog) -> None:
        if self._samples is not None:
            self._samples.make(step, engine.model, log)
