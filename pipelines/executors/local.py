"""Worker processes on this machine, supervised: one that dies or stands still loses nothing but time."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Generic, Literal

from pydantic import Field

from pipelines.executors.base import Executor, Failure, Job, Note, Result, Sign, Task, WorkLimits, silent, unsaid
from pipelines.executors.feed import Attempt, Feed, wait_a_little
from pipelines.executors.workplace import Answer, Done, Raised, Workplace
from valle_data.errors import ReasonCode

GRACE_S = 5.0
START_LIMIT_S = 600.0
"""How long a worker may take to load what it holds, if that is more than the limit for everything else."""
LOOK_S = 1.0
"""How often workers are looked at that say nothing."""
SIGN_S = 0.5
"""How often a worker sends a sign of life at most, unless it is in another stage."""


class _Slot(Generic[Task]):
    """One worker process and what it is doing."""

    def __init__(self, job: Job) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=_serve, args=(job, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.attempt: Attempt[Task] | None = None
        self.sign: Sign | None = None
        self.heard_at = time.monotonic()
        self.num_done = 0

    def give(self, attempt: Attempt[Task], feed: Feed[Task]) -> None:
        """Hand over a task; a worker that is gone already shows when it is looked at."""
        self.attempt, self.sign, self.heard_at = attempt, None, time.monotonic()
        try:
            self.connection.send((attempt.task, feed.rescue(attempt)))
        except OSError:
            return

    def hear(self) -> Answer | None:
        """The worker's answer, if it has come; signs of life before it are noted. Raises EOFError when the worker is gone."""
        while self.connection.poll():
            said = self.connection.recv()
            self.heard_at = time.monotonic()
            if not isinstance(said, Sign):
                return said
            self.sign = said
        if not self.process.is_alive() and not self.connection.poll():
            raise EOFError
        return None

    def is_stalled(self, limit_s: float) -> bool:
        """Whether it has been silent for too long."""
        return time.monotonic() - self.heard_at > (limit_s if self.sign else max(limit_s, START_LIMIT_S))

    def stop(self) -> None:
        """End the process: kindly, then not."""
        self.connection.close()
        self.process.terminate()
        self.process.join(GRACE_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


class LocalExecutor(Executor[Task, Result]):
    """See the module. With `workers` 0 the tasks run in this process, one after the other. All steps of a task run in one process."""

    class Config(WorkLimits):
        """`workers`: processes; 0: none but this one."""

        name: Literal["local"] = "local"
        workers: int = Field(default=1, ge=0, le=1024)

    def __init__(self, config: "LocalExecutor.Config") -> None:
        self.config = config
        self._slots: list[_Slot[Task]] = []

    def run(self, job: Job[Task, Result], tasks: Iterable[Task], note: Note = unsaid) -> Iterator[Result]:
        feed: Feed[Task] = Feed(job, tasks, self.config, note)
        if not self.config.workers:
            yield from _run_here(job, feed)
            return
        try:
            while not feed.is_done or any(slot.attempt for slot in self._slots):
                self._assign(job, feed)
                for slot in self._ready():
                    yield from self._collect(feed, slot)
        finally:
            while self._slots:
                self._slots.pop().stop()

    def _assign(self, job: Job[Task, Result], feed: Feed[Task]) -> None:
        idle = [slot for slot in self._slots if slot.attempt is None]
        while (idle or len(self._slots) < self.config.workers) and (attempt := feed.take()) is not None:
            if not idle:
                idle.append(_Slot(job))
                self._slots.append(idle[-1])
            idle.pop().give(attempt, feed)

    def _ready(self) -> list[_Slot[Task]]:
        """Busy workers that have something to say, or are gone, or have been silent for a while."""
        slots = [slot for slot in self._slots if slot.attempt]
        if not slots:
            wait_a_little()
            return []
        found = set(wait([item for slot in slots for item in (slot.connection, slot.process.sentinel)], LOOK_S))
        return [slot for slot in slots if slot.connection in found or slot.process.sentinel in found or slot.is_stalled(self.config.stall_limit_s)]

    def _collect(self, feed: Feed[Task], slot: _Slot[Task]) -> Iterator[Result]:
        assert slot.attempt is not None, "only busy workers are waited for"
        try:
            answer = slot.hear()
        except (EOFError, OSError):
            self._lost(feed, slot)
            return
        if isinstance(answer, Raised):
            raise answer.again()
        if isinstance(answer, Done):
            slot.attempt = None
            slot.num_done += 1
            if slot.num_done >= self.config.tasks_per_worker:
                self._slots.remove(slot)
                slot.stop()
            yield answer.result
        elif isinstance(answer, Failure):
            feed.failed(slot.attempt, answer)
            slot.attempt = None
        elif slot.is_stalled(self.config.stall_limit_s):
            slot.process.kill()
            self._lost(feed, slot, stalled=True)

    def _lost(self, feed: Feed[Task], slot: _Slot[Task], *, stalled: bool = False) -> None:
        """The worker is gone: its task goes to another."""
        self._slots.remove(slot)
        slot.stop()
        assert slot.attempt is not None, "only busy workers are waited for"
        feed.failed(slot.attempt, stall(self.config.stall_limit_s, slot.sign) if stalled else _death(slot))


def stall(limit_s: float, sign: Sign | None) -> Failure:
    """What a worker is killed for that gives no sign of life."""
    return Failure(ReasonCode.WORKER_TIMEOUT, f"no sign of life for `stall_limit_s` = {limit_s:g} s", sign)


def _death(slot: _Slot) -> Failure:
    code = slot.process.exitcode or 0
    how = f"signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit code {code}"
    return Failure(ReasonCode.WORKER_CRASHED, how, slot.sign)


def _run_here(job: Job[Task, Result], feed: Feed[Task]) -> Iterator[Result]:
    place = Workplace(job, silent)
    while not feed.is_done:
        attempt = feed.take()
        if attempt is None:
            wait_a_little()
            continue
        answer = place.do(attempt.task, feed.rescue(attempt))
        if isinstance(answer, Raised):
            raise answer.again()
        if isinstance(answer, Failure):
            feed.failed(attempt, answer)
        else:
            yield answer.result


def _serve(job: Job[Task, Result], connection: Connection) -> None:
    """A worker's life. Ctrl-C reaches the whole group, so only the parent answers to it; a worker whose parent is gone leaves at once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    place = Workplace(job, _Signs(connection))
    while True:
        try:
            task, rescue = connection.recv()
        except EOFError:
            return
        connection.send(place.do(task, rescue))


class _Signs:
    """Signs of life to the parent, not more often than it needs them."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._stage, self._sent_at = connection, "", 0.0

    def __call__(self, sign: Sign) -> None:
        now = time.monotonic()
        if sign.stage != self._stage or now - self._sent_at > SIGN_S:
            self._connection.send(sign)
            self._stage, self._sent_at = sign.stage, now


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "runs in worker processes only"
    wait([parent.sentinel])
    os._exit(1)
