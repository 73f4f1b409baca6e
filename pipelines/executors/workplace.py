"""What a worker process does with what it is given, whoever manages it."""

import sys
import traceback
from dataclasses import dataclass
from typing import Any, Generic

from pipelines.executors.base import Beat, Failure, Job, Rescue, Result, Sign, Task, TaskFailed, Worker
from valle_data.errors import ReasonCode, ValleError


@dataclass(frozen=True)
class Done(Generic[Result]):
    """What came of a task, or of one step of it."""

    result: Result


@dataclass(frozen=True)
class Raised:
    """An error that ends the run, and its traceback."""

    error: ValleError
    details: str

    def again(self) -> ValleError:
        """The error, to be raised in another process."""
        self.error.add_note(self.details)
        return self.error


Answer = Done[Any] | Failure | Raised


BEGUN = "begin"
"""The stage of the first sign of life for a task: the worker is loaded."""


class Workplace:
    """A job's worker, started with its first task."""

    def __init__(self, job: Job[Any, Any], beat: Beat, step: int | None = None) -> None:
        self._job, self._step = job, step
        self._beat, self._sign = beat, None
        self._worker: Worker[Any, Any] | None = None

    def start(self) -> Raised | None:
        """Load what the worker holds. An error is one that no other task would fare better with."""
        try:
            self._worker = self._worker or self._job.start(self._beat_on, self._step)
        except ValleError as error:
            return Raised(error, traceback.format_exc())
        except Exception as error:
            return Raised(TaskFailed(f"A worker cannot start: {type(error).__name__}: {error}. The log has the traceback."), traceback.format_exc())
        return None

    def do(self, payload: Task, rescue: Rescue[Task] | None) -> Answer:
        """The step's work on `payload`, or the rescue of its task."""
        self._sign = None
        if (raised := self.start()) is not None:
            return raised
        assert self._worker is not None, "it has started"
        self._beat(Sign(BEGUN))
        try:
            return Done(self._job.rescue(rescue, self._beat_on) if rescue else self._worker.run(payload))
        except ValleError as error:
            return Raised(error, traceback.format_exc())
        except Exception as error:
            return failure_of(error, self._sign)

    def _beat_on(self, sign: Sign) -> None:
        self._sign = sign
        self._beat(sign)


def failure_of(error: Exception, sign: Sign | None) -> Failure:
    """What an unexpected exception means for the task."""
    reason = ReasonCode.WORKER_OUT_OF_MEMORY if is_out_of_memory(error) else ReasonCode.WORKER_CRASHED
    return Failure(reason, f"{type(error).__name__}: {error}", sign, traceback.format_exc())


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, of this process or of a device; torch is not imported for it."""
    torch = sys.modules.get("torch")
    return isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError))
