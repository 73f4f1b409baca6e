"""Which task is next: one that failed before a new one, a new one only while there is room for its results."""

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic

from pipelines.executors.base import Failure, Job, Note, Rescue, Task, WorkLimits, given_up

PAUSE_S = 0.2


@dataclass(frozen=True)
class Attempt(Generic[Task]):
    """A task with what came of it so far. One that is `hopeless` is to be rescued; `failures` then are those before, `rescues` how many rescues failed."""

    task: Task
    failures: tuple[Failure, ...] = ()
    hopeless: bool = False
    rescues: int = 0


class Feed(Generic[Task]):
    """Takes tasks from an iterable one by one. A task that fails comes again `max_attempts` times as it is, then to be rescued."""

    def __init__(self, job: Job, tasks: Iterable[Task], limits: WorkLimits, note: Note) -> None:
        self._job, self._limits, self._note = job, limits, note
        self._new = iter(tasks)
        self._again: deque[Attempt[Task]] = deque()
        self._next: Attempt[Task] | None = None
        self._is_exhausted = self._is_paused = False

    def look(self) -> Attempt[Task] | None:
        """The next attempt, which stays here; None while there is none, or no room."""
        if self._again:
            return self._again[0]
        if self._next is None and not self._is_exhausted and self._has_room():
            for task in self._new:
                self._next = Attempt(task)
                return self._next
            self._is_exhausted = True
        return self._next

    def take(self) -> Attempt[Task] | None:
        """The next attempt, if there is one now."""
        attempt = self.look()
        if self._again:
            return self._again.popleft()
        self._next = None
        return attempt

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to take, now or later."""
        return self.look() is None and self._is_exhausted

    def put_back(self, attempt: Attempt[Task]) -> None:
        """For another try that does not count: nothing was wrong with the task."""
        self._again.appendleft(attempt)

    def failed(self, attempt: Attempt[Task], failure: Failure) -> None:
        """It comes again. Raises TaskFailed once that is in vain."""
        if attempt.hopeless:
            if attempt.rescues + 1 >= self._limits.max_attempts:
                raise given_up(self._job.describe(attempt.task), (*attempt.failures, failure))
            self._again.appendleft(Attempt(attempt.task, attempt.failures, hopeless=True, rescues=attempt.rescues + 1))
            return
        failures = (*attempt.failures, failure)
        # What raised an exception or ran out of memory would do so again.
        self._again.appendleft(Attempt(attempt.task, failures, hopeless=bool(failure.details) or len(failures) >= self._limits.max_attempts))

    def rescue(self, attempt: Attempt[Task]) -> Rescue[Task] | None:
        """What to give to a worker beside the task."""
        return Rescue(attempt.task, attempt.failures, self._limits) if attempt.hopeless else None

    def _has_room(self) -> bool:
        free = self._job.free_bytes()
        has_room = free is None or free >= self._limits.min_free_bytes
        if not has_room and not self._is_paused:
            self._note(
                f"{_gigabytes(free or 0)} are free where the results go, less than `min_free_bytes` ({_gigabytes(self._limits.min_free_bytes)}). "
                "What has begun is finished, nothing new is begun. Free space, and it goes on by itself."
            )
        if has_room and self._is_paused:
            self._note("There is room again; going on.")
        self._is_paused = not has_room
        return has_room


def _gigabytes(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"


def wait_a_little() -> None:
    """Between two looks at a feed that has nothing now."""
    time.sleep(PAUSE_S)
