"""Decoding in a child process: a file that crashes the decoder, hangs it or swells in it costs that child and nothing else.

Decoders are C libraries that read what strangers wrote. The child has a limit on its address space and on the time for each file; it ends with
its parent. Sounds come back through a pipe as plain samples: a copy of a few percent of what decoding them costs.
"""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection, Pipe
from types import ModuleType
from typing import Any, ClassVar, NoReturn

import numpy as np

from valle_data.audio import AudioInfo, AudioLimits
from valle_data.errors import EnvironmentProblem, InputError, ReasonCode
from valle_data.records import AudioRef
from valle_data.sound import Sound

GRACE_S = 5.0
START_LIMIT_S = 120.0
START_ATTEMPTS = 3
MEMORY_FACTOR = 3
"""The samples of the largest allowed recording, their copy as one array, and what looking at them takes."""
MEMORY_SLACK = 256 << 20
PR_SET_PDEATHSIG = 1
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
START = "import json, sys; fd, module, memory, sys.path[:] = json.loads(sys.argv[1]); from valle_data.decoder_process import serve; serve(fd, module, memory)"


@dataclass(frozen=True)
class _Decoded:
    """What precedes the samples, which follow as bytes where there are any."""

    num_samples: int
    sample_rate_hz: int


class DecoderProcess:
    """`read_sound` and `probe` in a child process, which is started at once and replaced when it is lost. For one thread."""

    module: ClassVar[str] = "valle_data.audio"
    """Where the child finds the two functions."""

    def __init__(self, limits: AudioLimits) -> None:
        self._limits = AudioLimits(**limits.model_dump(include=set(AudioLimits.model_fields)))  # the child need not know of stages
        self._child = self._start()

    def _start(self) -> "_Child":
        child = _Child(self.module, MEMORY_FACTOR * self._limits.max_decoded_bytes + MEMORY_SLACK)
        weakref.finalize(self, child.stop)
        return child

    def read(self, ref: AudioRef, time_limit_s: float) -> Sound:
        """What `read_sound` returns or raises; InputError `decoder_crashed` or `decoder_timeout` when the child did not survive the file.

        A lost child is replaced and asked once more: something else may have killed or stopped it.
        """
        return self._ask(_Request("read_sound", ref, ref.path, self._limits, time_limit_s))

    def probe(self, path: str, time_limit_s: float) -> AudioInfo:
        """What `probe` returns or raises, or as with `read`."""
        return self._ask(_Request("probe", path, path, self._limits, time_limit_s))

    def _ask(self, request: "_Request") -> Any:
        answer = self._try(request)
        if _is_lost(answer):
            answer = self._try(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _try(self, request: "_Request") -> Any:
        for _ in range(START_ATTEMPTS):
            if self._child.is_ready():
                break
            self._replace()
        else:
            raise EnvironmentProblem(
                f"The process that decodes recordings does not start ({_how(self._child.process.returncode)}); standard error says why. See `valle doctor`."
            )
        answer = self._child.ask(request)
        if _is_lost(answer):
            self._replace()
        return answer

    def _replace(self) -> None:
        self._child.stop()
        self._child = self._start()

    @property
    def pid(self) -> int:
        """Of the child."""
        return self._child.process.pid


@dataclass(frozen=True)
class _Request:
    """A function of the child's module, its argument, and the file it is about."""

    function: str
    argument: AudioRef | str
    path: str
    limits: AudioLimits
    time_limit_s: float

    @property
    def file(self) -> str:
        return repr(os.path.realpath(self.path))


def _is_lost(answer: Any) -> bool:
    return isinstance(answer, InputError) and answer.reason in (ReasonCode.DECODER_CRASHED, ReasonCode.DECODER_TIMEOUT)


class _Child:
    """One process and the pipe to it."""

    def __init__(self, module: str, memory_bytes: int) -> None:
        self.connection, theirs = Pipe()
        arguments = json.dumps([theirs.fileno(), module, memory_bytes, sys.path])
        # A group of its own: Ctrl-C is the parent's to answer.
        self.process = subprocess.Popen(
            [sys.executable, "-c", START, arguments], pass_fds=[theirs.fileno()], env=os.environ | ONE_THREAD, process_group=0, stdin=subprocess.DEVNULL
        )
        theirs.close()
        self._has_answered = False

    def is_ready(self) -> bool:
        """Whether it lives and has begun to listen, which is waited for: starting takes no file's time."""
        try:
            if not self._has_answered and self.connection.poll(START_LIMIT_S):
                self._has_answered = self.connection.recv()
        except (EOFError, OSError):
            self.stop()
        return self._has_answered and self.process.poll() is None

    def ask(self, request: _Request) -> Any:
        """The child's answer, or what became of the child."""
        try:
            self.connection.send(request)
            if not self.connection.poll(request.time_limit_s):
                return InputError(
                    ReasonCode.DECODER_TIMEOUT,
                    f"{request.file}: Decoding takes at most {request.time_limit_s:g} s (`decode.time_limit_s`, and a tenth of its length); "
                    "it was stopped then. Convert the recording with another program.",
                )
            return self._receive()
        except (EOFError, OSError):
            self.stop()
            return InputError(ReasonCode.DECODER_CRASHED, f"{request.file}: {_ending(self.process.returncode)}")

    def _receive(self) -> Any:
        answer = self.connection.recv()
        if not isinstance(answer, _Decoded):
            return answer
        samples = np.empty(answer.num_samples, dtype=np.float32)
        if len(samples):
            self.connection.recv_bytes_into(memoryview(samples).cast("B"))
        return Sound(samples, answer.sample_rate_hz)

    def stop(self) -> None:
        """End the process; a stopped or hanging one too."""
        self.connection.close()
        try:
            self.process.wait(0.1 if self.process.returncode is None else 0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(GRACE_S)


def _how(code: int | None) -> str:
    return f"signal {-code} ({signal.Signals(-code).name})" if code is not None and code < 0 else f"exit code {code}"


def _ending(code: int | None) -> str:
    return f"The decoder ended with {_how(code)} over this file. Convert the recording with another program, or leave it out."


def serve(descriptor: int, module: str, memory_bytes: int) -> None:
    """The child's life: a recording after the other, until the parent closes the pipe or ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_parent()
    functions = import_module(module)
    _limit_memory(memory_bytes)
    connection: Connection = Connection(descriptor)
    with suppress(BrokenPipeError, EOFError):  # the parent needs no more
        connection.send(True)
        _serve_on(connection, functions)


def _serve_on(connection: Connection, functions: ModuleType) -> NoReturn:
    while True:
        request: _Request = connection.recv()
        answer = _answer(getattr(functions, request.function), request)
        if not isinstance(answer, Sound):
            connection.send(answer)
            continue
        connection.send(_Decoded(len(answer.samples), answer.sample_rate_hz))
        if len(answer.samples):
            connection.send_bytes(memoryview(np.ascontiguousarray(answer.samples)).cast("B"))


def _answer(function: Callable[[Any, AudioLimits], Any], request: _Request) -> Any:
    try:
        return function(request.argument, request.limits)
    except MemoryError:
        return InputError(ReasonCode.DECODER_CRASHED, f"{request.file}: {_OUT_OF_MEMORY}")
    except Exception as error:  # whatever it is, the parent raises it
        return error


_OUT_OF_MEMORY = "The decoder wanted more memory than `decode.max_decoded_bytes` gives it. Convert the recording with another program, or leave it out."


def _end_with_parent() -> None:
    """Linux: the kernel kills this process once its parent is gone, also while a decoder hangs."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _limit_memory(memory_bytes: int) -> None:
    """Linux: let the address space grow by `memory_bytes` from here."""
    if sys.platform != "linux":
        return
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = int(file.read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + memory_bytes,) * 2)
