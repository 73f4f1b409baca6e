"""The plan: place -> micro-batch, a pure function of corpus, configuration and seed.

Work goes in blocks. A block's draws are chosen by quota, given tasks, levels and prompts, and packed into micro-batches; the block's list of micro-batches is
the global order, which any number of ranks shares out: slot a of rank r takes the micro-batch `a * W + r` places on. Where a run stands is two integers.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from valle_data.config import Config
from valle_data.errors import InputError, ReasonCode, UsageError
from valle_data.registry import nearest
from valle_data.samplers.levels import level_shares, low_discrepancy, quantile, quotas
from valle_data.samplers.packing import pack
from valle_data.samplers.permutation import Purpose, generator
from valle_data.samplers.prompts import PromptChooser
from valle_data.samplers.schedule import Schedule
from valle_data.samplers.weights import MODES, Strata
from valle_data.tasks import TASKS

STATE_VERSION = 1
NUM_MARKERS = 3  # level with task, language, begin


class SamplerConfig(Config):
    """What is drawn how often. Shares and weights are relative: they need not sum to 1."""

    seed: int = 0
    mode: Literal["path", "speaker", "group"] = Field(default="path", description="path: every utterance once an epoch; speaker, group: by class")
    temperature: float | None = Field(
        default=None, ge=1, description="classes weigh count ** (1 / temperature): 1 as their utterances, null all alike; not used by path"
    )
    block_draws: PositiveInt = Field(default=65536, description="draws planned at once; a smaller corpus is planned in whole epochs")
    max_positions: PositiveInt = Field(default=4096, description="packed positions of one micro-batch at most")
    ar_fraction: float = Field(default=0.5, ge=0, le=1, description="share of draws that train level 0")
    levels: Literal["uniform", "linear"] | tuple[NonNegativeFloat, ...] = Field(default="uniform", description="how the other draws share levels 1..Q-1")
    tasks: dict[str, PositiveFloat] = Field(default={"tts": 1.0}, min_length=1, description="task -> share of the draws")
    promptless_tasks: tuple[str, ...] = Field(default=("tts-c",), description="tasks that get no other utterance as a prompt")
    prompt_min_duration_s: PositiveFloat = 0.5
    prompt_max_duration_s: PositiveFloat = 3.0
    no_prompt_probability: float = Field(default=0.1, ge=0, le=1, description="chance that a draw goes without a prompt though there is one")
    continuation_fraction: tuple[float, float] = Field(default=(0.15, 0.5), description="where a continuation cuts its utterance, drawn between these")
    curriculum_draws: NonNegativeInt = Field(default=0, description="so many draws come first, from short utterances at first and longer ones step by step")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for name in self.tasks:
            if name not in tuple(TASKS):
                raise ValueError(f"there is no task {name!r}.{nearest(name, TASKS)} Known: {', '.join(TASKS)}")
        if self.prompt_max_duration_s < self.prompt_min_duration_s:
            raise ValueError(f"prompt_max_duration_s ({self.prompt_max_duration_s:g}) must not be below prompt_min_duration_s ({self.prompt_min_duration_s:g})")
        low, high = self.continuation_fraction
        if not 0 <= low <= high < 1:
            raise ValueError(f"continuation_fraction must rise within 0..1 (1 excluded); it is {low:g}, {high:g}")
        return self


@dataclass(frozen=True)
class Columns:
    """What a sampler sees of a corpus: one entry a row, never codes or text. `fingerprint` names the corpus and its order."""

    num_frames: NDArray[np.integer]
    num_phones: NDArray[np.integer]
    speaker: NDArray[np.integer]
    group: NDArray[np.integer]
    frame_rate_hz: float
    num_levels: int
    fingerprint: str


@dataclass(frozen=True, order=True)
class Place:
    """A micro-batch in the global order."""

    block: int = 0
    batch: int = 0


@dataclass(frozen=True)
class MicroBatchPlan:
    """The documents of one micro-batch (or of a whole block); every array is `[D]`.

    Document d trains task `task_names[tasks[d]]` at level `levels[d]` on row `rows[d]`, prompted by `prompt_frames[d]` frames from `prompt_start[d]` on of row
    `prompt_rows[d]` (-1: no prompt, 0 frames), or cut at `cuts[d]` of its length. `draws` count from 0 for ever; `positions` is what it takes when packed.
    """

    rows: NDArray[np.int64]
    prompt_rows: NDArray[np.int64]
    prompt_start: NDArray[np.int64]
    prompt_frames: NDArray[np.int64]
    tasks: NDArray[np.int8]
    levels: NDArray[np.int8]
    cuts: NDArray[np.float64]
    draws: NDArray[np.int64]
    positions: NDArray[np.int64]

    def part(self, which: NDArray[np.int64] | slice) -> "MicroBatchPlan":
        return MicroBatchPlan(**{field.name: getattr(self, field.name)[which] for field in fields(self)})


@dataclass(frozen=True)
class Block:
    """A block's documents in the order of its micro-batches; micro-batch i covers `bounds[i]` to `bounds[i + 1]`."""

    documents: MicroBatchPlan
    bounds: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def batch(self, index: int) -> MicroBatchPlan:
        return self.documents.part(slice(int(self.bounds[index]), int(self.bounds[index + 1])))


class Plan:
    """The global order of micro-batches of one corpus. Keeps nothing but the last block it planned, so it may be shared and asked in any order.

    `num_too_long` rows never fit `max_positions` and are left out; `num_without_prompt` rows have no other utterance that could be their prompt.
    """

    def __init__(self, columns: Columns, config: SamplerConfig) -> None:
        self.columns, self.config = columns, config
        self.task_names = tuple(config.tasks)
        self._shares = np.array(list(config.tasks.values())) / sum(config.tasks.values())
        self._prompted = np.array([name not in config.promptless_tasks for name in self.task_names])
        self._level_shares = level_shares(config.ar_fraction, config.levels, columns.num_levels)
        rows = self._usable_rows()
        lengths = columns.num_frames if config.curriculum_draws else None
        self._strata = Strata(MODES[config.mode](columns), rows, lengths=lengths, temperature=config.temperature, seed=config.seed)
        self._prompts = self._chooser()
        self.num_too_long = len(columns.num_frames) - len(rows)
        self.num_without_prompt = int((self._prompts.available(rows) <= 0).sum())
        self.schedule = Schedule.fit(len(rows), config.block_draws, config.curriculum_draws, self._positions(rows).sum() / config.max_positions)
        self._shift = int(generator(config.seed, 0, Purpose.SEQUENCE).integers(0, 2**64, dtype=np.uint64))
        self._blocks: dict[int, Block] = {}

    def _positions(self, rows: NDArray[np.integer]) -> NDArray[np.int64]:
        """Positions `[L]` of rows without a prompt."""
        return self.columns.num_frames[rows].astype(np.int64) + self.columns.num_phones[rows] + NUM_MARKERS

    def _usable_rows(self) -> NDArray[np.int64]:
        if not len(self.columns.num_frames):
            raise InputError(ReasonCode.DATASET_MISMATCH, "There is nothing to draw from: the data set, or this split of it, has no utterance.")
        positions = self._positions(np.arange(len(self.columns.num_frames)))
        rows = np.flatnonzero(positions <= self.config.max_positions)
        if not len(rows):
            raise UsageError(
                f"No utterance fits a micro-batch: sampler.max_positions is {self.config.max_positions}, but the shortest takes {positions.min()}. Raise it."
            )
        return rows

    def _chooser(self) -> PromptChooser:
        rate = self.columns.frame_rate_hz
        shortest = max(1, round(self.config.prompt_min_duration_s * rate))
        longest = max(shortest, round(self.config.prompt_max_duration_s * rate))
        return PromptChooser(self.columns.speaker, self.columns.num_frames, shortest, longest)

    @cached_property
    def fingerprint(self) -> str:
        """Names corpus and configuration: a place means the same micro-batch only under the same two."""
        config = hashlib.sha256(self.config.model_dump_json().encode()).hexdigest()
        return f"{self.columns.fingerprint[:32]}-{config[:16]}"

    def block(self, number: int) -> Block:
        """Every micro-batch of a block."""
        if number not in self._blocks:
            self._blocks = {known: block for known, block in self._blocks.items() if known == number - 1}
            self._blocks[number] = self._plan(number)
        return self._blocks[number]

    def micro_batch(self, place: Place) -> MicroBatchPlan:
        """The documents at `place`, which must come from `advance`, `place` or be the very first."""
        place = self.advance(place, 0)
        return self.block(place.block).batch(place.batch)

    def advance(self, place: Place, count: int) -> Place:
        """The place `count` micro-batches on. Any path to a micro-batch gives the same place."""
        block, batch = place.block, place.batch + count
        while batch >= len(self.block(block)):
            batch -= len(self.block(block))
            block += 1
        return Place(block, batch)

    def state(self, place: Place) -> dict[str, Any]:
        """What a checkpoint keeps: under 512 bytes of JSON whatever the corpus and the number of ranks."""
        return {"version": STATE_VERSION, "seed": self.config.seed, "block": place.block, "batch": place.batch, "fingerprint": self.fingerprint}

    def place(self, state: Mapping[str, Any]) -> Place:
        """The place a state names; refuses with `InputError` the state of another corpus or sampler configuration."""
        if state["version"] != STATE_VERSION:
            raise InputError(
                ReasonCode.CHECKPOINT_MISMATCH,
                f"This sampler state has version {state['version']}, this program reads version {STATE_VERSION}. Start a new run.",
            )
        if state["fingerprint"] != self.fingerprint:
            corpus_changed = state["fingerprint"].rpartition("-")[0] != self.fingerprint.rpartition("-")[0]
            what = "another data set or split (parts may have been added)" if corpus_changed else "another sampler configuration"
            raise InputError(
                ReasonCode.CHECKPOINT_MISMATCH,
                f"This sampler state ({state['fingerprint']}) was saved with {what} than this run has ({self.fingerprint}): it would name other utterances. "
                "Resume with what the run began with, or start a new run in another folder.",
            )
        return Place(int(state["block"]), int(state["batch"]))

    def _draw_rows(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and draw numbers of a block, in the order of the draws."""
        schedule, strata = self.schedule, self._strata
        before, after = strata.drawn(schedule.start(number)), strata.drawn(schedule.start(number + 1))
        # A curriculum stage permutes its own prefix of every class from the beginning; all later blocks continue each other.
        origin = strata.drawn(schedule.start(min(number, schedule.stages)))
        rows = strata.rows(before - origin, after - origin, share=schedule.share(number), stage=min(number, schedule.stages))
        rows = rows[generator(self.config.seed, number, Purpose.ORDER).permutation(len(rows))]
        return rows, int(before.sum()) + np.arange(len(rows))

    def _plan(self, number: int) -> Block:
        config = self.config
        rows, draws = self._draw_rows(number)
        tasks, own = quotas(draws, self._shares), self._positions(rows)
        random = generator(config.seed, number, Purpose.PROMPT)
        wanted = self._prompted[tasks] & (random.random(len(rows)) >= config.no_prompt_probability)
        prompts = self._prompts.choose(rows, wanted, config.max_positions - own, random)
        low, high = config.continuation_fraction
        documents = MicroBatchPlan(
            rows=rows,
            prompt_rows=prompts.rows,
            prompt_start=prompts.start,
            prompt_frames=prompts.frames,
            tasks=tasks,
            levels=quantile(low_discrepancy(draws, self._shift), self._level_shares),
            cuts=low + (high - low) * generator(config.seed, number, Purpose.CUT).random(len(rows)),
            draws=draws,
            positions=own + prompts.frames,
        )
        order, bounds = pack(documents.positions, config.max_positions, generator(config.seed, number, Purpose.PACK))
        return Block(documents.part(order), bounds)
