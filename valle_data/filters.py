"""Filters: sentences over the columns of an index, such as `snr_db > 20 and cer < 0.1 and language in ('en', 'de') and not speaker like 'x*'`.

Grammar, loosest first: `or`, `and`, `not`, then one of `a < b` (`<= > >= = == != <>`), `a in (x, y)`, `a not in (...)`, `text like 'x*'` (`*` any letters,
`?` one, a backslash makes the next letter plain), `text not like ...`, `a is null`, `a is not null`; numbers may be joined by `+ - * /`. Keywords may be
written in capitals. A column has its name, text stands in quotes (doubled to mean themselves).

Logic is that of SQL (Kleene 1952, section 64): a comparison with null, NaN or a division by zero is unknown, `not` of it is unknown, and only rows of which
the filter is true are chosen. So `cer < 0.1` and `not cer < 0.1` both leave out what has no score; `is null` finds it. A number written in the filter is
rounded to the precision of the column beside it: a CER of 0.1 stored as float32 is equal to 0.1.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from valle_data.errors import UsageError
from valle_data.filter_terms import (
    ARITHMETIC,
    COMPARISONS,
    NUMBER,
    TEXT,
    Arithmetic,
    Column,
    Comparison,
    Condition,
    Conjunction,
    IsNull,
    Like,
    Literal,
    Membership,
    Not,
    Value,
)
from valle_data.registry import nearest

T = TypeVar("T")
MAX_CHARACTERS = 10_000
MAX_DEPTH = 50
MAX_OPERATIONS = 200
"""Each may lie within another one: more would be deeper than the stack is meant for."""
KEYWORDS = frozenset({"and", "or", "not", "in", "like", "is", "null"})
_TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))|(?P<word>[A-Za-z_]\w*)|"""
    r"""(?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")|(?P<sign><=|>=|==|!=|<>|[-+*/<>=(),])"""
)


@dataclass(frozen=True)
class Token:
    """A word of a filter; `start` counts characters from 0."""

    kind: str
    text: str
    start: int

    @property
    def keyword(self) -> str:
        """The keyword it is, or an empty string."""
        return self.text.lower() if self.kind == "word" and self.text.lower() in KEYWORDS else ""


@dataclass(frozen=True)
class Filter:
    """A parsed filter. `columns` are those it reads, sorted."""

    text: str
    condition: Condition = field(repr=False)
    columns: tuple[str, ...]

    def mask(self, table: pa.Table | pa.RecordBatch) -> NDArray[np.bool_]:
        """Whether each row of `table`, which has `columns`, is chosen; `[rows]`."""
        found = self.condition.evaluate(table)
        if isinstance(found, pa.Scalar):
            return np.full(table.num_rows, found.as_py() is True)
        return found.fill_null(False).to_numpy(zero_copy_only=False) if isinstance(found, pa.Array) else found.fill_null(False).to_numpy()

    def __str__(self) -> str:
        return self.text


def parse(text: str, schema: pa.Schema) -> Filter:
    """The filter that `text` states over the number and text columns of `schema`.

    Raises UsageError with the character at fault: a column that does not exist (and the nearest that does), text compared with numbers, broken grammar.
    """
    return _Parser(text, schema).parse()


class _Parser:
    """Recursive descent, one method a level of the grammar (Aho et al. 2006, section 4.4)."""

    def __init__(self, text: str, schema: pa.Schema) -> None:
        self._text, self._schema = text, schema
        self._columns: set[str] = set()
        self._depth = self._operations = 0
        self._tokens = self._tokenize()
        self._at = 0

    def parse(self) -> Filter:
        condition = self._either()
        if self._now.kind != "end":
            self._fail(f"expected `and`, `or` or the end, found {self._now.text!r}")
        return Filter(self._text, condition, tuple(sorted(self._columns)))

    def _tokenize(self) -> list[Token]:
        if len(self._text) > MAX_CHARACTERS:
            raise UsageError(f"A filter has at most {MAX_CHARACTERS:,} characters, this one has {len(self._text):,}.")
        if not self._text.isascii() and (strange := re.search("[\ud800-\udfff]", self._text)):
            raise UsageError(f"A filter is UTF-8; character {strange.start() + 1} of {self._text!r} is not.")
        tokens, at = [], 0
        while at < len(self._text):
            found = _TOKEN.match(self._text, at)
            if not found:
                letter = self._text[at]
                self._fail("the quote is never closed" if letter in "'\"" else f"{self._text[at:].split()[0]!r} means nothing here", at)
            if found.lastgroup != "space":
                tokens.append(Token(found.lastgroup or "", found.group(), at))
            at = found.end()
        return [*tokens, Token("end", "the end", len(self._text))]

    @property
    def _now(self) -> Token:
        return self._tokens[self._at]

    def _fail(self, sentence: str, start: int | None = None) -> NoReturn:
        place = (self._now.start if start is None else start) + 1
        raise UsageError(f"In the filter {self._text!r}, character {place}: {sentence}.")

    def _take(self, *wanted: str) -> Token | None:
        """The present token if it is one of the `wanted` keywords or signs; then the next one is present."""
        token = self._now
        if token.keyword not in wanted and not (token.kind == "sign" and token.text in wanted):
            return None
        self._at += 1
        return token

    def _expect(self, wanted: str) -> None:
        if not self._take(wanted):
            self._fail(f"expected `{wanted}`, found {self._now.text!r}")

    def _nested(self, inner: Callable[[], T]) -> T:
        """`inner()`, refused where it would nest deeper than the stack is meant for."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._fail(f"nested deeper than {MAX_DEPTH} levels")
        found = inner()
        self._depth -= 1
        return found

    def _either(self) -> Condition:
        parts = [self._all()]
        while self._take("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Conjunction("or", tuple(parts))

    def _all(self) -> Condition:
        parts = [self._negated()]
        while self._take("and"):
            parts.append(self._negated())
        return parts[0] if len(parts) == 1 else Conjunction("and", tuple(parts))

    def _negated(self) -> Condition:
        return Not(self._nested(self._negated)) if self._take("not") else self._condition()

    def _condition(self) -> Condition:
        if self._now.text == "(" and self._parenthesis_holds_a_condition():
            self._take("(")
            inner = self._nested(self._either)
            self._expect(")")
            return inner
        left = self._sum()
        if token := self._take(*COMPARISONS):
            right = self._sum()
            if left.kind != right.kind:
                self._fail(f"{left} is {left.kind} and {right} is {right.kind}; they cannot be compared", token.start)
            return Comparison(COMPARISONS[token.text], left, right)
        if self._take("is"):
            negated = self._take("not")
            self._expect("null")
            return Not(IsNull(left)) if negated else IsNull(left)
        negated = self._take("not")
        condition = self._membership(left) if self._take("in") else self._likeness(left) if self._take("like") else None
        if condition is None:
            self._fail(f"expected a comparison after {left}, found {self._now.text!r}")
        return Not(condition) if negated else condition

    def _parenthesis_holds_a_condition(self) -> bool:
        """Whether what the parenthesis at the present token encloses is compared within it, and not as a number with something behind it."""
        depth = 0
        for token in self._tokens[self._at :]:
            depth += (token.text == "(" and token.kind == "sign") - (token.text == ")" and token.kind == "sign")
            if depth == 0:
                break
            if token.keyword or (token.kind == "sign" and token.text in COMPARISONS):
                return True
        return False

    def _membership(self, value: Value) -> Condition:
        self._expect("(")
        options = [self._option(value)]
        while self._take(","):
            options.append(self._option(value))
        self._expect(")")
        return Membership(value, tuple(options))

    def _option(self, value: Value) -> Literal:
        start, option = self._now.start, self._signed()
        if not isinstance(option, Literal):
            self._fail("a list holds numbers or texts, no columns", start)
        if option.kind != value.kind:
            self._fail(f"{value} is {value.kind} and {option} is {option.kind}; they cannot be equal", start)
        return option

    def _likeness(self, value: Value) -> Condition:
        if value.kind != TEXT:
            self._fail(f"`like` is for text, {value} is {value.kind}")
        start, pattern = self._now.start, self._signed()
        if not isinstance(pattern, Literal) or not isinstance(pattern.value, str):
            self._fail("`like` wants a pattern in quotes, such as 'x*'", start)
        return Like(value, pattern.value)

    def _sum(self) -> Value:
        left = self._product()
        while token := self._take("+", "-"):
            left = self._joined(token, left, self._product())
        return left

    def _product(self) -> Value:
        left = self._signed()
        while token := self._take("*", "/"):
            left = self._joined(token, left, self._signed())
        return left

    def _joined(self, token: Token, left: Value, right: Value) -> Value:
        for side in (left, right):
            if side.kind != NUMBER:
                self._fail(f"`{token.text}` joins numbers, {side} is {side.kind}", token.start)
        self._operations += 1
        if self._operations > MAX_OPERATIONS:
            self._fail(f"more than {MAX_OPERATIONS} times `+ - * /`", token.start)
        return Arithmetic(ARITHMETIC[token.text], left, right)

    def _signed(self) -> Value:
        if token := self._take("-"):
            inner = self._nested(self._signed)
            if isinstance(inner, Literal) and isinstance(inner.value, float):
                return Literal(-inner.value)
            return self._joined(token, Literal(0.0), inner)
        if self._take("("):
            inner = self._nested(self._sum)
            self._expect(")")
            return inner
        token = self._now
        if token.kind not in ("number", "text", "word") or token.keyword:
            self._fail(f"expected a column, a number or a text in quotes, found {token.text!r}")
        self._at += 1
        if token.kind == "number":
            value = float(token.text)
            return Literal(value) if np.isfinite(value) else self._fail(f"{token.text} is too large a number", token.start)
        if token.kind == "text":
            quote = token.text[0]
            return Literal(token.text[1:-1].replace(quote * 2, quote))
        return self._column(token)

    def _column(self, token: Token) -> Column:
        if token.text not in self._schema.names:
            known = ", ".join(name for name in self._schema.names if Column.kind_of(self._schema.field(name).type))
            self._fail(f"there is no column {token.text!r}.{nearest(token.text, self._schema.names)} Columns: {known}", token.start)
        kind = Column.kind_of(self._schema.field(token.text).type)
        if not kind:
            self._fail(f"column {token.text} holds {self._schema.field(token.text).type}; a filter reads numbers and texts", token.start)
        self._columns.add(token.text)
        return Column(token.text, kind)
