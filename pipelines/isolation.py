"""What ends its worker is tried again in a process of its own, by halves, until what is at fault stands alone and the rest is done.

The process has a limit on the memory it may write to and on the time without a sign of life. How the halves fall never changes a result: what becomes of
an item does not depend on the others.
"""

import resource
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Generic, TypeVar

from pipelines.executors.base import Beat, Failure, Sign, TaskFailed, WorkLimits
from pipelines.executors.local import stall
from pipelines.executors.workplace import Raised, failure_of
from valle_data.child_process import ChildProcess, limit_memory, started
from valle_data.errors import ReasonCode, ValleError

Item = TypeVar("Item")
Made = TypeVar("Made")
LOOK_S = 1.0
MAX_POISON = 8
TRIES_ALONE = 2
"""One more, as something else may have killed the process."""


class Trials(ABC, Generic[Item, Made]):
    """What the process is told to do (pickled)."""

    @abstractmethod
    def start(self, beat: Beat) -> Callable[[Sequence[Item]], Made]:
        """Load what is needed; the result does the work on some of the items."""

    @abstractmethod
    def name(self, item: Item) -> str:
        """As it stands in signs of life."""


@dataclass(frozen=True)
class Poison(Generic[Item]):
    """An item that ends its process although it is alone there, and how often it was in one that ended."""

    item: Item
    failure: Failure
    num_failures: int


@dataclass(frozen=True)
class Isolated(Generic[Item, Made]):
    """What was made of the items that can be worked on, piece by piece, and the others."""

    made: list[Made]
    poison: list[Poison[Item]]


def isolate(trials: Trials[Item, Made], items: Sequence[Item], limits: WorkLimits, beat: Beat) -> Isolated[Item, Made]:
    """Work on all items that can be worked on.

    Raises what the work raises (ValleError), EnvironmentProblem when its process does not start, and TaskFailed when most items end it: then the fault
    is not theirs.
    """
    groups: deque[list[Item]] = deque([list(items)])
    made: list[Made] = []
    poison: list[Poison[Item]] = []
    fatal: Counter[str] = Counter()
    with _Bench(trials, limits, beat) as bench:
        while groups:
            group = groups.popleft()
            answer = bench.work_on(group)
            if not isinstance(answer, Failure):
                made.append(answer)
                continue
            fatal.update(trials.name(item) for item in group)
            if len(group) > 1:
                groups.extendleft(reversed(_divide(group, answer.sign, trials)))
            elif bench.num_alone(group[0]) < TRIES_ALONE:
                groups.appendleft(group)
            else:
                poison.append(Poison(group[0], answer, fatal[trials.name(group[0])]))
                _check(poison, items)
    return Isolated(made, poison)


def _divide(group: list[Item], sign: Sign | None, trials: Trials[Item, Made]) -> list[list[Item]]:
    """Those the process was at when it ended, and the others; halves where it did not say."""
    suspects = [item for item in group if sign is not None and trials.name(item) in sign.items]
    if 0 < len(suspects) < len(group):
        return [suspects, [item for item in group if trials.name(item) not in (sign.items if sign else ())]]
    return [group[: len(group) // 2], group[len(group) // 2 :]]


def _check(poison: Sequence[Poison[Item]], items: Sequence[Item]) -> None:
    if len(poison) > max(MAX_POISON, len(items) // 2):
        last = poison[-1].failure
        error = TaskFailed(
            f"{len(poison)} of {len(items)} utterances of a part end their worker, the last with {last.how}: more than half, so the fault is not theirs. "
            "Look at the log, at the memory of the machine and at the stage's packages; what is committed stays, and the same command resumes."
        )
        error.add_note(last.details)
        raise error


class _Bench(Generic[Item, Made]):
    """The process and what is known of it."""

    def __init__(self, trials: Trials[Item, Made], limits: WorkLimits, beat: Beat) -> None:
        self._trials, self._limits, self._beat = trials, limits, beat
        self._child: ChildProcess | None = None
        self._alone: Counter[str] = Counter()

    def __enter__(self) -> "_Bench[Item, Made]":
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._child is not None:
            self._child.stop()

    def num_alone(self, item: Item) -> int:
        """How often it was tried alone."""
        return self._alone[self._trials.name(item)]

    def work_on(self, group: list[Item]) -> Made | Failure:
        """What was made of the group, or how it ended the process."""
        if len(group) == 1:
            self._alone[self._trials.name(group[0])] += 1
        self._child = started(self._start, self._child, lambda: self._beat(Sign("isolation")))
        answer = self._ask(self._child, group)
        if isinstance(answer, Raised):
            raise answer.again()
        return answer

    def _start(self) -> ChildProcess:
        child = ChildProcess("pipelines.isolation:serve")
        with suppress(OSError):  # one that is gone already is found when it is asked whether it is ready
            child.connection.send((self._trials, self._limits))
        return child

    def _ask(self, child: ChildProcess, group: list[Item]) -> Made | Failure | Raised:
        sign, silent_s = None, 0.0
        try:
            child.connection.send(group)
            while silent_s < self._limits.stall_limit_s:
                if not child.connection.poll(min(LOOK_S, self._limits.stall_limit_s)):
                    silent_s += LOOK_S
                    self._beat(sign or Sign("isolation"))
                    continue
                said = child.connection.recv()
                if not isinstance(said, Sign):
                    return said
                sign, silent_s = said, 0.0
                self._beat(said)
        except (EOFError, OSError):
            self._child = None
            child.stop()
            return Failure(ReasonCode.WORKER_CRASHED, child.ending(), sign)
        self._child = None
        child.stop()
        return stall(self._limits.stall_limit_s, sign)


def serve(connection: Connection) -> None:
    """The process: one group of items after the other."""
    trials, limits = connection.recv()
    signs: list[Sign] = []

    def beat(sign: Sign) -> None:
        signs[:] = [sign]
        connection.send(sign)

    work = trials.start(beat)
    limit_memory(limits.isolation_memory_bytes, resource.RLIMIT_DATA)
    connection.send(True)
    while True:
        group = connection.recv()
        try:
            answer = work(group)
        except ValleError as error:
            answer = Raised(error, "")
        except Exception as error:
            answer = failure_of(error, signs[-1] if signs else None)
        connection.send(answer)
