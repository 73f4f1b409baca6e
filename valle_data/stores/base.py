"""What a store owes to those who write and read data sets."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """A file in a folder. `tag` is what a store itself calls this version of the file, empty where it does not say."""

    name: str
    nbytes: int
    mtime_ns: int
    tag: str = ""


class Store(ABC):
    """Whole files, durable, each there or not there. A failing store raises InputError `storage_failed` with the path.

    `renames` tells whether files get their names by renaming. Where they do not, a `put` is itself whole or nothing and can replace a final name.
    """

    renames: bool

    @abstractmethod
    def read(self, path: Path) -> bytes: ...

    @abstractmethod
    def read_ranges(self, path: Path, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes from `start` up to `stop` of each range. One that ends beyond the file is an error."""

    @abstractmethod
    def write_new(self, path: Path, data: bytes) -> None:
        """Create `path` with `data`, durably; nothing is left of it if that fails."""

    @abstractmethod
    def create_once(self, path: Path, data: bytes) -> bool:
        """Create `path` whole or not at all; False when another process was first."""

    @abstractmethod
    def write_atomically(self, path: Path, data: bytes) -> None:
        """Replace `path` by `data`: a reader sees the old bytes or the new ones."""

    @abstractmethod
    def move(self, source: Path, target: Path) -> None:
        """Give `source` the name `target`, over what is there."""

    @abstractmethod
    def discard(self, path: Path) -> None:
        """Remove a file that nobody misses; one that stays is no error."""

    @abstractmethod
    def entries(self, folder: Path, ending: str = "") -> list[Entry]:
        """The files directly in `folder` whose name ends with `ending`, by name; empty where there is none."""

    @abstractmethod
    def make_folder(self, folder: Path) -> None: ...

    @abstractmethod
    def sync_folder(self, folder: Path) -> None:
        """Make names in `folder` durable."""
