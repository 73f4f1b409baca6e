"""Decoding in a child process: a file that crashes the decoder, hangs it or swells in it costs that child and nothing else.

Decoders are C libraries that read what strangers wrote. The child has a limit on its address space and on the time for each file. Sounds come back through
a pipe as plain samples: a copy of a few percent of what decoding them costs.
"""

import os
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any, ClassVar

import numpy as np

from valle_data.audio import AudioInfo, AudioLimits
from valle_data.child_process import ChildProcess, limit_memory, started
from valle_data.errors import InputError, ReasonCode
from valle_data.records import AudioRef
from valle_data.sound import Sound

MEMORY_FACTOR = 3
"""The samples of the largest allowed recording, their copy as one array, and what looking at them takes."""
MEMORY_SLACK = 256 << 20
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}


@dataclass(frozen=True)
class _Request:
    """A function of the child's module, and what it is about."""

    function: str
    recording: AudioRef
    time_limit_s: float

    @property
    def file(self) -> str:
        return repr(os.path.realpath(self.recording.path))


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

    @property
    def pid(self) -> int:
        """Of the child."""
        return self._child.process.pid

    def read(self, ref: AudioRef, time_limit_s: float) -> Sound:
        """What `read_sound` returns or raises; InputError `decoder_crashed` or `decoder_timeout` when the child did not survive the file.

        A lost child is replaced and asked once more: something else may have killed or stopped it.
        """
        return self._ask(_Request("read_sound", ref, time_limit_s))

    def probe(self, recording: AudioRef, time_limit_s: float) -> AudioInfo:
        """What `probe` returns or raises, or as with `read`."""
        return self._ask(_Request("probe", recording, time_limit_s))

    def _start(self) -> ChildProcess:
        child = ChildProcess("valle_data.decoder_process:serve", environment=ONE_THREAD)
        weakref.finalize(self, child.stop)
        with suppress(OSError):  # one that is gone already is found when it is asked whether it is ready
            child.connection.send((self.module, self._limits))
        return child

    def _ask(self, request: _Request) -> Any:
        answer = self._try(request)
        if _is_lost(answer):
            answer = self._try(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _try(self, request: _Request) -> Any:
        self._child = started(self._start, self._child)
        answer = _answer_of(self._child, request)
        if _is_lost(answer):
            self._child.stop()
        return answer


def _is_lost(answer: Any) -> bool:
    return isinstance(answer, InputError) and answer.reason in (ReasonCode.DECODER_CRASHED, ReasonCode.DECODER_TIMEOUT)


def _answer_of(child: ChildProcess, request: _Request) -> Any:
    """The child's answer, or what became of the child."""
    try:
        child.connection.send(request)
        if not child.connection.poll(request.time_limit_s):
            return InputError(
                ReasonCode.DECODER_TIMEOUT,
                f"{request.file}: Decoding takes at most {request.time_limit_s:g} s (`decode.time_limit_s`, and a tenth of its length); it was stopped then. "
                "Convert the recording with another program.",
            )
        answer = child.connection.recv()
        if not isinstance(answer, _Decoded):
            return answer
        samples = np.empty(answer.num_samples, dtype=np.float32)
        if len(samples):
            child.connection.recv_bytes_into(samples.data.cast("B"))
        return Sound(samples, answer.sample_rate_hz)
    except (EOFError, OSError):
        child.stop()
        message = f"The decoder ended with {child.ending()} over this file. Convert the recording with another program, or leave it out."
        return InputError(ReasonCode.DECODER_CRASHED, f"{request.file}: {message}")


def serve(connection: Connection) -> None:
    """The child: a recording after the other."""
    module, limits = connection.recv()
    functions = import_module(module)
    limit_memory(MEMORY_FACTOR * limits.max_decoded_bytes + MEMORY_SLACK)
    connection.send(True)
    while True:
        request: _Request = connection.recv()
        answer = _answer(getattr(functions, request.function), request, limits)
        if not isinstance(answer, Sound):
            connection.send(answer)
            continue
        connection.send(_Decoded(len(answer.samples), answer.sample_rate_hz))
        if len(answer.samples):
            connection.send_bytes(np.ascontiguousarray(answer.samples).data.cast("B"))


def _answer(function: Callable[[Any, AudioLimits], Any], request: _Request, limits: AudioLimits) -> Any:
    try:
        return function(request.recording, limits)
    except MemoryError:
        message = "The decoder wanted more memory than `decode.max_decoded_bytes` gives it. Convert the recording with another program, or leave it out."
        return InputError(ReasonCode.DECODER_CRASHED, f"{request.file}: {message}")
    except Exception as error:  # whatever it is, the parent raises it
        return error
