"""Every write to a data set goes through here: whole files, durable, and either before or after but never between.

A failing disk becomes `storage_failed` with the path and what the system said. Paths in object stores (`s3://...`) go to their store, by the same contract.
"""

import errno
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from valle_data.errors import InputError, ReasonCode
from valle_data.stores.base import Entry, Store
from valle_data.stores.remote_path import RemotePath

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


class LocalStore(Store):
    """Files of this machine, or of a file system mounted on it."""

    renames = True

    def read(self, path: Path) -> bytes:
        with _storage("read", path):
            return path.read_bytes()

    def read_ranges(self, path: Path, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        with _storage("read ranges of", path), path.open("rb") as file:
            found = [os.pread(file.fileno(), stop - start, start) for start, stop in ranges]
        for data, (start, stop) in zip(found, ranges, strict=True):
            if len(data) != stop - start:
                raise InputError(ReasonCode.STORAGE_FAILED, f"Could not read {stop - start} bytes at {start} of {path}: it ends before them.")
        return found

    def write_new(self, path: Path, data: bytes) -> None:
        with _storage("write", path):
            try:
                _write_and_sync(path, data)
            except OSError:
                with suppress(OSError):
                    os.unlink(path)
                raise

    def create_once(self, path: Path, data: bytes) -> bool:
        temporary = temporary_for(path)
        self.write_new(temporary, data)
        try:
            with _storage("create", path):
                return _link(temporary, path)
        finally:
            self.discard(temporary)

    def write_atomically(self, path: Path, data: bytes) -> None:
        temporary = temporary_for(path)
        self.write_new(temporary, data)
        try:
            self.move(temporary, path)
        except InputError:
            self.discard(temporary)
            raise
        self.sync_folder(path.parent)

    def move(self, source: Path, target: Path) -> None:
        with _storage("rename to", target):
            os.replace(source, target)

    def discard(self, path: Path) -> None:
        with suppress(OSError):
            os.unlink(path)

    def entries(self, folder: Path, ending: str = "") -> list[Entry]:
        try:
            with os.scandir(folder) as found:
                files = [(item.name, item.stat()) for item in found if item.name.endswith(ending) and item.is_file()]
        except FileNotFoundError:
            return []
        except OSError as error:
            with _storage("list", folder):
                raise error
        return sorted((Entry(name, status.st_size, status.st_mtime_ns) for name, status in files), key=lambda entry: entry.name)

    def make_folder(self, folder: Path) -> None:
        with _storage("create the folder", folder):
            os.makedirs(folder, exist_ok=True)

    def sync_folder(self, folder: Path) -> None:
        with _storage("sync", folder):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _write_and_sync(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest[:CHUNK_BYTES]) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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


_LOCAL = LocalStore()


def store_of(path: Path) -> Store:
    """The store that a path lies in."""
    return path.store if isinstance(path, RemotePath) else _LOCAL


def temporary_for(path: Path) -> Path:
    """A name beside `path` that no other process uses and that no reader takes for data."""
    return path.with_name(f"{TEMPORARY}{path.name}-{os.getpid()}-{secrets.token_hex(4)}")


def write_new(path: Path, data: bytes) -> None:
    """Create `path` with `data` on the disk itself (fsync); nothing is left of it if that fails."""
    store_of(path).write_new(path, data)


def read(path: Path) -> bytes:
    return store_of(path).read(path)


def read_ranges(path: Path, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    """The bytes of each range (start, stop); an object store gets few requests for many ranges."""
    return store_of(path).read_ranges(path, ranges)


def move(source: Path, target: Path) -> None:
    """Rename over `target`."""
    store_of(target).move(source, target)


def create_once(path: Path, data: bytes) -> bool:
    """Create `path` whole or not at all; False when another process was first. Its content is on the disk before its name is."""
    return store_of(path).create_once(path, data)


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by `data`: a reader sees the old bytes or the new ones."""
    store_of(path).write_atomically(path, data)


def sync_folder(folder: Path) -> None:
    """Make names in `folder` durable."""
    store_of(folder).sync_folder(folder)


def make_folder(folder: Path) -> None:
    store_of(folder).make_folder(folder)


def discard(path: Path) -> None:
    """Remove a temporary file; one that stays is ignored by readers and swept by the next run."""
    store_of(path).discard(path)


def entries(folder: Path, ending: str = "") -> list[Entry]:
    """The files in `folder` whose name ends with `ending`, by name, with sizes and times; one listing where it is in an object store."""
    return store_of(folder).entries(folder, ending)


def names(folder: Path) -> list[str]:
    """The names of the files in `folder`, in no order, without a look at the files; empty where there is none."""
    if isinstance(folder, RemotePath):
        return [entry.name for entry in folder.store.entries(folder)]
    try:
        with _storage("list", folder):
            return os.listdir(folder)
    except InputError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return []
        raise


def sweep(folder: Path) -> None:
    """Remove what interrupted runs left in `folder`. Only for the holder of the lock."""
    for name in names(folder):
        if name.startswith(TEMPORARY):
            discard(folder / name)
