"""Worker processes on this machine, supervised: one that dies loses nothing but time."""

import multiprocessing
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Generic, Literal

from pydantic import Field

from pipelines.executors.base import Executor, Job, Result, Task, TaskFailed
from valle_data.config import EntryConfig
from valle_data.errors import ValleError

GRACE_S = 5.0


@dataclass(frozen=True)
class _Failure:
    """What a worker sends instead of a result."""

    error: ValleError
    details: str


@dataclass
class _Attempt(Generic[Task]):
    task: Task
    number: int = 1


class _Slot(Generic[Task]):
    """One worker process and what it is doing."""

    def __init__(self, job: Job) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=_serve, args=(job, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.attempt: _Attempt[Task] | None = None
        self.num_done = 0

    def give(self, attempt: _Attempt[Task]) -> bool:
        """Hand over a task; False when the worker is already gone."""
        self.attempt = attempt
        try:
            self.connection.send(attempt.task)
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """End the process: kindly, then not."""
        self.connection.close()
        self.process.terminate()
        self.process.join(GRACE_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


class LocalExecutor(Executor[Task, Result]):
    """See the module. With `workers` 0 the tasks run in this process, one after the other."""

    class Config(EntryConfig):
        """`tasks_per_worker`: a process is replaced after so many tasks, because espeak and others leak."""

        name: Literal["local"] = "local"
        workers: int = Field(default=1, ge=0, le=1024)
        max_attempts: int = Field(default=3, ge=1, le=100)
        tasks_per_worker: int = Field(default=200, ge=1)

    def __init__(self, config: "LocalExecutor.Config") -> None:
        self.config = config
        self._slots: list[_Slot[Task]] = []
        self._pending: deque[_Attempt[Task]] = deque()

    def run(self, job: Job[Task, Result], tasks: Sequence[Task]) -> Iterator[Result]:
        if not self.config.workers:
            worker = job.start() if tasks else None
            yield from (worker.run(task) for task in tasks if worker)
            return
        self._pending = deque(_Attempt(task) for task in tasks)
        try:
            while self._pending or any(slot.attempt for slot in self._slots):
                self._assign(job)
                for slot in self._ready():
                    yield from self._collect(job, slot)
        finally:
            while self._slots:
                self._slots.pop().stop()

    def _assign(self, job: Job[Task, Result]) -> None:
        idle = [slot for slot in self._slots if slot.attempt is None]
        while self._pending and (idle or len(self._slots) < self.config.workers):
            if not idle:
                self._slots.append(_Slot(job))
                idle = [self._slots[-1]]
            idle.pop().give(self._pending.popleft())  # a worker that is gone shows in _ready

    def _ready(self) -> list[_Slot[Task]]:
        busy = {slot.connection: slot for slot in self._slots if slot.attempt} | {slot.process.sentinel: slot for slot in self._slots if slot.attempt}
        found = wait(list(busy))
        return list({id(slot): slot for slot in (busy[item] for item in found)}.values())  # pyright: ignore[reportArgumentType]

    def _collect(self, job: Job[Task, Result], slot: _Slot[Task]) -> Iterator[Result]:
        assert slot.attempt is not None, "only busy workers are waited for"
        try:
            answer = slot.connection.recv() if slot.connection.poll() else None
        except (EOFError, OSError):
            answer = None
        if answer is None:
            self._lost(job, slot, slot.attempt)
            return
        if isinstance(answer, _Failure):
            answer.error.add_note(answer.details)
            raise answer.error
        slot.attempt = None
        slot.num_done += 1
        if slot.num_done >= self.config.tasks_per_worker:
            self._slots.remove(slot)
            slot.stop()
        yield answer

    def _lost(self, job: Job[Task, Result], slot: _Slot[Task], attempt: _Attempt[Task]) -> None:
        """The worker died: its task goes to another, unless it has killed too many."""
        self._slots.remove(slot)
        slot.stop()
        code = slot.process.exitcode or 0
        if attempt.number >= self.config.max_attempts:
            how = f"signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit code {code}"
            raise TaskFailed(
                f"{job.describe(attempt.task)} ended its worker process {attempt.number} times, last with {how}. "
                "Look for the last lines of the log and for an out-of-memory kill (`dmesg`); what is committed stays, and the same command resumes."
            )
        self._pending.appendleft(_Attempt(attempt.task, attempt.number + 1))


def _serve(job: Job[Task, Result], connection: Connection) -> None:
    """A worker's life. Ctrl-C reaches the whole group, so only the parent answers to it; a worker whose parent is gone leaves at once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    worker = None
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        try:
            worker = worker or job.start()
            answer = worker.run(task)
        except Exception as error:
            answer = _Failure(_as_valle_error(job.describe(task), error), traceback.format_exc())
        connection.send(answer)


def _as_valle_error(described: str, error: Exception) -> ValleError:
    return (
        error
        if isinstance(error, ValleError)
        else TaskFailed(f"{described} failed: {type(error).__name__}: {error}. This is a bug; the log has the traceback.")
    )


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "runs in worker processes only"
    wait([parent.sentinel])
    os._exit(1)
