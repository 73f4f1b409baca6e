"""Filters against obvious loops, against transformers' processors, and sampling against the distribution it should have."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from transformers import RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from valle_data.errors import InputError
from valle_model.decoding.filters import (
    SamplingConfig,
    draw,
    filter_logits,
    keep_top_k,
    keep_top_p,
    make_generator,
    penalise_repetition,
    sample,
    scale_temperature,
)

EMPTY = torch.zeros(0, dtype=torch.int64)
LOGITS = st.lists(st.one_of(st.floats(-30, 30, width=32), st.sampled_from([-math.inf, 0.0, 1.0])), min_size=1, max_size=12).filter(
    lambda row: max(row) > -math.inf
)


def random_logits(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 3


def slow_top_k(row: list[float], k: int) -> list[float]:
    smallest = sorted(row, reverse=True)[min(k, len(row)) - 1] if k else -math.inf
    return [x if x >= smallest else -math.inf for x in row]


def slow_top_p(row: list[float], p: float) -> list[float]:
    top = max(row)
    total = sum(math.exp(x - top) for x in row)
    kept, reached = set(), 0.0
    for index in sorted(range(len(row)), key=lambda i: -row[i]):
        if not kept or reached < p:
            kept.add(index)
        reached += math.exp(row[index] - top) / total
    return [x if i in kept else -math.inf for i, x in enumerate(row)]


def slow_penalty(row: list[float], history: list[int], penalty: float) -> list[float]:
    return [(x / penalty if x > 0 else x * penalty) if i in history else x for i, x in enumerate(row)]


@given(LOGITS, st.integers(0, 14))
def test_top_k_equals_the_loop(row: list[float], k: int):
    assert keep_top_k(torch.tensor(row), k).tolist() == torch.tensor(slow_top_k(row, k)).tolist()


@given(LOGITS, st.floats(0.01, 0.999))
def test_top_p_keeps_what_the_loop_keeps_but_for_rounding_at_the_edge(row: list[float], p: float):
    kept = keep_top_p(torch.tensor(row), p)
    low, high = (sum(x > -math.inf for x in slow_top_p(row, q)) for q in (max(p - 1e-5, 1e-9), min(p + 1e-5, 1)))
    assert max(low, 1) <= int((kept > -math.inf).sum()) <= high
    assert kept.amax() == max(row)


def test_top_p_includes_the_token_that_crosses():
    logits = torch.tensor([0.5, 0.3, 0.2]).log()
    assert (keep_top_p(logits, 0.6) > -math.inf).tolist() == [True, True, False]
    assert (keep_top_p(logits, 0.4) > -math.inf).tolist() == [True, False, False]
    assert (keep_top_p(logits, 1e-9) > -math.inf).tolist() == [True, False, False]
    assert keep_top_p(logits, 1.0) is logits
    assert (keep_top_p(torch.zeros(4), 0.5) > -math.inf).tolist() == [True, True, False, False]


def test_top_k_keeps_ties():
    logits = torch.tensor([1.0, 2.0, 2.0, 2.0, 0.0])
    assert (keep_top_k(logits, 2) > -math.inf).tolist() == [False, True, True, True, False]
    assert keep_top_k(logits, 0) is logits and keep_top_k(logits, 5) is logits and keep_top_k(logits, 99) is logits


@given(LOGITS, st.lists(st.integers(0, 11), max_size=8), st.floats(1, 10, width=32))
def test_penalty_equals_the_loop_and_never_boosts(row: list[float], history: list[int], penalty: float):
    history = [token for token in history if token < len(row)]
    logits = torch.tensor(row)
    out = penalise_repetition(logits, torch.tensor(history, dtype=torch.int64), penalty)
    torch.testing.assert_close(out, torch.tensor(slow_penalty(row, history, penalty)), rtol=1e-5, atol=0)
    assert (out <= logits).all()


def test_penalty_ignores_minus_one_even_beside_token_0():
    logits = torch.tensor([[2.0, 1.0, -1.0]] * 3)
    out = penalise_repetition(logits, torch.tensor([[-1, -1], [-1, 0], [2, -1]]), 2.0)
    assert out.tolist() == [[2.0, 1.0, -1.0], [1.0, 1.0, -1.0], [2.0, 1.0, -2.0]]


@pytest.mark.parametrize("shape", [(1,), (40,), (3, 1), (5, 40)])
def test_filters_equal_those_of_transformers(shape: tuple[int, ...]):
    logits = random_logits(*shape)
    rows = logits.view(-1, shape[-1])
    history = torch.randint(0, shape[-1], (len(rows), 7), generator=torch.Generator().manual_seed(1))
    ours_history = history if len(shape) > 1 else history[0]
    pairs: list[tuple[torch.Tensor, Any]] = [
        (penalise_repetition(logits, ours_history, 1.7), RepetitionPenaltyLogitsProcessor(1.7)),
        (keep_top_k(logits, 5), TopKLogitsWarper(5)),
        (keep_top_p(logits, 0.8), TopPLogitsWarper(0.8)),
    ]
    for ours, theirs in pairs:
        torch.testing.assert_close(ours.view_as(rows), theirs(history, rows.clone()))
    warmer: Any = TemperatureLogitsWarper(0.6)
    torch.testing.assert_close(scale_temperature(logits, 0.6).view_as(rows).softmax(-1), warmer(history, rows).softmax(-1))


def test_the_whole_chain_equals_transformers():
    logits = random_logits(6, 200, seed=5)
    history = torch.randint(0, 200, (6, 30), generator=torch.Generator().manual_seed(2))
    config = SamplingConfig(temperature=0.7, top_k=50, top_p=0.9, repetition_penalty=1.3, repetition_window=10)
    expected = logits
    steps: list[Any] = [RepetitionPenaltyLogitsProcessor(1.3), TemperatureLogitsWarper(0.7), TopKLogitsWarper(50), TopPLogitsWarper(0.9)]
    for step in steps:
        expected = step(history[:, -10:], expected)
    torch.testing.assert_close(filter_logits(logits, history, config).softmax(-1), expected.softmax(-1))


@settings(max_examples=60)
@given(LOGITS, st.floats(1e-30, 50), st.integers(0, 5), st.floats(1e-6, 1), st.floats(1, 1e6), st.lists(st.integers(0, 0), max_size=3))
def test_never_nan_and_never_empty(row: list[float], temperature: float, k: int, p: float, penalty: float, history: list[int]):
    config = SamplingConfig(temperature=temperature, top_k=k, top_p=p, repetition_penalty=penalty)
    out = filter_logits(torch.tensor(row), torch.tensor(history, dtype=torch.int64), config)
    assert not out.isnan().any() and out.amax() > -math.inf
    assert row[draw(out, torch.Generator().manual_seed(0))] > -math.inf


def test_filters_leave_their_input_alone():
    logits = random_logits(4, 20)
    kept = logits.clone()
    filter_logits(logits, torch.zeros(4, 3, dtype=torch.int64), SamplingConfig(temperature=0.5, top_k=3, top_p=0.5, repetition_penalty=2))
    assert torch.equal(logits, kept)


def test_temperature_0_is_argmax_and_draws_nothing():
    logits, generator = random_logits(50), torch.Generator().manual_seed(0)
    state = generator.get_state()
    assert sample(logits, EMPTY, SamplingConfig(temperature=0), generator) == int(logits.argmax())
    assert torch.equal(generator.get_state(), state)
    best = int(logits.argmax())
    penalised = SamplingConfig(temperature=0, repetition_penalty=100, top_k=1)
    assert sample(logits, torch.tensor([best]), penalised, generator) == int(penalise_repetition(logits, torch.tensor([best]), 100).argmax()) != best


def test_draws_follow_the_distribution():
    """Chi-square over 4,000 draws: below the 99.9 % point of 4 degrees of freedom, 18.47."""
    logits, generator = torch.tensor([0.4, 0.3, 0.15, 0.1, 0.05]).log(), torch.Generator().manual_seed(7)
    counts = torch.bincount(torch.tensor([draw(logits, generator) for _ in range(4000)]), minlength=5)
    expected = logits.exp() * 4000
    assert float(((counts - expected).square() / expected).sum()) < 18.47


def test_a_token_of_probability_0_is_never_drawn():
    logits = torch.tensor([-math.inf, 0.0, -math.inf, 0.0, -math.inf])
    generator = torch.Generator().manual_seed(0)
    assert {draw(logits, generator) for _ in range(300)} == {1, 3}
    assert draw(torch.tensor([2.0]), generator) == 0


def test_seed_0_is_a_seed_and_seeds_differ():
    logits = torch.zeros(1000)

    def run(seed: int) -> list[int]:
        config = SamplingConfig(seed=seed)
        generator = make_generator(config)
        return [sample(logits, EMPTY, config, generator) for _ in range(8)]

    torch.manual_seed(1)
    first = run(0)
    torch.manual_seed(2)
    assert run(0) == first != run(1)


def test_neighbours_in_a_batch_change_nothing():
    logits, config = random_logits(4, 64), SamplingConfig(top_p=0.9, seed=3)
    alone = make_generator(config)
    expected = [sample(logits[2], EMPTY, config, alone) for _ in range(5)]
    generators = [make_generator(config.model_copy(update={"seed": s})) for s in (11, 12, 3, 13)]
    together = [[sample(row, EMPTY, config, generator) for row, generator in zip(logits, generators, strict=True)] for _ in range(5)]
    assert [step[2] for step in together] == expected


def test_repetition_aware_sampling_draws_again_from_the_unfiltered_distribution():
    """Token 0 is all that top-k 1 leaves. Once it fills more than the allowed share of the window, the others get their chance."""
    logits = torch.tensor([2.0, 1.9, 1.9, 1.9, 1.9, 1.9])
    config = SamplingConfig(top_k=1, repetition_window=10, repetition_threshold=0.1)
    generator = make_generator(config)
    once, twice = torch.tensor([0, 5, 5, 5]), torch.tensor([0, 0, 5, 5])
    assert {sample(logits, once, config, generator) for _ in range(40)} == {0}
    assert {sample(logits, twice, config, generator) for _ in range(200)} == set(range(6))
    long_ago = torch.tensor([0, 0] + [5] * 10)
    assert {sample(logits, long_ago, config, generator) for _ in range(40)} == {0}
    off = config.model_copy(update={"repetition_threshold": 1.0})
    assert {sample(logits, torch.zeros(10, dtype=torch.int64), off, generator) for _ in range(40)} == {0}


@pytest.mark.parametrize("logits", [[math.nan, 0.0], [-math.inf, -math.inf], [math.inf, 0.0]])
def test_broken_logits_are_refused(logits: list[float]):
    with pytest.raises(InputError, match="logits hold NaN or infinity, or no token is allowed"):
        sample(torch.tensor(logits), EMPTY, SamplingConfig(), torch.Generator())


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1},
        {"top_k": -1},
        {"top_p": 0},
        {"top_p": 1.1},
        {"repetition_penalty": 0.9},
        {"repetition_window": 0},
        {"repetition_threshold": 2},
        {"seed": -1},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any]):
    with pytest.raises(ValidationError):
        SamplingConfig(**wrong)
