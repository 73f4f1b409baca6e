"""Splits: seeded, stable when data is added, never empty, never everything."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.metadata_tables.splits import KEY_COLUMNS, SPLIT_SCHEMA, SplitRule, make_splits, read_list
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


def names(table: pa.Table, rule: SplitRule, earlier: pa.Table = NONE_BEFORE, listed: dict[str, str] | None = None) -> dict[str, str]:
    return dict(zip(table["utt_id"].to_pylist(), make_splits(table, rule, earlier, listed).names.to_pylist(), strict=True))


@pytest.mark.parametrize("split_by", ["utterance", "recording", "speaker"])
@settings(deadline=None, max_examples=30)
@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5), seed=st.integers(0, 5), test_fraction=st.sampled_from([0.01, 0.3, 0.6]))
def test_nobody_moves_between_three_splits_when_data_is_added(split_by: str, sizes: list[int], seed: int, test_fraction: float) -> None:
    rule, earlier, before, total = SplitRule(split_by, seed, 0.3, test_fraction), NONE_BEFORE, {}, 2
    for size in sizes:
        total += size
        table = rows(total)
        splits, now = make_splits(table, rule, earlier), names(table, rule, earlier)
        assert {name: now[name] for name in before} == before and splits.num_moved == 0
        num_keys = len(set(zip(*(table[name].to_pylist() for name in KEY_COLUMNS[split_by]), strict=True)))
        if num_keys >= 3 and not before:  # later on a key is kept where it was, and a split that was empty with two keys may stay so
            assert set(now.values()) == {"train", "validation", "test"}
        assert "train" in now.values() or num_keys < 2
        earlier, before = splits.table(table, rule), now


def test_the_shares_of_three_splits() -> None:
    found = list(names(rows(20_000), SplitRule("utterance", 0, 0.1, 0.2)).values())
    assert abs(found.count("validation") / 20_000 - 0.1) < 0.01 and abs(found.count("test") / 20_000 - 0.2) < 0.012
    assert names(rows(500), SplitRule("utterance", 0, 0.1)).items() >= {
        (name, split) for name, split in names(rows(500), SplitRule("utterance", 0, 0.1, 0.2)).items() if split == "validation"
    }


def test_stretches_of_a_recording_stay_together_by_recording() -> None:
    table = rows(200)
    found = names(table, SplitRule("recording", 0, 0.3))
    by_recording: dict[str, set[str]] = {}
    for digest, split in zip(table["source_digest"].to_pylist(), found.values(), strict=True):
        by_recording.setdefault(digest, set()).add(split)
    assert {len(splits) for splits in by_recording.values()} == {1} and len(set(found.values())) == 2


def test_filters_claim_whole_keys_and_nothing_else_is_drawn() -> None:
    table = rows(50)
    rule = SplitRule("speaker", 0, 0.0, 0.0, validation_where="utt_id = 'u3'", test_where="speaker in ('s1', 's2')")
    found = names(table, rule)
    expected = {"s3": "validation", "s1": "test", "s2": "test"}
    assert list(found.values()) == [expected.get(speaker, "train") for speaker in table["speaker"].to_pylist()]
    assert rule.columns(table.schema) == ("group", "speaker", "utt_id")


def test_a_list_comes_before_filters_and_filters_before_drawing() -> None:
    table = rows(100)
    rule = SplitRule("utterance", 0, 0.5, 0.0, test_where="utt_id like 'u1?'", listed="x")
    found = names(table, rule, listed={"u10": "train", "u50": "validation", "nobody": "test"})
    drawn = names(table, SplitRule("utterance", 0, 0.5))
    fixed = {f"u1{digit}": "test" for digit in range(10)} | {"u10": "train", "u50": "validation"}
    assert found == drawn | fixed


@pytest.mark.parametrize(
    ("rule", "listed", "sentence"),
    [
        (
            SplitRule("utterance", 0, 0.0, validation_where="utt_id = 'u3'", test_where="speaker = 's3'"),
            {},
            "claim one utterance for validation and for test: that of u3",
        ),
        (SplitRule("speaker", 0, 0.0, listed="x"), {"u0": "train", "u5": "test"}, "has u0 in train and u5 in test, but both are of one speaker"),
        (
            SplitRule("utterance", 0, 0.0, validation_where="1 = 1"),
            {},
            "hold out every utterance .by utterance: validation where 1 = 1.: nothing is left to train on",
        ),
        (SplitRule("utterance", 0, 0.0, test_where="nobody = 3"), {}, "there is no column 'nobody'"),
    ],
)
def test_claims_that_cannot_be_met(rule: SplitRule, listed: dict[str, str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        make_splits(rows(20), rule, NONE_BEFORE, listed)


def test_fractions_that_leave_nothing() -> None:
    with pytest.raises(UsageError, match=r"Validation \(0.5\) and test \(0.5\) together leave nothing to train on"):
        SplitRule("utterance", 0, 0.5, 0.5)


def test_lists_are_read_strictly() -> None:
    where = Path("list.txt")
    assert read_list(b"# held out\n\nu1 test\nu2,validation\nu1\ttest\n", where) == {"u1": "test", "u2": "validation"}
    for data, sentence in ((b"u1\n", "line 1: a line is an utterance id and one of train, validation, test, not 'u1'"), (b"u1 dev", "not 'u1 dev'")):
        with pytest.raises(UsageError, match=sentence):
            read_list(data, where)
    with pytest.raises(UsageError, match=r"line 2: u1 is in test and in train. Leave it in one."):
        read_list(b"u1 test\nu1 train", where)


def test_a_rule_is_found_again_in_the_splits_it_made() -> None:
    table = rows(30)
    for rule in (SplitRule("recording", 3, 0.2, 0.1, validation_where="utt_id = 'u1'"), SplitRule()):
        assert SplitRule.of(make_splits(table, rule, NONE_BEFORE).table(table, rule)) == rule
    assert SplitRule.of(NONE_BEFORE) == SplitRule()
