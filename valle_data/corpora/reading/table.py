"""A table of recordings: JSON lines, CSV or TSV, one row an utterance, read a row at a time."""

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from valle_data.corpora.base import Refusal
from valle_data.corpora.reading.lines import read_lines
from valle_data.errors import InputError, ReasonCode, UsageError
from valle_data.registry import nearest

COLUMNS = ("path", "text", "speaker", "group", "language", "start_s", "duration_s", "channel")
TEXTS = ("path", "text", "speaker", "group", "language")
DELIMITERS = {".csv": ",", ".tsv": "\t"}
COMMAND = re.compile(r"pipe:|[A-Za-z][A-Za-z0-9+.-]*://|.*\|\s*\Z", re.DOTALL)
"""What other tools run or fetch where a path stands."""


@dataclass(frozen=True)
class Row:
    """One utterance as its table says; None where the table is silent."""

    line: int
    path: str
    text: str = ""
    speaker: str | None = None
    group: str | None = None
    language: str | None = None
    start_s: float = 0.0
    duration_s: float | None = None
    channel: int | None = None
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Dialect:
    """Which columns of a table mean what. `names` gives each of `COLUMNS` the names it may have, best first; `allows_absolute` is about paths."""

    names: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: {name: (name,) for name in COLUMNS})
    allows_absolute: bool = False

    def rename(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The row with our names for its columns; what means nothing here keeps its name."""
        found = {ours: next((name for name in names if values.get(name) is not None), None) for ours, names in self.names.items()}
        taken = {theirs for theirs in found.values() if theirs}
        return {**{name: value for name, value in values.items() if name not in taken}, **{ours: values[name] for ours, name in found.items() if name}}


PLAIN = Dialect()


def read_table(path: str, name: str, dialect: Dialect = PLAIN) -> Iterator[Row | Refusal]:
    """Rows in the order of the file; a row that cannot be used comes as a refusal with its line in table `name`.

    Raises UsageError for a file that is no table, and what `read_lines` raises.
    """
    suffix = "." + name.lower().removesuffix(".gz").rpartition(".")[2]
    if suffix in (".jsonl", ".json"):
        rows = json_rows(path)
    elif suffix in DELIMITERS:
        rows = _csv_rows(path, name, DELIMITERS[suffix], dialect)
    else:
        raise UsageError(f"A corpus table is a .jsonl, .csv or .tsv file (or one of them with .gz); `corpus.table` names {name!r}.")
    for line, values in rows:
        try:
            yield _row(line, values, dialect)
        except InputError as error:
            yield Refusal(name, error.reason, str(error.args[0]), line)


def json_rows(path: str) -> Iterator[tuple[int, Any]]:
    """(line, value) for each line that is not blank; a string that says what is wrong, such as `is not JSON: ...`, for one that is no JSON."""
    for line, text in enumerate(read_lines(path, "corpus.table"), 1):
        if text.strip():
            try:
                yield line, json.loads(text)
            except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
                yield line, f"is not JSON: {error}"


def _csv_rows(path: str, name: str, delimiter: str, dialect: Dialect) -> Iterator[tuple[int, Any]]:
    reader = csv.DictReader(read_lines(path, "corpus.table"), delimiter=delimiter, restkey="", strict=True)
    try:
        columns = list(reader.fieldnames or ())
        if not any(theirs in columns for theirs in dialect.names["path"]):
            wanted, offered = dialect.names["path"], ", ".join(map(repr, columns))
            raise UsageError(f"The corpus table {name!r} has no column {' or '.join(map(repr, wanted))}, only {offered}.{nearest(wanted[0], columns)}")
        for values in reader:
            wrong = "has more cells than the header" if "" in values else "has fewer cells than the header" if None in values.values() else None
            yield reader.line_num, wrong or {name: value for name, value in values.items() if value != ""}
    except csv.Error as error:
        raise UsageError(
            f"The corpus table {name!r} is not CSV after line {reader.line_num}: {error}. Quote cells that hold a delimiter or a quote."
        ) from error


def _row(line: int, values: Any, dialect: Dialect) -> Row:
    if not isinstance(values, dict):
        raise bad_row(values if isinstance(values, str) and values.startswith(("is ", "has ")) else f"is {type(values).__name__} and not an object")
    values = dialect.rename(values)
    texts = {name: _string(name, values[name]) for name in TEXTS if values.get(name) is not None}
    if not texts.get("path"):
        raise bad_row("has no `path`")
    check_path(texts["path"], dialect.allows_absolute)
    extra = {name: _plain(value) for name, value in values.items() if name not in COLUMNS and value is not None}
    for name, value in {"path": texts["path"], **extra}.items():
        if not (_is_writable(name) and _is_writable(value)):
            raise bad_row(f"has {name!a} = {value[:40]!a} with half a character (a lone surrogate), which no file can hold")
    for name in TEXTS[1:]:
        if not texts.get(name, "").isascii():
            check_utf8(name, texts[name])
    channel = values.get("channel")
    return Row(
        line=line,
        start_s=seconds("start_s", values.get("start_s")) or 0.0,
        duration_s=seconds("duration_s", values.get("duration_s")),
        channel=None if channel is None else _channel(channel),
        extra=extra,
        **texts,
    )


def check_path(path: str, allows_absolute: bool) -> None:
    """Raise InputError `unsafe_member` for a command or an address, `bad_row` for a path that leaves the corpus."""
    if COMMAND.match(path):
        raise InputError(
            ReasonCode.UNSAFE_MEMBER, f"The row has the path {path!r}, a command or an address; nothing was run or fetched. Tables name files on this machine."
        )
    if "\0" in path or ".." in path.split("/") or (path.startswith("/") and not allows_absolute):
        absolute = " or absolute" if allows_absolute else ""
        raise bad_row(f"has the path {path!r}; paths are relative to `corpus.root` and stay below it{absolute}")


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)


def _is_writable(text: str) -> bool:
    """Whether the text is Unicode, save for escaped bytes of a file name."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def bad_row(what: str) -> InputError:
    return InputError(ReasonCode.BAD_ROW, f"The row {what}.")


def _string(name: str, value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and name in ("speaker", "group"):
        return str(value)
    if not isinstance(value, str):
        raise bad_row(f"has {name} = {value!r}, which is not a string")
    return value


def check_utf8(name: str, value: str) -> None:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            ReasonCode.TEXT_NOT_UTF8, f"Its {name} is not UTF-8 at character {error.start + 1}: {value[:40]!r}. Save the table as UTF-8."
        ) from None


def seconds(name: str, value: Any) -> float | None:
    if value is None:
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        raise bad_row(f"has {name} = {value!r}, which is not a number of seconds") from None
    if not math.isfinite(seconds) or seconds < 0 or (name == "duration_s" and seconds == 0):
        raise bad_row(f"has {name} = {value!r}; seconds are finite and not negative, and a duration is above 0")
    return seconds


def _channel(value: Any) -> int:
    try:
        channel = int(value)
    except (TypeError, ValueError, OverflowError):
        raise bad_row(f"has channel = {value!r}, which is not a whole number") from None
    if channel < 0:
        raise bad_row(f"has channel = {value!r}; channels count from 0")
    return channel
