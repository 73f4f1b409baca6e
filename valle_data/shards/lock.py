"""One run per folder: a lock file that says who holds it, since when, and from where."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from valle_data import files
from valle_data.errors import InputError, ReasonCode

NAME = "valle.lock"


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock. `started` tells it from a later process with the same number; empty where the system does not say."""

    pid: int
    host: str
    started: str
    since_s: float

    def __str__(self) -> str:
        return f"pid {self.pid} on {self.host}, {describe_age(time.time() - self.since_s)} old"


def describe_age(seconds: float) -> str:
    """`42 s`, `12 min`, `3.5 h` or `2.1 days`."""
    for unit, size in (("days", 86400), ("h", 3600)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{max(seconds, 0):.0f} s"


def process_start(pid: int) -> str:
    """Boot and start time of a running process, empty where there is no such process or no /proc."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    state, start_ticks = fields[0], fields[19]
    return "" if state in "ZX" else f"{boot} {start_ticks}"


def is_alive(holder: Holder) -> bool:
    """Whether the holder, a process of this host, still runs."""
    if holder.started:
        return process_start(holder.pid) == holder.started
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def hold(folder: Path, *, take_over: bool, note: Callable[[str], None]) -> Iterator[None]:
    """Hold the folder for the time of the block.

    Raises InputError `output_locked` when another process holds it. The lock of a process of this host that is gone is taken over with a note;
    one of another host, whose processes cannot be seen from here, only with `take_over`.
    """
    path = folder / NAME
    mine = Holder(os.getpid(), socket.gethostname(), process_start(os.getpid()), time.time())
    with _guard(folder):
        _make_way(path, mine, take_over, note)
        if not files.create_once(path, json.dumps(asdict(mine)).encode()):
            raise InputError(ReasonCode.OUTPUT_LOCKED, f"{folder} was locked by another run this very moment. Wait for it.")
    try:
        yield
    finally:
        if read_holder(path) == mine:
            files.discard(path)


@contextmanager
def _guard(folder: Path) -> Iterator[None]:
    """Keep two processes of this host from taking over the same lock at once; the kernel releases it whatever happens.

    An object store has no such thing; there creating the lock only if it is absent has to do, and does.
    """
    if not files.store_of(folder).renames:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read_holder(path: Path) -> Holder | None:
    """Who holds the lock at `path`: None where there is none; one that cannot be read counts as held by an unknown host."""
    if not path.is_file():
        return None
    try:
        return Holder(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError):
        return Holder(pid=0, host="an unknown host", started="", since_s=path.stat().st_mtime)


def _make_way(path: Path, mine: Holder, take_over: bool, note: Callable[[str], None]) -> None:
    holder = read_holder(path)
    if holder is None:
        return
    here = holder.host == mine.host
    if here and is_alive(holder):
        raise InputError(
            ReasonCode.OUTPUT_LOCKED,
            f"{path.parent} is being written by {holder}, which is running. Wait for it or stop it; `--take-over` is for the lock of a process that is gone.",
        )
    if not here and not take_over:
        raise InputError(
            ReasonCode.OUTPUT_LOCKED,
            f"{path.parent} is locked by {holder}, which cannot be seen from {mine.host}. If that run is gone, run the same command with `--take-over`.",
        )
    note(f"Taking over {path.parent} from {holder}{'' if not here else ', which is gone'}.")
    files.discard(path)
