"""Batches for one rank, in the plan's global order; where it stands is what has been handed out, never what was fetched ahead."""

from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from valle_data.collate import collate
from valle_data.dataset import Dataset
from valle_data.errors import InputError, ReasonCode, UsageError
from valle_data.ids import IdSpace
from valle_data.records import Batch
from valle_data.registry import nearest
from valle_data.samplers.plan import MicroBatchPlan, Place, Plan
from valle_data.tasks.base import Draw, Task

_AHEAD = 4


class Loader:
    """Endless batches of rank `rank` of `world_size`: one micro-batch in `world_size` of the plan's order, beginning with its own.

    With gradient accumulation a rank takes its next batches in turn, so slot a of a step is `a * world_size + rank` places on. After each rank has been handed
    n batches, `state_dict()` is the same on all of them, and any other number of ranks continues from it with the same global order.
    Iterating fetches a few batches ahead in a thread, and raises InputError when a shard proves damaged.
    """

    def __init__(self, dataset: Dataset, plan: Plan, tasks: Sequence[Task], ids: IdSpace, rank: int = 0, world_size: int = 1) -> None:
        if not 0 <= rank < world_size:
            raise UsageError(f"A rank is a number from 0 to {world_size - 1} (world size {world_size}), not {rank}.")
        known = {task.name: task for task in tasks}
        missing = [name for name in plan.task_names if name not in known]
        if missing:
            raise UsageError(
                f"The sampler draws the task {missing[0]!r}, which this model does not train.{nearest(missing[0], known)} It trains: {', '.join(known)}."
            )
        check_fit(dataset, ids)
        self.dataset, self.plan = dataset, plan
        self._tasks = [known[name] for name in plan.task_names]
        self._rank, self._world_size = rank, world_size
        self._place = Place()

    def state_dict(self) -> dict[str, Any]:
        """Where the next batches come from, after the last one handed out."""
        return self.plan.state(self._place)

    def utterance_id(self, row: int) -> str:
        """The id of a batch's row."""
        return self.dataset.utterance_id(row)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where `state` was saved; for iterators made from now on. InputError when it belongs to other data or another configuration."""
        self._place = self.plan.place(state)

    def __iter__(self) -> Generator[Batch, None, None]:
        """Batches from the current place on, without end."""
        batches = self._batches(self._place)
        pool = ThreadPoolExecutor(1, thread_name_prefix="valle-loader")
        try:
            ahead = deque(pool.submit(next, batches) for _ in range(_AHEAD))
            while True:
                batch, place = ahead.popleft().result()
                ahead.append(pool.submit(next, batches))
                self._place = place
                yield batch
        finally:
            pool.shutdown(cancel_futures=True)

    def _batches(self, place: Place) -> Iterator[tuple[Batch, Place]]:
        """Batches, each with the place behind it."""
        while True:
            mine = self.plan.micro_batch(self.plan.advance(place, self._rank))
            place = self.plan.advance(place, self._world_size)
            yield self.batch(mine), place

    def batch(self, documents: MicroBatchPlan) -> Batch:
        """The batch of a planned micro-batch."""
        self.dataset.prefetch(row for rows in (documents.rows, documents.prompt_rows) for row in rows.tolist() if row >= 0)
        columns = zip(
            documents.rows.tolist(),
            documents.tasks.tolist(),
            documents.levels.tolist(),
            documents.prompt_rows.tolist(),
            documents.prompt_start.tolist(),
            documents.prompt_frames.tolist(),
            documents.cuts.tolist(),
            strict=True,
        )
        data = self.dataset
        return collate(
            [
                self._tasks[task].example(
                    Draw(
                        row=row,
                        level=level,
                        language=data.language(row),
                        phones=data.phones(row),
                        codes=data.codes(row),
                        prompt=data.codes(prompt, start, start + frames) if prompt >= 0 else None,
                        cut=cut,
                    )
                )
                for row, task, level, prompt, start, frames, cut in columns
            ]
        )


def check_fit(dataset: Dataset, ids: IdSpace) -> None:
    """InputError `dataset_mismatch` unless a model with this id space can train on the data set."""
    strange = sorted(set(dataset.languages) - set(ids.languages))
    differences = [
        f"{what}: data set {theirs}, model {ours}"
        for what, theirs, ours in (
            ("phones in the vocabulary", len(dataset.vocabulary), ids.num_phones),
            ("levels", dataset.codec.num_levels, ids.num_levels),
            ("codebook size", dataset.codec.codebook_size, ids.codebook_size),
        )
        if theirs != ours
    ] + ([f"languages the model does not know: {', '.join(strange)}"] if strange else [])
    if differences:
        raise InputError(
            ReasonCode.DATASET_MISMATCH,
            f"This model cannot train on {dataset.folder} ({dataset.codec}): {'; '.join(differences)}. "
            "Prepare the data with the model's codec and phonemizer, or train a new model.",
        )
