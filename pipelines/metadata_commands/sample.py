"""`valle metadata sample`: what the sampler would draw, held against what its configuration promises."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.console import Cell, Console
from valle_data.config import Config
from valle_data.dataset import Dataset
from valle_data.errors import ExitCode
from valle_data.samplers.levels import level_shares
from valle_data.samplers.plan import NUM_MARKERS, MicroBatchPlan, Place, Plan, SamplerConfig
from valle_data.samplers.weights import MODES, Strata
from valle_data.yaml_config import load_config


class SampleConfig(Config):
    """What can be changed on the command line: the sampler, as in a training configuration."""

    sampler: SamplerConfig = SamplerConfig()


@dataclass(frozen=True)
class Drawn:
    """What `steps` micro-batches drew. `rows` `[N]` counts how often each utterance was drawn, `levels` `[Q]` and `tasks` likewise."""

    rows: NDArray[np.int64]
    levels: NDArray[np.int64]
    tasks: NDArray[np.int64]
    num_prompted: int
    num_positions: int
    longest: int
    steps: int

    @property
    def num_draws(self) -> int:
        return int(self.rows.sum())


def run(
    dataset: Path,
    overrides: Sequence[str],
    *,
    console: Console,
    config: Path | None = None,
    steps: int = 100,
    explain: bool = False,
    split: str = "train",
    most: int = 20,
) -> ExitCode:
    """Print the draws of the first `steps` micro-batches, or with `explain` how they compare with the configuration.

    Raises ConfigError for a sampler that cannot be; InputError for a data set or split that cannot be opened.
    """
    sampler = _sampler(config, overrides)
    data = Dataset.open(dataset, split)
    plan = Plan(data.columns, sampler)
    if explain:
        drawn = draw(plan, steps)
        _explain(console, data, plan, drawn, most if not console.as_json else len(data))
    else:
        _list(console, data, plan, steps, most if not console.as_json else steps * plan.config.max_positions)
    return ExitCode.DONE


def _sampler(config: Path | None, overrides: Sequence[str]) -> SamplerConfig:
    if config is None:
        return load_config(SampleConfig, None, overrides).sampler
    from pipelines.config_files import load
    from pipelines.train_config import TrainConfig

    training = load(TrainConfig, config, overrides)
    return training.sampler.model_copy(update={"seed": training.sampler.seed + training.seed})


def micro_batches(plan: Plan, steps: int) -> Iterator[MicroBatchPlan]:
    """The first `steps` micro-batches of the plan."""
    place = Place()
    for _ in range(steps):
        yield plan.micro_batch(place)
        place = plan.advance(place, 1)


def draw(plan: Plan, steps: int) -> Drawn:
    """Count what the first `steps` micro-batches hold."""
    rows = np.zeros(len(plan.columns.num_frames), dtype=np.int64)
    levels, tasks = np.zeros(plan.columns.num_levels, dtype=np.int64), np.zeros(len(plan.task_names), dtype=np.int64)
    num_prompted = num_positions = longest = 0
    for documents in micro_batches(plan, steps):
        rows += np.bincount(documents.rows, minlength=len(rows))
        levels += np.bincount(documents.levels, minlength=len(levels))
        tasks += np.bincount(documents.tasks, minlength=len(tasks))
        num_prompted += int((documents.prompt_rows >= 0).sum())
        num_positions += int(documents.positions.sum())
        longest = max(longest, int(documents.positions.sum()))
    return Drawn(rows, levels, tasks, num_prompted, num_positions, longest, steps)


def expected_shares(plan: Plan) -> NDArray[np.float64]:
    """The share `[N]` of draws each utterance is to have by the mode and temperature of the sampler; 0 for those too long to be drawn."""
    columns, config = plan.columns, plan.config
    positions = columns.num_frames.astype(np.int64) + columns.num_phones + NUM_MARKERS
    rows = np.flatnonzero(positions <= config.max_positions)
    strata = Strata(MODES[config.mode](columns), rows, lengths=None, temperature=config.temperature, seed=config.seed)
    shares = np.zeros(len(positions))
    shares[strata.members] = np.repeat(strata.weights / strata.counts, strata.counts)
    return shares


def _explain(console: Console, data: Dataset, plan: Plan, drawn: Drawn, most: int) -> None:
    shares = expected_shares(plan)
    usable = int((shares > 0).sum())
    covered = int((drawn.rows > 0).sum())
    figures: list[tuple[str, Cell]] = [
        ("micro-batches", drawn.steps),
        ("draws", drawn.num_draws),
        ("utterances of this split", len(data)),
        ("too long for a micro-batch", plan.num_too_long),
        ("different utterances drawn", covered),
        ("of all that can be drawn", f"{covered / usable:.2%}"),
        ("epochs", round(drawn.num_draws / usable, 4)),
        ("most often drawn", int(drawn.rows.max())),
        ("with a prompt", f"{drawn.num_prompted / max(drawn.num_draws, 1):.2%}"),
        ("utterances that no other can prompt", plan.num_without_prompt),
        ("positions a micro-batch holds", plan.config.max_positions),
        ("positions in use", f"{drawn.num_positions / (drawn.steps * plan.config.max_positions):.2%}"),
        ("fullest micro-batch", drawn.longest),
    ]
    console.table(f"What the sampler draws (mode {plan.config.mode}, seed {plan.config.seed})", ["what", "value"], figures)
    names = [f"{group} / {speaker}" for group, speaker in zip(_groups_of_speakers(data), data.speakers, strict=True)]
    for title, codes, labels in (("speaker", data.columns.speaker, names), ("group", data.columns.group, list(data.groups))):
        _shares(console, title, labels, np.bincount(codes, weights=shares, minlength=len(labels)), np.bincount(codes, weights=drawn.rows), most)
    levels = level_shares(plan.config.ar_fraction, plan.config.levels, plan.columns.num_levels)
    _shares(console, "level", [str(level) for level in range(len(levels))], levels, drawn.levels, len(levels), ordered=False)
    tasks = np.array(list(plan.config.tasks.values())) / sum(plan.config.tasks.values())
    _shares(console, "task", list(plan.task_names), tasks, drawn.tasks, len(tasks), ordered=False)


def _groups_of_speakers(data: Dataset) -> list[str]:
    """The group of each speaker in `data.speakers`; a speaker is a name in one group."""
    first = np.unique(data.columns.speaker, return_index=True)[1]
    return [data.groups[group] for group in data.columns.group[first].tolist()]


def _shares(
    console: Console, what: str, names: list[str], expected: NDArray[np.number], counts: NDArray[np.number], most: int, *, ordered: bool = True
) -> None:
    """Expected against realised shares, those that differ most first where `ordered`; the error is in draws."""
    realised = np.asarray(counts, dtype=np.float64)
    error = realised - expected * realised.sum()
    order = np.argsort(-np.abs(error), kind="stable") if ordered else np.arange(len(names))
    rows: list[tuple[Cell, ...]] = [
        (names[index], f"{expected[index]:.3%}", f"{realised[index] / max(realised.sum(), 1):.3%}", int(realised[index]), round(float(error[index]), 2))
        for index in order[:most].tolist()
    ]
    rest = len(names) - len(rows)
    title = f"By {what}: expected and realised" + (f" ({len(rows):,} of {len(names):,}, those that differ most)" if rest else "")
    console.table(title, [what, "expected", "realised", "draws", "draws too many"], rows)


def _list(console: Console, data: Dataset, plan: Plan, steps: int, most: int) -> None:
    """The draws one by one, with the ids of their utterances."""
    names = RowNames(data)
    rows: list[tuple[Cell, ...]] = []
    for step, documents in enumerate(micro_batches(plan, steps)):
        for index in range(len(documents.rows)):
            if len(rows) == most:
                break
            row, prompt = int(documents.rows[index]), int(documents.prompt_rows[index])
            prompted = f"{names[prompt]} +{documents.prompt_start[index]} x{documents.prompt_frames[index]}" if prompt >= 0 else None
            task = plan.task_names[documents.tasks[index]]
            rows.append((step, names[row], data.speaker(row), task, int(documents.levels[index]), prompted, int(documents.positions[index])))
    console.table(f"The first {len(rows):,} draws", ["micro-batch", "utterance", "speaker", "task", "level", "prompt (first frame, frames)", "positions"], rows)


class RowNames:
    """Utterance ids by row, each looked up once."""

    def __init__(self, data: Dataset) -> None:
        self._data = data
        self._known: dict[int, str] = {}

    def __getitem__(self, row: int) -> str:
        if row not in self._known:
            self._known[row] = self._data.utterance_id(row)
        return self._known[row]
