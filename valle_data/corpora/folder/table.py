"""A table of recordings: JSON lines, CSV or TSV, one row an utterance."""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from valle_data.errors import InputError, ReasonCode, UsageError
from valle_data.registry import nearest

COLUMNS = ("path", "text", "speaker", "group", "language", "start_s", "duration_s", "channel")
DELIMITERS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class Row:
    """One utterance as its table says; None where the table is silent."""

    place: str
    path: str
    text: str
    speaker: str | None = None
    group: str | None = None
    language: str | None = None
    start_s: float = 0.0
    duration_s: float | None = None
    channel: int | None = None
    extra: Mapping[str, str] = field(default_factory=dict)


def read_table(path: Path) -> Iterator[Row | tuple[str, InputError]]:
    """Rows in the order of the file; a row that cannot be used comes as its place and the error. Raises UsageError for a file that is no table."""
    try:
        # Paths may hold bytes that are no UTF-8; texts may not, which `_row` checks.
        content = path.read_bytes().removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    except OSError as error:
        raise UsageError(
            f"The corpus table {str(path)!r} cannot be read: {error.strerror}. Correct `corpus.table`, which is relative to `corpus.root`."
        ) from error
    if path.suffix.lower() in (".jsonl", ".json"):
        rows = _json_rows(content)
    elif path.suffix.lower() in DELIMITERS:
        rows = _csv_rows(content, DELIMITERS[path.suffix.lower()], path)
    else:
        raise UsageError(f"A corpus table is a .jsonl, .csv or .tsv file; `corpus.table` names {path.name!r}.")
    for line, values in rows:
        place = f"{path.name}:{line}"
        try:
            yield _row(place, values)
        except InputError as error:
            yield place, error


def _json_rows(content: str) -> Iterator[tuple[int, Any]]:
    for line, text in enumerate(content.split("\n"), 1):
        if text.strip():
            try:
                yield line, json.loads(text)
            except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
                yield line, f"is not JSON: {error}"


def _csv_rows(content: str, delimiter: str, path: Path) -> Iterator[tuple[int, Any]]:
    reader = csv.DictReader(io.StringIO(content, newline=""), delimiter=delimiter, restkey="", strict=True)
    try:
        missing = [name for name in ("path", "text") if name not in (reader.fieldnames or ())]
        if missing:
            columns = list(reader.fieldnames or ())
            raise UsageError(
                f"The corpus table {path.name!r} has no column {missing[0]!r}, only {', '.join(map(repr, columns))}.{nearest(missing[0], columns)}"
            )
        for values in reader:
            wrong = "has more cells than the header" if "" in values else "has fewer cells than the header" if None in values.values() else None
            yield reader.line_num, wrong or {name: value for name, value in values.items() if value != ""}
    except csv.Error as error:
        raise UsageError(
            f"The corpus table {path.name!r} is not CSV after line {reader.line_num}: {error}. Quote cells that hold a delimiter or a quote."
        ) from error


def _row(place: str, values: Any) -> Row:
    if not isinstance(values, dict):
        raise _bad(values if isinstance(values, str) and values.startswith(("is ", "has ")) else f"is {type(values).__name__} and not an object")
    texts = {name: _string(name, values[name]) for name in ("path", "text", "speaker", "group", "language") if values.get(name) is not None}
    if not texts.get("path"):
        raise _bad("has no `path`")
    if texts["path"].startswith("/") or ".." in texts["path"].split("/") or "\0" in texts["path"]:
        raise _bad(f"has the path {texts['path']!r}; paths are relative to `corpus.root` and stay below it")
    extra = {name: str(value) for name, value in values.items() if name not in COLUMNS and value is not None}
    for name, value in {"path": texts["path"], **extra}.items():
        if not (_is_writable(name) and _is_writable(value)):
            raise _bad(f"has {name!a} = {value[:40]!a} with half a character (a lone surrogate), which no file can hold")
    if "text" not in texts:
        raise InputError(ReasonCode.MISSING_TEXT, f"The row of {texts['path']!r} has no `text`.")
    for name in ("text", "speaker", "group", "language"):
        if not texts.get(name, "").isascii():
            _check_utf8(name, texts[name])
    channel = values.get("channel")
    return Row(
        place=place,
        start_s=_seconds("start_s", values.get("start_s")) or 0.0,
        duration_s=_seconds("duration_s", values.get("duration_s")),
        channel=None if channel is None else _channel(channel),
        extra=extra,
        **texts,
    )


def _is_writable(text: str) -> bool:
    """Whether the text is Unicode, save for escaped bytes of a file name."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _bad(what: str) -> InputError:
    return InputError(ReasonCode.BAD_ROW, f"The row {what}.")


def _string(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _bad(f"has {name} = {value!r}, which is not a string")
    return value


def _check_utf8(name: str, value: str) -> None:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            ReasonCode.TEXT_NOT_UTF8, f"Its {name} is not UTF-8 at character {error.start + 1}: {value[:40]!r}. Save the table as UTF-8."
        ) from None


def _seconds(name: str, value: Any) -> float | None:
    if value is None:
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        raise _bad(f"has {name} = {value!r}, which is not a number of seconds") from None
    if not math.isfinite(seconds) or seconds < 0 or (name == "duration_s" and seconds == 0):
        raise _bad(f"has {name} = {value!r}; seconds are finite and not negative, and a duration is above 0")
    return seconds


def _channel(value: Any) -> int:
    try:
        channel = int(value)
    except (TypeError, ValueError, OverflowError):
        raise _bad(f"has channel = {value!r}, which is not a whole number") from None
    if channel < 0:
        raise _bad(f"has channel = {value!r}; channels count from 0")
    return channel
