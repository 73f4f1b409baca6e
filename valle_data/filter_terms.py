"""What a parsed filter is made of: values (columns, literals, arithmetic) and conditions on them, each evaluated over a whole table at once.

Conditions are true, false or null (unknown), combined after Kleene. Numbers are computed in float64, where NaN is null.
"""

# pyarrow makes its compute functions when it is imported, where pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NUMBER, TEXT = "a number", "text"
COMPARISONS = {"<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal", "=": "equal", "==": "equal", "!=": "not_equal", "<>": "not_equal"}
ARITHMETIC = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide"}
_WRITTEN = {name: sign for sign, name in ARITHMETIC.items()}

Rows = pa.Table | pa.RecordBatch
Outcome = Any  # an Array, ChunkedArray or Scalar of pyarrow


class Value(ABC):
    """Something a row has: a number (float64) or a text, or null."""

    kind: str

    @abstractmethod
    def evaluate(self, rows: Rows) -> Outcome: ...


class Condition(ABC):
    """Something that is true, false or null of a row."""

    @abstractmethod
    def evaluate(self, rows: Rows) -> Outcome: ...


@dataclass(frozen=True)
class Literal(Value):
    """A number or a text written in the filter."""

    value: float | str

    @property
    def kind(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return TEXT if isinstance(self.value, str) else NUMBER

    def evaluate(self, rows: Rows) -> Outcome:
        return pa.scalar(self.value, pa.string() if self.kind == TEXT else pa.float64())

    def rounded_like(self, dtype: pa.DataType) -> "Literal":
        """The number as a column of `dtype` would hold it."""
        if isinstance(self.value, str) or dtype not in (pa.float32(), pa.float16()):
            return self
        with np.errstate(over="ignore"):
            return Literal(float(np.float32(self.value) if dtype == pa.float32() else np.float16(self.value)))

    def __str__(self) -> str:
        return f"{self.value:g}" if isinstance(self.value, float) else repr(self.value)


@dataclass(frozen=True)
class Column(Value):
    """A column by its name."""

    name: str
    kind: str

    @staticmethod
    def kind_of(dtype: pa.DataType) -> str:
        """NUMBER, TEXT, or an empty string for a type that filters do not read."""
        if pa.types.is_dictionary(dtype):
            return Column.kind_of(dtype.value_type)
        if pa.types.is_integer(dtype) or pa.types.is_floating(dtype):
            return NUMBER
        return TEXT if pa.types.is_string(dtype) or pa.types.is_large_string(dtype) else ""

    def evaluate(self, rows: Rows) -> Outcome:
        values = rows.column(self.name)
        return _without_nan(values.cast(pa.float64(), safe=False)) if self.kind == NUMBER else values.cast(pa.string())

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Arithmetic(Value):
    """Two numbers joined by the pyarrow function `operation`; what has no value (0 / 0, x / 0) is null."""

    operation: str
    left: Value
    right: Value
    kind: str = NUMBER

    def evaluate(self, rows: Rows) -> Outcome:
        left, right = self.left.evaluate(rows), self.right.evaluate(rows)
        if self.operation == "divide":
            right = pc.if_else(pc.equal(right, 0.0), pa.scalar(None, pa.float64()), right)
        return _without_nan(_function(self.operation)(left, right))

    def __str__(self) -> str:
        return f"({self.left} {_WRITTEN[self.operation]} {self.right})"


@dataclass(frozen=True)
class Comparison(Condition):
    """The pyarrow function `operation` of two values of one kind; texts compare by code points."""

    operation: str
    left: Value
    right: Value

    def evaluate(self, rows: Rows) -> Outcome:
        left, right = _as_precise_as(self.left, self.right, rows), _as_precise_as(self.right, self.left, rows)
        return _function(self.operation)(left.evaluate(rows), right.evaluate(rows))


@dataclass(frozen=True)
class Membership(Condition):
    """`value in (options)`; null of a null."""

    value: Value
    options: tuple[Literal, ...]

    def evaluate(self, rows: Rows) -> Outcome:
        values = self.value.evaluate(rows)
        options = pa.array([_as_precise_as(option, self.value, rows).value for option in self.options], values.type)
        return pc.if_else(pc.is_valid(values), pc.is_in(values, value_set=options), pa.scalar(None, pa.bool_()))


@dataclass(frozen=True)
class Like(Condition):
    """Text that `pattern` describes from end to end: `*` any number of letters, `?` one, a backslash makes the next letter plain."""

    value: Value
    pattern: str

    def evaluate(self, rows: Rows) -> Outcome:
        return pc.match_substring_regex(self.value.evaluate(rows), regex(self.pattern))


@dataclass(frozen=True)
class IsNull(Condition):
    """True of null and NaN, false of everything else."""

    value: Value

    def evaluate(self, rows: Rows) -> Outcome:
        return pc.is_null(self.value.evaluate(rows))


@dataclass(frozen=True)
class Not(Condition):
    """The opposite; null of null."""

    condition: Condition

    def evaluate(self, rows: Rows) -> Outcome:
        return pc.invert(self.condition.evaluate(rows))


@dataclass(frozen=True)
class Conjunction(Condition):
    """`parts` joined by `word`, which is "and" or "or"."""

    word: str
    parts: tuple[Condition, ...]

    def evaluate(self, rows: Rows) -> Outcome:
        return reduce(_function(f"{self.word}_kleene"), (part.evaluate(rows) for part in self.parts))


def regex(pattern: str) -> str:
    """A pattern of `like` as a regular expression of RE2."""
    found, letters = [], iter(pattern)
    for letter in letters:
        if letter == "\\":
            found.append(_plain(next(letters, "\\")))
        else:
            found.append({"*": ".*", "?": "."}.get(letter) or _plain(letter))
    return rf"(?s)\A{''.join(found)}\z"


def _plain(letter: str) -> str:
    return letter if letter.isalnum() else rf"\x{{{ord(letter):x}}}"


def _function(name: str) -> Callable[..., Outcome]:
    return getattr(pc, name)


def _without_nan(values: Outcome) -> Outcome:
    return pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)


def _as_precise_as(value: Value, other: Value, rows: Rows) -> Value:
    return value.rounded_like(rows.schema.field(other.name).type) if isinstance(value, Literal) and isinstance(other, Column) else value
