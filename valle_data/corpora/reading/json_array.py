"""The elements of an array in a JSON file of gigabytes, one after another."""

import json
import os
import re
from collections.abc import Iterator
from typing import Any, TextIO

from valle_data.errors import InputError, ReasonCode, UsageError

CHUNK_CHARACTERS = 1 << 20
MAX_ELEMENT_CHARACTERS = 1 << 28
_BETWEEN = re.compile(r"[\s,]*")


def read_elements(path: str, key: str) -> Iterator[dict[str, Any]]:
    """The objects of the array `key` of the object in the file at `path`.

    Raises UsageError for a file that cannot be opened or has no such array, InputError `corrupt_archive` for one that is cut or no JSON,
    `storage_failed` for a disk that fails.
    """
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
            yield from _elements(file, path, key)
    except OSError as error:
        raise UsageError(f"{path!r} cannot be read: {error.strerror}. Correct `corpus.root`.") from error


def _elements(file: TextIO, path: str, key: str) -> Iterator[dict[str, Any]]:
    decoder, text = json.JSONDecoder(), _more(file, path, CHUNK_CHARACTERS)
    begin = re.search(rf'"{re.escape(key)}"\s*:\s*\[', text)
    if begin is None:
        raise UsageError(f"{path!r} has no array {key!r} near its beginning. Is it the right file?")
    position, dropped = begin.end(), 0
    while True:
        position = _BETWEEN.match(text, position).end()  # type: ignore[union-attr] - it matches nothing at all too
        if text.startswith("]", position):
            return
        try:
            element, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            more = "" if len(text) - position > MAX_ELEMENT_CHARACTERS else _more(file, path, max(CHUNK_CHARACTERS, len(text) - position))
            if not more:
                raise InputError(
                    ReasonCode.CORRUPT_ARCHIVE, f"{path!r} is cut or no JSON behind character {dropped + position}: {error}. Download it again."
                ) from error
            dropped, text, position = dropped + position, text[position:] + more, 0
            continue
        if not isinstance(element, dict):
            raise InputError(ReasonCode.CORRUPT_ARCHIVE, f"{path!r} has {element!r:.60} in {key!r}, where objects belong. Is it the right file?")
        yield element


def _more(file: TextIO, path: str, num_characters: int) -> str:
    try:
        return file.read(num_characters)
    except OSError as error:
        raise InputError(ReasonCode.STORAGE_FAILED, f"{path!r} cannot be read: {os.strerror(error.errno or 0)}.") from error
