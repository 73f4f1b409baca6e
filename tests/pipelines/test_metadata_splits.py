"""Splits: seeded, stable when data is added, never empty, never everything."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.metadata_tables.splits import SPLIT_SCHEMA, SplitRule, make_splits
from valle_data.errors import UsageError

NONE_BEFORE = SPLIT_SCHEMA.empty_table()


def rows(num: int, num_speakers: int = 5) -> pa.Table:
    return pa.table({"utt_id": [f"u{index}" for index in range(num)], "speaker": [f"s{index % num_speakers}" for index in range(num)]})


def assignment(table: pa.Table, rule: SplitRule, earlier: pa.Table = NONE_BEFORE) -> dict[str, bool]:
    return dict(zip(table["utt_id"].to_pylist(), make_splits(table, rule, earlier).is_validation.tolist(), strict=True))


@pytest.mark.parametrize("split_by", ["utterance", "speaker"])
@pytest.mark.parametrize("fraction", [0.001, 0.05, 0.5, 0.999])
@settings(deadline=None, max_examples=30)
@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5), seed=st.integers(0, 5))
def test_nobody_moves_when_data_is_added(split_by: str, fraction: float, sizes: list[int], seed: int) -> None:
    """Through any sequence of growing data sets, the smallest included, where the forced choice matters."""
    rule, earlier, before, total = SplitRule(split_by, seed, fraction), NONE_BEFORE, {}, 1
    for size in sizes:
        total += size
        table = rows(total)
        splits = make_splits(table, rule, earlier)
        now = assignment(table, rule, earlier)
        assert {name: now[name] for name in before} == before and splits.num_moved == 0
        assert any(now.values()) and not all(now.values())
        if split_by == "speaker":
            speakers = table["speaker"].to_pylist()
            assert len({(speaker, value) for speaker, value in zip(speakers, now.values(), strict=True)}) == len(set(speakers))
        earlier, before = splits.table(table, rule), now


def test_order_and_history_leave_no_trace_where_nothing_was_forced() -> None:
    rule = SplitRule("utterance", 3, 0.2)
    table = rows(500)
    shuffled = table.take(list(reversed(range(500))))
    grown = make_splits(rows(300), rule, NONE_BEFORE).table(rows(300), rule)
    assert assignment(table, rule) == assignment(shuffled, rule) == assignment(table, rule, grown)


@pytest.mark.parametrize("fraction", [0.05, 0.3])
def test_the_share_is_the_one_asked_for(fraction: float) -> None:
    found = sum(assignment(rows(20_000), SplitRule("utterance", 0, fraction)).values()) / 20_000
    assert abs(found - fraction) < 4 * (fraction * (1 - fraction) / 20_000) ** 0.5


def test_seeds_differ_and_a_larger_share_keeps_the_smaller_one() -> None:
    small, large, other = (
        assignment(rows(1000), rule) for rule in (SplitRule("utterance", 0, 0.1), SplitRule("utterance", 0, 0.2), SplitRule("utterance", 1, 0.1))
    )
    assert {name for name, chosen in small.items() if chosen} < {name for name, chosen in large.items() if chosen}
    assert small != other


@pytest.mark.parametrize(("num", "expected"), [(0, 0), (1, 0), (2, 1)])
def test_few_utterances(num: int, expected: int) -> None:
    assert sum(assignment(rows(num), SplitRule("utterance", 0, 1e-9)).values()) == expected
    assert sum(assignment(rows(num), SplitRule("utterance", 0, 1 - 1e-9)).values()) == expected


def test_a_share_of_nothing_is_nothing() -> None:
    assert not any(assignment(rows(100, num_speakers=1), SplitRule("speaker", 0, 0.0)).values())


def test_another_rule_draws_anew_and_counts_who_moves() -> None:
    first, second = SplitRule("utterance", 0, 0.5), SplitRule("speaker", 0, 0.5)
    table = rows(100)
    splits = make_splits(table, second, make_splits(table, first, NONE_BEFORE).table(table, first))
    assert splits.is_validation.tolist() == list(assignment(table, second).values())
    assert splits.num_moved == sum(a != b for a, b in zip(assignment(table, first).values(), splits.is_validation.tolist(), strict=True))


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_a_share_that_cannot_be(fraction: float) -> None:
    with pytest.raises(UsageError, match="at least 0 and less than 1, not"):
        SplitRule("utterance", 0, fraction)


def test_an_unknown_way_to_split() -> None:
    with pytest.raises(UsageError, match="by utterance or speaker, not by 'group'"):
        SplitRule("group", 0, 0.1)
