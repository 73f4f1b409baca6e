"""Levels and tasks of draws: shares, quotas and the sequences behind them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from valle_data.errors import UsageError
from valle_data.samplers.levels import level_shares, low_discrepancy, quantile, quotas


def test_uniform_linear_and_explicit_shares() -> None:
    assert np.allclose(level_shares(0.5, "uniform", 8), [0.5] + [0.5 / 7] * 7)
    assert np.allclose(level_shares(0.4, "linear", 4), [0.4, 0.3, 0.2, 0.1])
    assert np.allclose(level_shares(0.2, [1, 0, 3], 4), [0.2, 0.2, 0.0, 0.6])
    assert np.allclose(level_shares(1.0, "uniform", 1), [1.0])
    assert np.allclose(level_shares(1.0, [0, 0, 0], 4), [1.0, 0, 0, 0])


@pytest.mark.parametrize(
    ("ar_fraction", "nar", "num_levels", "sentence"),
    [
        (0.5, "uniform", 1, "leave nothing for the rest"),
        (0.5, [1, 1], 8, "gives 2 weights, but this codec has 7"),
        (0.5, [0, 0, 0], 4, "every level the weight 0"),
    ],
)
def test_shares_that_do_not_fit_say_why(ar_fraction: float, nar: str | list[float], num_levels: int, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        level_shares(ar_fraction, nar, num_levels)


@settings(deadline=None, max_examples=50)
@given(shift=st.integers(0, 2**64 - 1), start=st.integers(0, 2**40), ar_fraction=st.floats(0, 1), nar=st.sampled_from(["uniform", "linear"]))
def test_levels_stay_within_one_in_a_thousand_of_their_shares(shift: int, start: int, ar_fraction: float, nar: str) -> None:
    shares = level_shares(ar_fraction, nar, 8)
    levels = quantile(low_discrepancy(start + np.arange(20_000), shift), shares)
    assert np.abs(np.bincount(levels, minlength=8) / 20_000 - shares).max() <= 1e-3
    assert not np.isin(levels, np.flatnonzero(shares == 0)).any()


def test_the_sequence_is_the_golden_ratio_one_and_exact_far_away() -> None:
    golden = 0x9E3779B97F4A7C15
    for draw in (0, 1, 2, 10**6, 2**50):
        exact = (draw * golden + 77) % 2**64 / 2**64
        assert low_discrepancy(np.array([draw]), 77)[0] == pytest.approx(exact, abs=1e-15)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=10), st.integers(1, 3000))
def test_task_quotas_are_within_a_draw_or_two_at_every_draw(weights: list[float], num_draws: int) -> None:
    shares = np.array(weights) / sum(weights)
    tasks = quotas(np.arange(num_draws), shares)
    counts = np.cumsum(tasks[:, None] == np.arange(len(shares)), axis=0)
    assert np.abs(counts - np.arange(1, num_draws + 1)[:, None] * shares).max() < (1 if len(weights) <= 2 else 2) + 1e-6


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=5), st.integers(0, 500), st.integers(0, 500))
def test_quotas_depend_on_the_draw_alone(weights: list[float], start: int, length: int) -> None:
    shares = np.array(weights) / sum(weights)
    whole = quotas(np.arange(1000), shares)
    assert np.array_equal(quotas(np.arange(start, start + length), shares), whole[start : start + length])
