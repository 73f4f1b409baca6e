"""Small files beside recordings: texts and JSON."""

import errno
import json
from typing import Any

from valle_data.errors import InputError, ReasonCode

MAX_TEXT_BYTES = 1 << 20
MAX_JSON_BYTES = 1 << 24
NOTHING_THERE = (errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
"""A path that leads to no file; any other failure to read is the storage's, and would silently drop what was there."""


def read_text(path: str) -> str:
    """The text in a file; an empty string where there is no file. Raises InputError `text_too_long`, `text_not_utf8`, or `storage_failed`."""
    content = _read(path, MAX_TEXT_BYTES)
    if content is None:
        return ""
    if len(content) > MAX_TEXT_BYTES:
        raise InputError(ReasonCode.TEXT_TOO_LONG, f"A text has at most {MAX_TEXT_BYTES} bytes; {path!r} has more. Is it the right file?")
    return decode_text(content, path)


def decode_text(content: bytes, path: str) -> str:
    """Bytes as text, without a byte order mark. Raises InputError `text_not_utf8`."""
    try:
        return content.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            ReasonCode.TEXT_NOT_UTF8, f"Texts are UTF-8; {path!r} is not at byte {error.start}: {content[error.start : error.start + 8]!r}."
        ) from error


def read_json(path: str) -> dict[str, Any] | None:
    """The object in a JSON file; None where there is no file. Raises InputError `bad_row` or `storage_failed`."""
    content = _read(path, MAX_JSON_BYTES)
    return None if content is None else decode_json(content, path)


def decode_json(content: bytes, path: str) -> dict[str, Any]:
    """Bytes as a JSON object. Raises InputError `bad_row`."""
    if len(content) > MAX_JSON_BYTES:
        raise InputError(ReasonCode.BAD_ROW, f"What is said of a recording has at most {MAX_JSON_BYTES} bytes; {path!r} has more.")
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:  # ValueError: also bytes that are no UTF-8 and a number of thousands of digits
        raise InputError(ReasonCode.BAD_ROW, f"{path!r} is not JSON: {error}.") from error
    if not isinstance(values, dict):
        raise InputError(ReasonCode.BAD_ROW, f"{path!r} holds {type(values).__name__} and not an object.")
    return values


def _read(path: str, limit: int) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        if error.errno in NOTHING_THERE:
            return None
        message = f"The text {path!r} cannot be read: {error.strerror}. Mend the disk or the permissions; its recording would be missing."
        raise InputError(ReasonCode.STORAGE_FAILED, message) from error
