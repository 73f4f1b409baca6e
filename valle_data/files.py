"""Every write to a data set goes through here: whole files, durable, and either before or after but never between.

A failing disk becomes `storage_failed` with the path and what the system said.
"""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from valle_data.errors import InputError, ReasonCode

TEMPORARY = ".tmp-"
CHUNK_BYTES = 1 << 20


@contextmanager
def _storage(action: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            ReasonCode.STORAGE_FAILED,
            f"Could not {action} {path}: {error.strerror or error}. Free space or repair the disk and run the same command again: it resumes.",
        ) from error


def temporary_for(path: Path) -> Path:
    """A name beside `path` that no other process uses and that no reader takes for data."""
    return path.with_name(f"{TEMPORARY}{path.name}-{os.getpid()}-{secrets.token_hex(4)}")


def write_new(path: Path, data: bytes) -> None:
    """Create `path` with `data` on the disk itself (fsync); nothing is left of it if that fails."""
    with _storage("write", path):
        try:
            _write_and_sync(path, data)
        except OSError:
            with suppress(OSError):
                os.unlink(path)
            raise


def _write_and_sync(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest[:CHUNK_BYTES]) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path) -> bytes:
    with _storage("read", path):
        return path.read_bytes()


def move(source: Path, target: Path) -> None:
    """Rename over `target`."""
    with _storage("rename to", target):
        os.replace(source, target)


def create_once(path: Path, data: bytes) -> bool:
    """Create `path` whole or not at all; False when another process was first. Its content is on the disk before its name is."""
    temporary = temporary_for(path)
    write_new(temporary, data)
    try:
        with _storage("create", path):
            return _link(temporary, path)
    finally:
        discard(temporary)


def _link(temporary: Path, path: Path) -> bool:
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        # Some file systems (exFAT, some network shares) have no hard links; there a rename is the best that can be done.
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS) or path.exists():
            raise
        os.replace(temporary, path)
    return True


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by `data`: a reader sees the old bytes or the new ones."""
    temporary = temporary_for(path)
    write_new(temporary, data)
    try:
        move(temporary, path)
    except InputError:
        discard(temporary)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make names in `folder` durable."""
    with _storage("sync", folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def make_folder(folder: Path) -> None:
    with _storage("create the folder", folder):
        os.makedirs(folder, exist_ok=True)


def discard(path: Path) -> None:
    """Remove a temporary file; one that stays is ignored by readers and swept by the next run."""
    with suppress(OSError):
        os.unlink(path)


def sweep(folder: Path) -> None:
    """Remove what interrupted runs left in `folder`. Only for the holder of the lock."""
    for path in folder.glob(f"{TEMPORARY}*"):
        discard(path)
