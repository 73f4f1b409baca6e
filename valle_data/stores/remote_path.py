"""Paths in object stores, such as `s3://bucket/data set/shards/part-000000.tar`.

A `RemotePath` answers what this program asks of a `Path`; any other use, such as opening it, fails with a sentence instead of touching a local file.
"""

import fnmatch
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path, PosixPath
from typing import NoReturn

from valle_data.errors import UsageError
from valle_data.stores.object_store import ObjectStore, object_store

# `Path("s3://bucket")` has lost one of its slashes before anyone can look at it.
_URL = re.compile(r"([a-z][a-z0-9+.-]+):/{1,2}(.*)", re.DOTALL)


def locate(text: str | Path) -> Path:
    """The local path, or the `RemotePath` of a URL. `file://` URLs are local.

    Raises UsageError for a URL that carries credentials, a query or nothing behind its scheme; the message repeats no secret.
    """
    if isinstance(text, RemotePath):
        return text
    if not (url := _URL.fullmatch(str(text))):
        return Path(text)
    scheme, rest = url.groups()
    if scheme == "file":
        return Path("/" + rest.lstrip("/"))
    if "@" in rest.split("/")[0] or "?" in rest or "#" in rest:
        raise UsageError(
            f"A {scheme}:// address holds a bucket and a folder only, no credentials, query or fragment. "
            "Give credentials in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL) or a profile."
        )
    if not rest.strip("/"):
        raise UsageError(f"{scheme}:// names no bucket. Write {scheme}://BUCKET/FOLDER.")
    return RemotePath(f"{scheme}:", rest.strip("/"))


class RemotePath(PosixPath):
    """See the module. It has no state beside its parts, so it travels to worker processes like any path."""

    def __str__(self) -> str:
        return super().__str__().replace(":/", "://", 1)

    def __fspath__(self) -> NoReturn:
        raise UsageError(f"{self} is in an object store, and this needs a local file or folder. Choose a local one.")

    @property
    def scheme(self) -> str:
        return self.parts[0].removesuffix(":")

    @property
    def store(self) -> ObjectStore:
        return object_store(self.scheme)

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Size and time of an object. Raises FileNotFoundError where there is none."""
        if (entry := self.store.entry(self)) is None:
            raise FileNotFoundError(f"There is no {self}.")
        return os.stat_result((stat.S_IFREG | 0o644, 0, 0, 1, 0, 0, entry.nbytes, 0, entry.mtime_ns // 10**9, 0))

    def is_file(self) -> bool:
        return self.store.entry(self) is not None

    def is_dir(self) -> bool:
        """Whether anything lies below; an object store has no empty folders."""
        return bool(self.store.entries(self))

    def exists(self) -> bool:
        return self.is_file() or self.is_dir()

    def is_symlink(self) -> bool:
        return False

    def resolve(self, strict: bool = False) -> "RemotePath":
        return self

    def absolute(self) -> "RemotePath":
        return self

    def iterdir(self) -> Iterator["RemotePath"]:
        for entry in self.store.entries(self):
            yield self / entry.name

    def glob(self, pattern: str) -> Iterator["RemotePath"]:
        """Objects directly below whose name matches `pattern`."""
        for entry in self.store.entries(self):
            if fnmatch.fnmatchcase(entry.name, pattern):
                yield self / entry.name

    def read_bytes(self) -> bytes:
        return self.store.read(self)
