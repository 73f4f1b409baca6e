"""What an executor owes, and what a job brings along."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import Field, PositiveInt

from pipelines.executors.pools import Pool
from valle_data.config import EntryConfig
from valle_data.errors import ReasonCode, ValleError

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Sign:
    """A sign of life: the stage that a worker is in, and the names of what it is about to deal with, where it knows."""

    stage: str
    items: tuple[str, ...] = ()


Beat = Callable[[Sign], None]


def silent(_sign: Sign) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class Failure:
    """How a task ended its worker, and the worker's last sign of life. `how` completes `it ended its worker with ...`."""

    reason: ReasonCode
    how: str
    sign: Sign | None = None
    details: str = ""


class TaskFailed(ValleError):
    """A task raised, or killed its worker, more often than allowed."""


class WorkLimits(EntryConfig):
    """What every executor bounds.

    `tasks_per_worker`: a process is replaced after so many, because espeak and others leak. `stall_limit_s`: a worker that gives no sign of life for so
    long is killed. `isolation_memory_bytes`: what a task that killed its workers may take, beside the models, when it is tried in a process of its own.
    No task is begun while less than `min_free_bytes` are free where the results go.
    """

    max_attempts: int = Field(default=3, ge=1, le=100)
    tasks_per_worker: int = Field(default=200, ge=1)
    stall_limit_s: float = Field(default=1800.0, gt=0)
    isolation_memory_bytes: PositiveInt = 4 << 30
    min_free_bytes: int = Field(default=512 << 20, ge=0)


@dataclass(frozen=True)
class Rescue(Generic[Task]):
    """A task that was given up as it stands: `failures` are what came of it."""

    task: Task
    failures: tuple[Failure, ...]
    limits: WorkLimits


class Worker(ABC, Generic[Task, Result]):
    """Does tasks, one at a time, in one process."""

    @abstractmethod
    def run(self, task: Task) -> Result:
        """Do a task, or one step of it. Doing it twice, or half and then again, must have the effect of doing it once."""


class Job(ABC, Generic[Task, Result]):
    """What travels to a worker process (pickled): how to become a worker, and how to call a task in messages.

    A job has one step for each of its pools. On a cluster what one step makes goes to a worker of the next pool, and the last makes the result.
    """

    @abstractmethod
    def start(self, beat: Beat = silent, step: int | None = None) -> Worker[Any, Any]:
        """Load what is held for the life of the process: for one step, or for all. `beat` is to be called whenever work goes on."""

    @abstractmethod
    def describe(self, task: Task) -> str:
        """`Part 3 (40 utterances ...)`: the subject of a sentence."""

    def pools(self) -> Sequence[Pool]:
        """The steps."""
        return (Pool(stages=("all",)),)

    def rescue(self, rescue: Rescue[Task], beat: Beat) -> Result:
        """Do what can be done of a task that ends its workers. Raises TaskFailed."""
        raise given_up(self.describe(rescue.task), rescue.failures)

    def free_bytes(self) -> int | None:
        """Room where the results go; None: no limit is known."""
        return None

    def weight_bytes(self, task: Task) -> int:
        """About how much memory the task takes on its way from step to step."""
        return 0


def given_up(subject: str, failures: Sequence[Failure]) -> TaskFailed:
    """The sentence for a task that nothing more can be done for."""
    last, times = failures[-1], len(failures)
    if last.details:
        error = TaskFailed(f"{subject} failed: {last.how}. This is a bug; the log has the traceback.")
        error.add_note(last.details)
        return error
    return TaskFailed(
        f"{subject} ended its worker process {times} times, last with {last.how}. "
        "Look for the last lines of the log and for an out-of-memory kill (`dmesg`); what is committed stays, and the same command resumes."
    )


Note = Callable[[str], None]


def unsaid(_message: str) -> None:
    """Nobody reads."""


class Executor(ABC, Generic[Task, Result]):
    """Runs every task to its end at least once. A class names its configuration (a `WorkLimits`) as `Config` and is made from one."""

    Config: ClassVar[Any]

    @abstractmethod
    def run(self, job: Job[Task, Result], tasks: Iterable[Task], note: Note = unsaid) -> Iterator[Result]:
        """Results in the order in which they come; tasks are taken only as they can be worked on, and `note` is told what a user should know.

        Raises what a worker raised (ValleError) or TaskFailed; then no worker is left running.
        """
