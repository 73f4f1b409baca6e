"""Filters: against a row-by-row evaluator with the logic of SQL, and every mistake named with its place."""

import fnmatch
import math
import operator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from valle_data.errors import UsageError
from valle_data.filters import MAX_DEPTH, MAX_OPERATIONS, parse

SCHEMA = pa.schema(
    [
        pa.field("snr_db", pa.float32()),
        pa.field("cer", pa.float32()),
        pa.field("half", pa.float16()),
        pa.field("num_frames", pa.int32()),
        pa.field("language", pa.string()),
        pa.field("speaker", pa.dictionary(pa.int32(), pa.string())),
        pa.field("phones", pa.list_(pa.string())),
    ]
)
NUMBERS = [None, math.nan, -1.5, 0.0, 0.1, 0.25, 3.0, 20.0]
TEXTS = [None, "", "en", "de", "x1", "x*", "XY", "ü\n", "it's"]


def table(rows: list[dict[str, Any]]) -> pa.Table:
    columns = {field.name: pa.array([row.get(field.name) for row in rows], field.type) for field in SCHEMA if field.name not in ("half", "speaker")}
    columns["half"] = pa.array([None if row.get("half") is None else np.float16(row["half"]) for row in rows], pa.float16())
    columns["speaker"] = pa.array([row.get("speaker") for row in rows], pa.string()).dictionary_encode()
    return pa.table(columns).select(SCHEMA.names).cast(SCHEMA)


def chosen(text: str, rows: list[dict[str, Any]]) -> list[bool]:
    return parse(text, SCHEMA).mask(table(rows)).tolist()


numbers = st.one_of(
    st.sampled_from(["snr_db", "cer", "half", "num_frames"]).map(lambda name: ("column", name)),
    st.sampled_from([0.0, 0.1, 3.0, -1.5]).map(lambda v: ("number", v)),
)
numeric = st.recursive(numbers, lambda inner: st.tuples(st.sampled_from("+-*/"), inner, inner), max_leaves=4)
texts = st.one_of(
    st.sampled_from(["language", "speaker"]).map(lambda name: ("column", name)),
    st.sampled_from([text for text in TEXTS if text is not None]).map(lambda v: ("text", v)),
)
signs = st.sampled_from(["<", "<=", ">", ">=", "=", "==", "!=", "<>"])
comparisons = st.one_of(st.tuples(signs, numeric, numeric), st.tuples(signs, texts, texts))
lists = st.one_of(
    st.tuples(st.just("in"), numbers, st.lists(st.sampled_from([0.1, 3.0, -1.5]), min_size=1, max_size=3)),
    st.tuples(st.just("in"), texts, st.lists(st.sampled_from(["en", "x1", "it's"]), min_size=1, max_size=3)),
)
likes = st.tuples(st.just("like"), texts, st.sampled_from(["x*", "*", "?", "e?", "*\\**", "", "*ü*", "x\\1"]))
leaves = st.one_of(comparisons, lists, likes, st.tuples(st.just("is null"), st.one_of(numeric, texts)))
conditions = st.recursive(
    leaves, lambda inner: st.one_of(st.tuples(st.sampled_from(["and", "or"]), inner, inner), st.tuples(st.just("not"), inner)), max_leaves=6
)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "snr_db": st.sampled_from(NUMBERS),
            "cer": st.sampled_from(NUMBERS),
            "half": st.sampled_from(NUMBERS),
            "num_frames": st.sampled_from([None, 0, 3, 250]),
            "language": st.sampled_from(TEXTS),
            "speaker": st.sampled_from(TEXTS),
        }
    ),
    max_size=6,
)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def written(node: Any) -> str:
    """A tree as the text of a filter, everything in parentheses."""
    kind, *rest = node
    if kind in ("column", "number", "text"):
        return rest[0] if kind == "column" else quoted(rest[0]) if kind == "text" else str(rest[0])
    if kind == "in":
        return f"{written(rest[0])} in ({', '.join(quoted(option) if isinstance(option, str) else str(option) for option in rest[1])})"
    if kind == "like":
        return f"{written(rest[0])} like {quoted(rest[1])}"
    if kind == "not":
        return f"not ({written(rest[0])})"
    if kind == "is null":
        return f"{written(rest[0])} is null"
    return f"({written(rest[0])}) {kind} ({written(rest[1])})" if kind in ("and", "or") else f"({written(rest[0])} {kind} {written(rest[1])})"


ROUNDED = {"snr_db": np.float32, "cer": np.float32, "half": np.float16}
SIGNS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq, "==": operator.eq, "!=": operator.ne, "<>": operator.ne}


def value(node: Any, row: dict[str, Any], beside: Any = ("", "")) -> Any:
    """A number or text of one row, None where it has none. A number next to a column has the column's precision."""
    kind, *rest = node
    if kind == "column":
        found = row[rest[0]]
        found = float(ROUNDED.get(rest[0], float)(found)) if isinstance(found, int | float) else found
        return None if isinstance(found, float) and math.isnan(found) else found
    if kind in ("number", "text"):
        return float(ROUNDED.get(beside[1], float)(rest[0])) if kind == "number" and beside[0] == "column" else rest[0]
    left, right = value(rest[0], row), value(rest[1], row)
    if left is None or right is None or (kind == "/" and right == 0):
        return None
    return {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}[kind](left, right)


def is_like(text: str, pattern: str) -> bool:
    """By the standard library's globs: a plain letter is a class of one."""
    glob, plain = "", False
    for letter in pattern:
        if letter == "\\" and not plain:
            plain = True
            continue
        glob += f"[{letter}]" if plain else letter
        plain = False
    return fnmatch.fnmatchcase(text, glob)


def truth(node: Any, row: dict[str, Any]) -> bool | None:
    """True, False or None (unknown), by the truth tables of SQL."""
    kind, *rest = node
    if kind == "not":
        inner = truth(rest[0], row)
        return None if inner is None else not inner
    if kind in ("and", "or"):
        decides = kind == "or"
        sides = [truth(rest[0], row), truth(rest[1], row)]
        return decides if decides in sides else None if None in sides else not decides
    if kind == "is null":
        return value(rest[0], row) is None
    left = value(rest[0], row, rest[1] if kind in SIGNS else ("", ""))
    if left is None:
        return None
    if kind == "in":
        return any(left == (value(("number", option), row, rest[0]) if isinstance(option, float) else option) for option in rest[1])
    if kind == "like":
        return is_like(left, rest[1])
    right = value(rest[1], row, rest[0])
    return None if right is None else SIGNS[kind](left, right)


@settings(deadline=None, max_examples=400)
@given(condition=conditions, rows=rows)
def test_every_filter_chooses_what_a_plain_loop_chooses(condition: Any, rows: list[dict[str, Any]]) -> None:
    assert chosen(written(condition), rows) == [truth(condition, row) is True for row in rows]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("snr_db > 20", [False, True, False, False]),
        ("not snr_db > 20", [True, False, False, False]),
        ("not (snr_db > 20)", [True, False, False, False]),
        ("snr_db is null", [False, False, True, True]),
        ("snr_db IS NOT NULL", [True, True, False, False]),
        ("snr_db > 20 or language = 'de'", [False, True, True, False]),
        ("snr_db > 20 and language = 'en'", [False, True, False, False]),
        ("language in ('en', 'fr')", [True, True, False, False]),
        ("language not in ('de')", [True, True, False, False]),
        ("not speaker like 'x*'", [False, True, True, False]),
        ('speaker not like "x*" and not language == "de"', [False, True, False, False]),
        ("num_frames / 2 - 1 >= 4 and -num_frames < 0", [True, True, True, False]),
        ("num_frames * (1 + 1) = 20 or (num_frames) < 0", [True, True, False, False]),
        ("snr_db + 1 * 2 = 12 AND 1 = 1", [True, False, False, False]),
        ("1 = 1", [True] * 4),
    ],
)
def test_examples_by_hand(text: str, expected: list[bool]) -> None:
    rows = [
        {"snr_db": 10.0, "language": "en", "speaker": "x1", "num_frames": 10},
        {"snr_db": 30.0, "language": "en", "speaker": "y", "num_frames": 10},
        {"snr_db": None, "language": "de", "speaker": "y", "num_frames": 99},
        {"snr_db": math.nan, "language": None, "speaker": None, "num_frames": None},
    ]
    assert chosen(text, rows) == expected


def test_a_score_that_reads_as_the_number_equals_it() -> None:
    rows = [{"cer": 0.1, "half": 0.1}]
    assert chosen("cer <= 0.1 and cer = 0.1 and 0.1 = cer and cer in (0.1)", rows) == [True]
    assert chosen("half = 0.1 and not half < 0.1", rows) == [True]


def test_and_binds_tighter_than_or_and_not_tightest() -> None:
    rows = [{"num_frames": number} for number in (1, 2, 3)]
    assert chosen("num_frames = 1 or num_frames = 2 and num_frames = 3", rows) == [True, False, False]
    assert chosen("not num_frames = 1 and num_frames = 2", rows) == [False, True, False]


def test_columns_read_are_named_and_an_empty_table_has_an_empty_mask() -> None:
    found = parse("cer < 0.1 and speaker = language and cer > 0", SCHEMA)
    assert found.columns == ("cer", "language", "speaker") and str(found) == "cer < 0.1 and speaker = language and cer > 0"
    assert found.mask(table([])).shape == (0,) and found.mask(table([])).dtype == bool
    assert parse("1 < 2", SCHEMA).mask(table([{}, {}])).tolist() == [True, True]


def test_tables_in_chunks_are_masked_whole() -> None:
    whole = pa.concat_tables([table([{"num_frames": number}]) for number in range(5)])
    assert parse("num_frames >= 3", SCHEMA).mask(whole).tolist() == [False] * 3 + [True] * 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("srn_db > 20", "character 1: there is no column 'srn_db'. Did you mean 'snr_db'? Columns: snr_db, cer, half, num_frames, language, speaker."),
        ("cer < 0.1 and language > 3", "character 24: language is text and 3 is a number; they cannot be compared."),
        ("cer < 'a'", "character 5: cer is a number and 'a' is text"),
        ("cer in (1, 'a')", "character 12: cer is a number and 'a' is text; they cannot be equal."),
        ("cer in (1, half)", "character 12: a list holds numbers or texts, no columns."),
        ("cer like 'x'", "character 10: `like` is for text, cer is a number."),
        ("language like cer", "character 15: `like` wants a pattern in quotes"),
        ("language + 1 > 2", "character 10: `+` joins numbers, language is text."),
        ("phones = 'a'", "character 1: column phones holds list<item: string>; a filter reads numbers and texts."),
        ("", "character 1: expected a column, a number or a text in quotes, found 'the end'."),
        ("cer", "character 4: expected a comparison after cer, found 'the end'."),
        ("cer < ", "character 7: expected a column, a number"),
        ("cer < 1 cer", "character 9: expected `and`, `or` or the end, found 'cer'."),
        ("(cer < 1", "character 9: expected `)`, found 'the end'."),
        ("language = 'en", "character 12: the quote is never closed."),
        ("cer < 1; drop", "character 8: ';' means nothing here."),
        ("cer < 3x", "character 7: '3x' means nothing here."),
        ("cer < 1e999", "character 7: 1e999 is too large a number."),
        ("cer is 3", "character 8: expected `null`, found '3'."),
        ("__import__('os').system('x')", "character 17: \".system('x')\" means nothing here."),
        ("not " * (MAX_DEPTH + 1) + "cer < 1", f"nested deeper than {MAX_DEPTH} levels."),
        ("(" * 5000 + "cer", "nested deeper than"),
        ("cer < 1" + "+1" * 4000, f"character {8 + 2 * MAX_OPERATIONS}: more than {MAX_OPERATIONS} times `+ - * /`."),
        ("cer < " + "1" * 10_000, "A filter has at most 10,000 characters, this one has 10,006."),
        ("language = '\udcff'", "A filter is UTF-8; character 13 of"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(text, SCHEMA)
    assert sentence in str(error.value)


def test_the_longest_sum_is_computed() -> None:
    """As deep as a filter can be: sums in parentheses in front of one another."""
    each = MAX_OPERATIONS // MAX_DEPTH
    text = "(" * MAX_DEPTH + "0" + ("+1" * each + ")") * MAX_DEPTH
    assert chosen(f"num_frames = {text}", [{"num_frames": MAX_OPERATIONS}, {"num_frames": 3}]) == [True, False]
