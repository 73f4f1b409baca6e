"""Long text files line by line, unpacked on the way where they are packed."""

import gzip
import io
import os
import zlib
from collections.abc import Iterator

from valle_data.errors import InputError, ReasonCode, UsageError

MAX_LINE_BYTES = 1 << 24


def read_lines(path: str, option: str = "corpus.root") -> Iterator[str]:
    """The lines of a text file (`.gz`: packed), each with its line end; bytes that are no UTF-8 come as escapes.

    Raises UsageError, naming `option`, when it cannot be opened, InputError `corrupt_archive` when it is cut or packed wrongly, `storage_failed` for a disk
    that fails, and `bad_row` for a line of more than 16 MiB.
    """
    with _open(path, option) as file:
        number = 0
        while line := _line(file, path, number):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                raise InputError(ReasonCode.BAD_ROW, f"{path}:{number}: a line has at most {MAX_LINE_BYTES} bytes; this one has more. Is it a table?")
            yield (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).decode("utf-8", "surrogateescape")


def _open(path: str, option: str) -> io.BufferedIOBase:
    try:
        return gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb")
    except OSError as error:
        raise UsageError(f"{path!r} cannot be read: {error.strerror}. Correct `{option}`.") from error


def _line(file: io.BufferedIOBase, path: str, number: int) -> bytes:
    try:
        return file.readline(MAX_LINE_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(ReasonCode.CORRUPT_ARCHIVE, f"{path!r} is cut or damaged after line {number}: {error}. Download it again.") from error
    except OSError as error:
        raise InputError(ReasonCode.STORAGE_FAILED, f"{path!r} cannot be read after line {number}: {os.strerror(error.errno or 0)}.") from error
