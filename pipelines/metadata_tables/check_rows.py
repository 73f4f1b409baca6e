"""The rows of a part's index: what each column may hold, and which row breaks it."""

# pyarrow makes its compute functions when it is imported, where pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from valle_data.errors import ReasonCode
from valle_data.shards.base import SAFE_ID, Problem
from valle_data.shards.commit import CommitRecord
from valle_data.shards.index import CORE, index_schema
from valle_data.shards.manifest import DatasetManifest
from valle_data.shards.record import shard_format

MOST_ROWS_NAMED = 10


@dataclass(frozen=True)
class _Rule:
    """What a column owes: `wrong` gives a mask over the rows of a table, `expected` says it in words."""

    column: str
    expected: str
    wrong: Callable[[pa.Table], NDArray[np.bool_]]
    reason: ReasonCode = ReasonCode.BAD_ROW


def row_problems(table: pa.Table, path: Path, manifest: DatasetManifest, record: CommitRecord) -> list[Problem]:
    """Missing, foreign and ill-typed columns; then null values; then values that cannot be, each with its row and column."""
    problems = [
        Problem(ReasonCode.BAD_ROW, record.part, str(path), None, f"{path}: {sentence}")
        for sentence in _column_sentences(table.schema, index_schema(manifest.columns))
    ]
    problems += [problem for rule in _null_rules(table) for problem in _apply(rule, table, path, record.part)]
    if problems:
        return problems
    return [problem for rule in _value_rules(manifest, record) for problem in _apply(rule, table, path, record.part)]


def _column_sentences(schema: pa.Schema, expected: pa.Schema) -> Iterator[str]:
    for field in expected:
        if field.name not in schema.names:
            yield f"column {field.name} is missing, it should hold {field.type}."
        elif not schema.field(field.name).type.equals(field.type):
            yield f"column {field.name} holds {schema.field(field.name).type}, it should hold {field.type}."
    for name in sorted(set(schema.names) - set(expected.names)):
        yield f"column {name} is unknown to this version."


def _null_rules(table: pa.Table) -> list[_Rule]:
    required = [field.name for field in CORE if not field.nullable and field.name in table.schema.names]
    return [_Rule(name, "a value", lambda rows, name=name: rows[name].is_null().to_numpy()) for name in required]


def _apply(rule: _Rule, table: pa.Table, path: Path, part: int) -> Iterator[Problem]:
    rows = np.flatnonzero(rule.wrong(table)).tolist()
    for row in rows[:MOST_ROWS_NAMED]:
        utterance = table["utt_id"][row].as_py() if "utt_id" in table.schema.names else None
        value = _short(table[rule.column][row].as_py())
        message = f"{path}: row {row}, column {rule.column}: expected {rule.expected}, found {value}."
        yield Problem(rule.reason, part, str(path), None if utterance is None else str(utterance), message)
    if len(rows) > MOST_ROWS_NAMED:
        yield Problem(rule.reason, part, str(path), None, f"{path}: column {rule.column}: {len(rows) - MOST_ROWS_NAMED} more rows like these.")


def _short(value: Any) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _numbers(table: pa.Table, column: str) -> NDArray[Any]:
    return table[column].to_numpy()


def _value_rules(manifest: DatasetManifest, record: CommitRecord) -> list[_Rule]:
    codec, shards = manifest.codec, shard_format(record)
    symbols = pa.array(manifest.vocabulary.symbols, pa.string())

    def code_bytes(table: pa.Table) -> NDArray[np.int64]:
        return shards.header_bytes + 2 * codec.num_levels * _numbers(table, "num_frames").astype(np.int64)

    def outside(table: pa.Table) -> NDArray[np.bool_]:
        offset = _numbers(table, "offset")
        return (offset < 0) | (offset % shards.alignment != 0) | (offset + _numbers(table, "nbytes") > record.shard_bytes)

    return [
        _Rule("utt_id", "1 to 90 of a-z A-Z 0-9 _ -", _unsafe_ids),
        _Rule("utt_id", "an id that no other row has, in sorted order", _unsorted_ids),
        _Rule("part", str(record.part), lambda t: _numbers(t, "part") != record.part),
        _Rule("shard", record.shard, lambda t: pc.not_equal(t["shard"], record.shard).to_numpy()),
        _Rule("num_frames", "at least 1", lambda t: _numbers(t, "num_frames") < 1),
        _Rule("num_levels", f"{codec.num_levels}, the levels of {codec.name}", lambda t: _numbers(t, "num_levels") != codec.num_levels),
        _Rule("offset", f"a multiple of {shards.alignment} inside the {record.shard_bytes} bytes of {record.shard}", outside),
        _Rule("nbytes", "the size of num_levels x num_frames codes", lambda t: _numbers(t, "nbytes") != code_bytes(t)),
        _Rule("duration_s", "a finite number above 0", lambda t: _not_positive(_numbers(t, "duration_s"))),
        _Rule("num_frames", f"duration_s at {codec.frame_rate_hz:g} frames/s, within 2 frames", lambda t: _frames_differ(t, codec.frame_rate_hz)),
        _Rule("end_s", "start_s + duration_s", _ends_differ),
        _Rule("num_phones", "the number of phones", lambda t: _numbers(t, "num_phones") != pc.list_value_length(t["phones"]).to_numpy()),
        _Rule("num_phones", "at least 1", lambda t: _numbers(t, "num_phones") < 1),
        _Rule("phones", "phones of the data set's vocabulary", lambda t: _unknown_phones(t, symbols), ReasonCode.UNKNOWN_PHONE),
        _Rule("codec", codec.name, lambda t: pc.not_equal(t["codec"], codec.name).to_numpy()),
        _Rule("config_hash", record.config_hash[:12], lambda t: pc.not_equal(t["config_hash"], record.config_hash).to_numpy()),
    ]


def _unsafe_ids(table: pa.Table) -> NDArray[np.bool_]:
    return pc.invert(pc.match_substring_regex(table["utt_id"], f"^(?:{SAFE_ID.pattern})$")).to_numpy()


def _unsorted_ids(table: pa.Table) -> NDArray[np.bool_]:
    ids = table["utt_id"].to_pylist()
    return np.array([False] * min(len(ids), 1) + [before >= after for before, after in itertools.pairwise(ids)], dtype=np.bool_)


def _not_positive(values: NDArray[np.floating]) -> NDArray[np.bool_]:
    return ~(np.isfinite(values) & (values > 0))


def _frames_differ(table: pa.Table, frame_rate_hz: float) -> NDArray[np.bool_]:
    return ~(np.abs(_numbers(table, "num_frames") - _numbers(table, "duration_s").astype(np.float64) * frame_rate_hz) <= 2)


def _ends_differ(table: pa.Table) -> NDArray[np.bool_]:
    duration_s = _numbers(table, "duration_s").astype(np.float64)
    return ~(np.abs(_numbers(table, "end_s") - _numbers(table, "start_s") - duration_s) <= 1e-3 + 1e-6 * duration_s)


def _unknown_phones(table: pa.Table, symbols: pa.Array) -> NDArray[np.bool_]:
    known = pc.is_in(pc.list_flatten(table["phones"]), value_set=symbols).to_numpy()
    return np.bincount(pc.list_parent_indices(table["phones"]).to_numpy()[~known], minlength=table.num_rows) > 0
