"""The log file of a command: what the terminal showed, with times, and the traceback of whatever went wrong."""

import errno
import os
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from valle_data.errors import InputError, ReasonCode, UsageError

STORAGE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""What a disk says that fails, and not whoever named the path."""


class RunLog:
    """Lines appended to `path`; with `path` None nothing is kept, except that a traceback still finds a file of its own."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._file: TextIO | None = None
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1)
            except OSError as error:
                if error.errno in STORAGE_ERRORS:
                    message = f"Could not write {path}: {error.strerror}. Free space or repair the disk and run the same command again: it resumes."
                    raise InputError(ReasonCode.STORAGE_FAILED, message) from error
                raise UsageError(f"The log file {path} cannot be written: {error.strerror}. Name another one with --log-file.") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, level: str, text: str) -> None:
        """Append one entry; further lines of `text` are indented, so that an entry begins where a line begins with a time."""
        if self._file is not None:
            time = datetime.now(UTC).isoformat(timespec="milliseconds")
            self._file.write(f"{time} {level} {text.rstrip()}".replace("\n", "\n    ") + "\n")

    def keep_traceback(self, error: BaseException, command: str) -> Path | None:
        """Write the traceback to the log file, or to a temporary file when there is none; None when neither can be written."""
        text = "".join(traceback.format_exception(error))
        try:
            self.write("traceback", text)
        except OSError:
            return None  # the disk that failed the command is the one the log lies on
        if self.path is not None:
            return self.path
        try:
            handle, name = tempfile.mkstemp(prefix=f"valle-{command.replace(' ', '-')}-", suffix=".log")
            with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
        except OSError:
            return None
        return Path(name)
