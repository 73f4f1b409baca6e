"""The plan: what is drawn how often, in which order, and that a place is all there is to know."""

import json
from itertools import pairwise
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import reference
from valle_data.errors import InputError, ReasonCode, UsageError
from valle_data.samplers.packing import pack
from valle_data.samplers.permutation import keys, permute
from valle_data.samplers.plan import NUM_MARKERS, Columns, MicroBatchPlan, Place, Plan, SamplerConfig
from valle_data.samplers.weights import Strata

Mode = Literal["path", "speaker", "group"]


def corpus(num_rows: int, num_speakers: int = 4, *, seed: int = 0, longest: int = 100) -> Columns:
    random = np.random.default_rng(seed)
    frames = random.integers(5, longest + 1, num_rows).astype(np.uint16)
    speaker = random.integers(0, num_speakers, num_rows).astype(np.uint16)
    return Columns(frames, (frames // 4 + 1).astype(np.uint8), speaker, (speaker % 2).astype(np.uint8), 25.0, 8, f"corpus-{num_rows}-{seed}")


def drawn(plan: Plan, blocks: range) -> np.ndarray:
    """Rows of `blocks`, sorted by draw."""
    documents = [plan.block(block).documents for block in blocks]
    draws = np.concatenate([d.draws for d in documents])
    assert np.array_equal(np.sort(draws), draws.min() + np.arange(len(draws)))
    return np.concatenate([d.rows for d in documents])[np.argsort(draws)]


def walk(plan: Plan, num: int) -> list[MicroBatchPlan]:
    batches, place = [], Place()
    for _ in range(num):
        batches.append(plan.micro_batch(place))
        place = plan.advance(place, 1)
    return batches


def signature(batch: MicroBatchPlan) -> tuple:
    return tuple(tuple(getattr(batch, name).tolist()) for name in ("rows", "draws", "tasks", "levels", "prompt_rows", "prompt_start", "prompt_frames", "cuts"))


# --- the permutation


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 300), st.integers(0, 2**64 - 1))
def test_permutation_is_one_and_is_the_slow_one(size: int, key: int) -> None:
    fast = permute(np.arange(size), np.full(size, size), np.full(size, key, dtype=np.uint64))
    assert sorted(fast) == list(range(size))
    assert fast.tolist() == [reference.permuted(position, size, key) for position in range(size)]


def test_keys_differ_by_every_part_and_match_the_slow_ones() -> None:
    parts = np.arange(50)
    assert keys(-3, parts, 7).tolist() == [reference.key_of(-3, part, 7) for part in range(50)]
    assert len({int(k) for k in np.concatenate([keys(0, parts, 0), keys(0, 0, parts), keys(1, parts, 0)])}) == 149


def test_permutations_of_three_are_equally_frequent() -> None:
    turns = np.arange(12_000)
    places = np.stack([permute(np.full(len(turns), p), np.full(len(turns), 3), keys(5, turns)) for p in range(3)])
    counts = np.unique(places.T @ [9, 3, 1], return_counts=True)[1]
    assert len(counts) == 6 and np.abs(counts - 2000).max() < 5 * np.sqrt(2000)


# --- how often


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 300), st.integers(1, 64), st.integers(0, 5), st.sampled_from([1, 200, 4000]))
def test_path_draws_every_utterance_once_an_epoch(num_rows: int, block_draws: int, seed: int, max_positions: int) -> None:
    plan = Plan(corpus(num_rows, seed=seed), SamplerConfig(seed=seed, block_draws=block_draws, max_positions=max(200, max_positions)))
    schedule = plan.schedule
    blocks = schedule.blocks_per_epoch * (3 if schedule.epochs_per_block == 1 else 1)
    rows = drawn(plan, range(blocks))
    epochs = 3 if schedule.epochs_per_block == 1 else schedule.epochs_per_block
    assert np.array_equal(np.bincount(rows, minlength=num_rows), np.full(num_rows, epochs))
    if schedule.epochs_per_block == 1:
        for epoch in range(3):
            assert np.array_equal(np.sort(rows[epoch * num_rows : (epoch + 1) * num_rows]), np.arange(num_rows))


def test_epochs_come_in_another_order_and_so_do_seeds() -> None:
    columns = corpus(200)
    first = drawn(Plan(columns, SamplerConfig(block_draws=200, max_positions=200)), range(1))
    plan = Plan(columns, SamplerConfig(seed=1, block_draws=200, max_positions=200))
    assert not np.array_equal(first, drawn(plan, range(1)))
    assert not np.array_equal(drawn(plan, range(1)), drawn(plan, range(1, 2)))


def test_a_tiny_corpus_is_planned_several_epochs_at_a_time_and_shuffles_between_them() -> None:
    plan = Plan(corpus(10), SamplerConfig(max_positions=1000))
    assert plan.schedule.epochs_per_block > 20
    block = plan.block(0)
    assert len(block) >= 60
    assert len({signature(block.batch(index)) for index in range(len(block))}) == len(block)
    assert block.documents.positions.sum() / (len(block) * 1000) >= 0.97


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(["speaker", "group"]), st.sampled_from([None, 1.0, 2.0, 7.5]), st.integers(1, 40), st.integers(0, 9))
def test_classes_keep_their_quota_within_one_draw_for_ever(mode: Mode, temperature: float | None, num_speakers: int, seed: int) -> None:
    columns = corpus(400, num_speakers, seed=seed)
    plan = Plan(columns, SamplerConfig(mode=mode, temperature=temperature, seed=seed, block_draws=100, max_positions=300))
    classes = columns.speaker if mode == "speaker" else columns.group
    counts = np.bincount(classes)
    weights = np.where(counts > 0, 1.0, 0.0) if temperature is None else counts ** (1 / temperature)
    weights = weights / weights.sum()
    seen = np.zeros(len(counts))
    for block in range(12):
        rows = plan.block(block).documents.rows
        seen += np.bincount(classes[rows], minlength=len(counts))
        assert np.abs(seen - plan.schedule.start(block + 1) * weights).max() < 1 + 1e-6


def test_quota_and_rows_are_those_of_drawing_one_by_one() -> None:
    columns = corpus(60, 5)
    strata = Strata(columns.speaker, np.arange(60), lengths=columns.num_frames, temperature=2.0, seed=9)
    after = strata.drawn(250)
    phases = strata._phases
    assert after.tolist() == [reference.drawn_by(w, p, 250) for w, p in zip(strata.weights, phases, strict=True)]
    rows = strata.rows(np.zeros_like(after), after, share=1.0, stage=0)
    expected = []
    for stratum, quota in enumerate(after.tolist()):
        members = strata.members[strata.starts[stratum] : strata.starts[stratum + 1]]
        for draw in range(quota):
            turn, place = divmod(draw, len(members))
            expected.append(int(members[reference.permuted(place, len(members), reference.key_of(9, stratum, turn, 0))]))
    assert rows.tolist() == expected


def test_within_a_speaker_nobody_comes_twice_before_everybody_came_once() -> None:
    columns = corpus(300, 6)
    plan = Plan(columns, SamplerConfig(mode="speaker", block_draws=64, max_positions=300))
    seen = np.zeros(300, dtype=int)
    for block in range(30):
        seen += np.bincount(plan.block(block).documents.rows, minlength=300)
        spread = [np.ptp(seen[columns.speaker == speaker]) for speaker in range(6)]
        assert max(spread) <= 1


# --- in which order


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.sampled_from([1, 2, 3, 5, 8]), st.integers(1, 12)), min_size=1, max_size=5), st.integers(0, 3), st.sampled_from(["path", "speaker"])
)
def test_any_ranks_and_any_cuts_continue_one_global_order(schedule: list[tuple[int, int]], seed: int, mode: Mode) -> None:
    config = SamplerConfig(seed=seed, mode=mode, block_draws=50, max_positions=250, tasks={"tts": 0.7, "tts-c": 0.3}, curriculum_draws=40)
    columns = corpus(120, seed=seed)
    seen, state = [], Plan(columns, config).state(Place())
    for world_size, steps in schedule:
        plan = Plan(columns, config)
        place = plan.place(json.loads(json.dumps(state)))
        for _ in range(steps):
            seen += [signature(plan.micro_batch(plan.advance(place, rank))) for rank in range(world_size)]
            place = plan.advance(place, world_size)
        state = plan.state(place)
    assert seen == [signature(batch) for batch in walk(Plan(columns, config), len(seen))]


def test_a_block_far_away_is_the_same_whoever_asks_and_in_which_order() -> None:
    columns = corpus(500)
    config = SamplerConfig(mode="group", block_draws=128, max_positions=400)
    asked, fresh = Plan(columns, config), Plan(columns, config)
    for block in (3, 10**7, 0):
        asked.block(block)
    for block in (10**7, 2):
        assert signature(asked.block(block).documents) == signature(fresh.block(block).documents)


def test_state_is_small_and_belongs_to_its_corpus_and_configuration() -> None:
    plan = Plan(corpus(50), SamplerConfig(max_positions=300))
    state = plan.state(Place(10**12, 10**5))
    assert len(json.dumps(state).encode()) <= 512
    assert plan.place(state) == Place(10**12, 10**5)
    with pytest.raises(InputError, match="another data set or split") as refused:
        Plan(corpus(51), SamplerConfig(max_positions=300)).place(state)
    assert refused.value.reason is ReasonCode.CHECKPOINT_MISMATCH
    with pytest.raises(InputError, match="another sampler configuration"):
        Plan(corpus(50), SamplerConfig(max_positions=301)).place(state)
    with pytest.raises(InputError, match="version 9"):
        plan.place({**state, "version": 9})


# --- what a micro-batch holds


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 200), st.integers(1, 20), st.integers(0, 9), st.integers(0, 3))
def test_documents_keep_every_promise(num_rows: int, num_speakers: int, seed: int, block: int) -> None:
    config = SamplerConfig(
        seed=seed,
        max_positions=160,
        block_draws=150,
        prompt_min_duration_s=0.8,
        prompt_max_duration_s=2.0,
        tasks={"tts": 2, "tts-c": 1},
        continuation_fraction=(0.2, 0.4),
    )
    columns = corpus(num_rows, num_speakers, seed=seed)
    planned = Plan(columns, config).block(block)
    d = planned.documents
    frames = columns.num_frames.astype(int)
    assert np.array_equal(d.positions, frames[d.rows] + columns.num_phones[d.rows] + NUM_MARKERS + d.prompt_frames)
    loads = [planned.batch(index).positions.sum() for index in range(len(planned))]
    assert max(loads) <= 160 and min(loads) > 0
    prompted = d.prompt_rows >= 0
    assert (d.tasks[prompted] == 0).all()
    assert (d.prompt_frames[~prompted] == 0).all() and (d.prompt_start[~prompted] == 0).all()
    target, prompt = d.rows[prompted], d.prompt_rows[prompted]
    assert (columns.speaker[target] == columns.speaker[prompt]).all() and (target != prompt).all()
    assert (d.prompt_frames[prompted] >= 20).all() and (d.prompt_frames[prompted] <= 50).all()
    assert (d.prompt_start[prompted] >= 0).all() and (d.prompt_start[prompted] + d.prompt_frames[prompted] <= frames[prompt]).all()
    assert ((d.cuts >= 0.2) & (d.cuts <= 0.4)).all()
    assert ((d.levels >= 0) & (d.levels < 8)).all()


def test_every_other_utterance_of_the_speaker_is_as_likely_a_prompt() -> None:
    columns = Columns(np.full(5, 50), np.full(5, 5), np.zeros(5, dtype=int), np.zeros(5, dtype=int), 25.0, 8, "five")
    documents = Plan(columns, SamplerConfig(max_positions=2000, no_prompt_probability=0.0)).block(0).documents
    for row in range(5):
        counts = np.bincount(documents.prompt_rows[documents.rows == row], minlength=5)
        expected = counts.sum() / 4
        assert counts[row] == 0 and np.abs(np.delete(counts, row) - expected).max() < 5 * np.sqrt(expected)


def test_who_has_no_other_utterance_goes_without_a_prompt_and_is_counted() -> None:
    frames = np.array([50, 50, 50, 4, 50])  # row 3 is too short to be a prompt, so row 2 has none
    columns = Columns(frames, np.full(5, 5), np.array([0, 0, 1, 1, 2]), np.zeros(5, dtype=int), 25.0, 8, "five")
    plan = Plan(columns, SamplerConfig(max_positions=1000, no_prompt_probability=0.0))
    documents = plan.block(0).documents
    alone = np.isin(documents.rows, [2, 4])
    assert (documents.prompt_rows[alone] == -1).all() and (documents.prompt_rows[~alone] >= 0).all()
    assert set(documents.prompt_rows[documents.rows == 3]) == {2}
    assert plan.num_without_prompt == 2


@pytest.mark.parametrize(("probability", "share"), [(0.0, 0.0), (0.25, 0.25), (1.0, 1.0)])
def test_prompts_are_left_out_as_often_as_configured(probability: float, share: float) -> None:
    documents = Plan(corpus(2000, longest=60), SamplerConfig(max_positions=2000, no_prompt_probability=probability)).block(0).documents
    assert (documents.prompt_rows < 0).mean() == pytest.approx(share, abs=0.04 * (0 < share < 1))


def test_utterances_longer_than_a_micro_batch_are_left_out_and_counted() -> None:
    columns = corpus(300)
    plan = Plan(columns, SamplerConfig(max_positions=90))
    too_long = columns.num_frames.astype(int) + columns.num_phones + NUM_MARKERS > 90
    assert plan.num_too_long == too_long.sum() > 0
    assert not too_long[plan.block(0).documents.rows].any()
    with pytest.raises(UsageError, match=r"max_positions is 5, but the shortest takes 1\d\."):
        Plan(columns, SamplerConfig(max_positions=5))


def test_nothing_to_draw_from_is_an_error() -> None:
    with pytest.raises(InputError, match="has no utterance"):
        Plan(corpus(0), SamplerConfig())


def test_the_curriculum_grows_from_the_shortest_and_ends() -> None:
    columns = corpus(1000, 3)
    config = SamplerConfig(curriculum_draws=8000, block_draws=1000, max_positions=1000, mode="speaker", temperature=1.0)
    plan = Plan(columns, config)
    longest = [int(columns.num_frames[plan.block(block).documents.rows].max()) for block in range(16)]
    assert longest == sorted(longest) and longest[0] < 15 and longest[-1] == columns.num_frames.max()
    starts = [int(plan.block(block).documents.draws.min()) for block in range(18)]
    assert abs(starts[16] - 8000) <= 3 and starts == sorted(starts)
    after = np.bincount(drawn(plan, range(16, 18)), minlength=1000)
    assert np.abs(after - 2).max() <= 1, "epochs begin anew after the curriculum"


@pytest.mark.parametrize("draws", [1, 7, 33])
def test_a_curriculum_of_few_draws(draws: int) -> None:
    plan = Plan(corpus(20), SamplerConfig(curriculum_draws=draws, max_positions=300))
    rows = drawn(plan, range(plan.schedule.stages + 1))
    assert len(rows) == draws + 20 * plan.schedule.epochs_per_block
    assert len(walk(plan, 100)) == 100


# --- packing


@settings(deadline=None, max_examples=80)
@given(st.lists(st.integers(1, 60), max_size=150), st.integers(60, 200), st.integers(0, 9))
def test_packing_loses_nothing_overfills_nothing_and_leaves_none_empty(costs: list[int], budget: int, seed: int) -> None:
    order, bounds = pack(np.array(costs, dtype=np.int64), budget, np.random.default_rng(seed))
    assert sorted(order.tolist()) == list(range(len(costs)))
    loads = [sum(costs[i] for i in order[a:b]) for a, b in pairwise(bounds)]
    assert bounds[0] == 0 and bounds[-1] == len(costs)
    assert all(0 < load <= budget for load in loads)
    assert len(loads) <= reference.first_fit_decreasing(costs, budget) * 1.15 + 1
    for a, b in pairwise(bounds):
        assert [costs[i] for i in order[a:b]] == sorted((costs[i] for i in order[a:b]), reverse=True)


@pytest.mark.parametrize("budget", [4096, 16384, 30000])
def test_packed_batches_are_98_percent_useful_and_alike(budget: int) -> None:
    random = np.random.default_rng(0)
    costs = (np.clip(random.lognormal(np.log(6.5), 0.7, 20_000), 1, 30) * 75).astype(np.int64)
    order, bounds = pack(costs, budget, random)
    loads = np.add.reduceat(costs[order], bounds[:-1])
    assert loads.sum() / (len(loads) * budget) >= 0.98
    assert budget / loads.mean() <= 1.03


def test_documents_as_long_as_the_budget_stand_alone() -> None:
    _, bounds = pack(np.full(7, 100), 100, np.random.default_rng(0))
    assert bounds.tolist() == list(range(8))


# --- configuration


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"tasks": {"tst": 1.0}}, "there is no task 'tst'. Did you mean 'tts'"),
        ({"tasks": {}}, "tasks"),
        ({"tasks": {"tts": 0}}, "tts"),
        ({"prompt_min_duration_s": 4.0}, "must not be below prompt_min_duration_s"),
        ({"continuation_fraction": (0.5, 0.4)}, "continuation_fraction must rise"),
        ({"continuation_fraction": (0.5, 1.0)}, "continuation_fraction must rise"),
        ({"temperature": 0.5}, "temperature"),
        ({"mode": "paths"}, "mode"),
        ({"max_positions": 0}, "max_positions"),
        ({"seeds": 1}, "seeds"),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_field(fields: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        SamplerConfig.model_validate(fields)


def test_seed_zero_is_a_seed() -> None:
    columns = corpus(100)
    zero, one = (drawn(Plan(columns, SamplerConfig(seed=seed)), range(1)) for seed in (0, 1))
    assert not np.array_equal(zero, one)
    assert np.array_equal(zero, drawn(Plan(columns, SamplerConfig()), range(1)))


def test_a_speaker_a_thousand_times_larger_gets_its_share_and_no_more() -> None:
    speaker = np.array([0] * 4000 + [1] * 4)
    columns = Columns(np.full(4004, 30), np.full(4004, 5), speaker, np.zeros(4004, dtype=int), 25.0, 8, "lopsided")
    plan = Plan(columns, SamplerConfig(mode="speaker", block_draws=2000, max_positions=1000))
    documents = plan.block(0).documents
    assert (speaker[documents.rows] == 1).mean() == pytest.approx(0.5, abs=0.01)
    prompted = documents.prompt_rows >= 0
    assert (speaker[documents.rows[prompted]] == speaker[documents.prompt_rows[prompted]]).all()
