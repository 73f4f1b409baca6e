"""Splits: seeded, stable when data is added, never empty, never everything."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.metadata_tables.splits import SPLIT_SCHEMA, SplitRule, make_splits
from valle_data.errors import UsageError

NONE_BEFORE = SPLIT_SCHEMA.empty_table()


def rows(num: int, num_speakers: int = 5, copies: int = 1) -> pa.Table:
    """`copies` utterances of each recording, far from each other and of other speakers."""
    recordings = [index % -(-num // copies) for index in range(num)]
    return pa.table(
        {
            "utt_id": [f"u{index}" for index in range(num)],
            "group": ["g"] * num,
            "speaker": [f"s{index % num_speakers}" for index in range(num)],
            "source_digest": [f"{recording // 2:032x}" for recording in recordings],
            "start_s": pa.array([float(recording % 2) for recording in recordings], pa.float64()),
            "end_s": pa.array([recording % 2 + 1.5 for recording in recordings], pa.float64()),
        }
    )


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
    with pytest.raises(UsageError, match="by utterance, recording, speaker, not by 'group'"):
        SplitRule("group", 0, 0.1)


@pytest.mark.parametrize("num", [2, 3, 200])
def test_copies_of_a_recording_are_on_one_side(num: int) -> None:
    """Also those that come later; stretches of one recording are drawn apart, each as a recording of its own."""
    rule, table = SplitRule("utterance", 0, 0.3), rows(2 * num, num_speakers=7, copies=2)
    first = make_splits(table.slice(0, num), rule, NONE_BEFORE)
    both = make_splits(table, rule, first.table(table.slice(0, num), rule))
    assert both.is_validation.tolist() == first.is_validation.tolist() * 2 and both.num_moved == 0
    assert 0 < sum(first.is_validation) < num
    if num == 200:
        assert any(first.is_validation[::2] != first.is_validation[1::2])


def test_copies_that_an_earlier_version_divided_come_together() -> None:
    rule, table = SplitRule("utterance", 0, 0.3), rows(40, copies=2)
    divided = make_splits(rows(40), rule, NONE_BEFORE)
    again = make_splits(table, rule, divided.table(table, rule))
    assert again.is_validation[:20].tolist() == again.is_validation[20:].tolist()
    assert again.num_moved == sum(divided.is_validation[:20] != divided.is_validation[20:])


def test_a_recording_and_its_copy_alone_are_for_training() -> None:
    assert not any(make_splits(rows(2, copies=2), SplitRule("utterance", 0, 0.5), NONE_BEFORE).is_validation)


def test_one_name_in_two_groups_is_two_speakers() -> None:
    rule, table = SplitRule("speaker", 0, 0.5), rows(40, num_speakers=1)
    with pytest.raises(UsageError, match="needs two speakers, this data set has one \\('g/s0'\\)"):
        make_splits(table, rule, NONE_BEFORE)
    groups = [f"g{index % 2}" for index in range(40)]
    splits = make_splits(table.set_column(1, "group", pa.array(groups)), rule, NONE_BEFORE)
    assert len(set(zip(groups, splits.is_validation.tolist(), strict=True))) == 2 and sum(splits.is_validation) == 20
