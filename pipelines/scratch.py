"""SQLite databases that live for a while: larger than memory, faster than durable. A disk that fails under one is `storage_failed` like any other."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from valle_data import files
from valle_data.errors import InputError, ReasonCode

_FAILURES = frozenset((sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN))


@contextmanager
def told_plainly(what: str) -> Iterator[None]:
    """Within the block a disk that fails under SQLite raises InputError `storage_failed`; `what` was being written or read."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in _FAILURES:
            raise
        message = f"Could not write {what}: {error}. Free space or repair the disk and run the same command again: it resumes."
        raise InputError(ReasonCode.STORAGE_FAILED, message) from error


@contextmanager
def scratch_database(path: Path | None = None, pragmas: Sequence[str] = ()) -> Iterator[sqlite3.Connection]:
    """A new database in a file at `path`, over what lies there, which is gone afterwards; without a path one that is in memory until that is too little."""
    with told_plainly(str(path or "a temporary database")):
        try:
            if path is not None:
                path.unlink(missing_ok=True)
            with closing(sqlite3.connect(path or "", isolation_level=None)) as connection:
                for pragma in pragmas:
                    connection.execute(f"PRAGMA {pragma}")
                yield connection
        finally:
            if path is not None:
                files.discard(path)
