"""The loader: batches in the plan's order, for any number of ranks, from any place."""

import threading
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from tests.shard_dummies import SPEC, coded, empty_dataset, identity
from valle_data.collate import collate
from valle_data.dataset import Dataset
from valle_data.errors import InputError, UsageError
from valle_data.ids import IdSpace
from valle_data.loader import Loader
from valle_data.records import Batch
from valle_data.samplers.plan import NUM_MARKERS, Place, Plan, SamplerConfig
from valle_data.shards.base import shard_path
from valle_data.shards.commit import commit_part
from valle_data.shards.tar import TarShard
from valle_data.tasks import TASKS
from valle_data.tasks.base import Draw, Layout

IDS = IdSpace(4, ("en-us",), ("tts", "tts-c"), SPEC.num_levels, SPEC.codebook_size)
CONFIG = SamplerConfig(max_positions=120, block_draws=30, tasks={"tts": 0.6, "tts-c": 0.4}, prompt_min_duration_s=0.2, prompt_max_duration_s=0.6)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return Dataset.open(write(tmp_path_factory.mktemp("data") / "d"))


def write(folder: Path) -> Path:
    empty_dataset(folder)
    utterances = [coded(f"u{i:02d}", num_frames=8 + i, speaker=f"s{i % 3}", seed=i) for i in range(40)]
    commit_part(folder, identity(0, "x"), utterances[:25], [], TarShard())
    commit_part(folder, identity(1, "y"), utterances[25:], [], TarShard())
    return folder


def loader(dataset: Dataset, rank: int = 0, world_size: int = 1, config: SamplerConfig = CONFIG) -> Loader:
    tasks = [TASKS[name](Layout(IDS, 2.0)) for name in ("tts-c", "tts")]
    return Loader(dataset, Plan(dataset.columns, config), tasks, IDS, rank=rank, world_size=world_size)


def same(a: Batch, b: Batch) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in Batch.__dataclass_fields__)


def test_batches_are_those_of_laying_down_each_planned_document(dataset: Dataset) -> None:
    plan, tasks = Plan(dataset.columns, CONFIG), {name: TASKS[name](Layout(IDS, 2.0)) for name in ("tts", "tts-c")}
    place = Place()
    for batch in islice(loader(dataset), 12):
        planned, examples = plan.micro_batch(place), []
        for d in range(len(planned.rows)):
            row, prompt = int(planned.rows[d]), int(planned.prompt_rows[d])
            start, frames = int(planned.prompt_start[d]), int(planned.prompt_frames[d])
            prompt_codes = dataset.codes(prompt)[:, start : start + frames] if prompt >= 0 else None
            draw = Draw(row, int(planned.levels[d]), "en-us", dataset.phones(row), dataset.codes(row), prompt_codes, float(planned.cuts[d]))
            examples.append(tasks[plan.task_names[planned.tasks[d]]].example(draw))
        assert same(batch, collate(examples))
        place = plan.advance(place, 1)


def test_a_batch_takes_the_positions_the_plan_counted(dataset: Dataset) -> None:
    plan, place = Plan(dataset.columns, CONFIG), Place()
    for batch in islice(loader(dataset), 30):
        planned = plan.micro_batch(place)
        assert batch.num_positions == planned.positions.sum() <= 120
        assert sorted(batch.rows) == sorted(planned.rows) and sorted(batch.levels) == sorted(planned.levels)
        assert NUM_MARKERS * len(batch.rows) < batch.num_positions
        place = plan.advance(place, 1)


@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
def test_ranks_share_out_the_order_and_another_number_continues_it(dataset: Dataset, world_size: int) -> None:
    alone = list(islice(loader(dataset), 45))
    ranks = [loader(dataset, rank, world_size) for rank in range(world_size)]
    shared = list(zip(*(islice(iter(rank), 6) for rank in ranks), strict=True))
    assert all(same(batch, alone[step * world_size + rank]) for step, batches in enumerate(shared) for rank, batch in enumerate(batches))
    states = [rank.state_dict() for rank in ranks]
    assert all(state == states[0] for state in states)
    resumed = loader(dataset, 1, 2)
    resumed.load_state_dict(states[0])
    assert same(next(iter(resumed)), alone[6 * world_size + 1])


def test_what_was_fetched_ahead_does_not_count(dataset: Dataset) -> None:
    first = loader(dataset)
    everything = list(islice(loader(dataset), 20))
    batches = iter(first)
    for step in range(10):
        assert same(next(batches), everything[step])
        resumed = loader(dataset)
        resumed.load_state_dict(first.state_dict())
        assert same(next(iter(resumed)), everything[step + 1])


def test_a_fresh_state_is_the_beginning(dataset: Dataset) -> None:
    fresh = loader(dataset)
    assert (fresh.state_dict()["block"], fresh.state_dict()["batch"]) == (0, 0)
    with pytest.raises(InputError, match="another sampler configuration"):
        fresh.load_state_dict(loader(dataset, config=SamplerConfig(seed=1)).state_dict())


def test_closing_ends_the_thread(dataset: Dataset) -> None:
    batches = iter(loader(dataset))
    next(batches)
    assert any(thread.name.startswith("valle-loader") for thread in threading.enumerate())
    batches.close()
    assert not any(thread.name.startswith("valle-loader") for thread in threading.enumerate())


def test_damage_found_while_loading_reaches_the_caller(tmp_path: Path) -> None:
    folder = write(tmp_path / "d")
    data = bytearray(shard_path(folder, 1).read_bytes())
    data[700] ^= 1
    shard_path(folder, 1).write_bytes(data)
    with pytest.raises(InputError, match=r"corrupt_shard: .*part-000001.tar: the codes of u25"):
        list(islice(loader(Dataset.open(folder)), 60))


def test_a_model_that_does_not_fit_is_refused_with_every_difference(dataset: Dataset) -> None:
    ids = IdSpace(5, ("de",), ("tts", "tts-c"), 4, 512)
    with pytest.raises(InputError) as refused:
        Loader(dataset, Plan(dataset.columns, CONFIG), [TASKS["tts"](Layout(ids, 2.0)), TASKS["tts-c"](Layout(ids, 2.0))], ids)
    for part in (
        "phones in the vocabulary: data set 4, model 5",
        "levels: data set 8, model 4",
        "codebook size: data set 1024, model 512",
        "does not know: en-us",
    ):
        assert part in str(refused.value)


def test_a_task_the_model_lacks_and_a_rank_beyond_the_world_are_refused(dataset: Dataset) -> None:
    plan = Plan(dataset.columns, CONFIG)
    with pytest.raises(UsageError, match="draws the task 'tts-c', which this model does not train"):
        Loader(dataset, plan, [TASKS["tts"](Layout(IDS, 2.0))], IDS)
    with pytest.raises(UsageError, match="from 0 to 1"):
        loader(dataset, rank=2, world_size=2)
