"""A Python process of our own with a pipe to it: what may crash, hang or swell runs there, and ends with its parent."""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection, Pipe

from valle_data.errors import EnvironmentProblem

GRACE_S = 5.0
START_LIMIT_S = 120.0
START_ATTEMPTS = 3
PR_SET_PDEATHSIG = 1
START = "import json, sys; fd, target, sys.path[:] = json.loads(sys.argv[1]); from valle_data.child_process import live; live(fd, target)"


def _nothing() -> None:
    """Of no interest."""


class ChildProcess:
    """Runs `target`, a `"module:function"`, on a connection and nothing else. The function sends True once it listens.

    Made at once, in a process group of its own (Ctrl-C is the parent's to answer), without the parent's threads, memory or `__main__`.
    """

    def __init__(self, target: str, *, environment: dict[str, str] | None = None) -> None:
        self.connection, theirs = Pipe()
        arguments = json.dumps([theirs.fileno(), target, sys.path])
        self.process = subprocess.Popen(
            [sys.executable, "-c", START, arguments],
            pass_fds=[theirs.fileno()],
            env=os.environ | (environment or {}),
            process_group=0,
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        self._has_answered = False

    def is_ready(self, while_waiting: Callable[[], None] = _nothing) -> bool:
        """Whether it lives and listens, which is waited for; `while_waiting` is called about every second of that."""
        deadline = time.monotonic() + START_LIMIT_S
        try:
            while not self._has_answered and time.monotonic() < deadline:
                if self.connection.poll(1.0):
                    self._has_answered = self.connection.recv() is True
                while_waiting()
        except (EOFError, OSError):
            self.stop()
        return self._has_answered and self.process.poll() is None

    def stop(self) -> None:
        """End the process; a stopped or hanging one too."""
        self.connection.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(0.1)
        self.kill()

    def kill(self) -> None:
        """End the process at once. One that the kernel cannot end, as it waits for a dead disk, is left behind."""
        self.process.kill()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE_S)

    def ending(self) -> str:
        """`signal 11 (SIGSEGV)` or `exit code 1`; for a process that has ended."""
        code = self.process.returncode
        return f"signal {-code} ({signal.Signals(-code).name})" if code is not None and code < 0 else f"exit code {code}"


def started(make: Callable[[], ChildProcess], child: ChildProcess | None = None, while_waiting: Callable[[], None] = _nothing) -> ChildProcess:
    """`child`, or a new one, once it listens. Raises EnvironmentProblem when none comes up."""
    for _ in range(START_ATTEMPTS):
        child = child or make()
        if child.is_ready(while_waiting):
            return child
        child.stop()
        ending, child = child.ending(), None
    raise EnvironmentProblem(f"A child process of valle does not start: {ending}. Standard error says why; see `valle doctor`.")


def live(descriptor: int, target: str) -> None:
    """The child's life: it ends when the parent closes the pipe, or ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":  # the kernel kills this process once its parent is gone, also while it hangs
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    module, _, function = target.partition(":")
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        getattr(import_module(module), function)(Connection(descriptor))


def limit_memory(more_bytes: int, kind: int = resource.RLIMIT_AS) -> None:
    """Linux: let the memory of this process, of the given kind, grow by so much from here. RLIMIT_AS: its address space, RLIMIT_DATA: what it may write to."""
    if sys.platform != "linux":
        return
    field = {resource.RLIMIT_AS: "VmSize", resource.RLIMIT_DATA: "VmData"}[kind]
    with open("/proc/self/status", encoding="ascii") as file:
        kilobytes = next(int(line.split()[1]) for line in file if line.startswith(field))
    resource.setrlimit(kind, ((kilobytes << 10) + more_bytes, resource.getrlimit(kind)[1]))
