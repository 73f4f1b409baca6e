"""What an executor owes."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from valle_data.errors import ValleError

Task = TypeVar("Task")
Result = TypeVar("Result")


class Worker(ABC, Generic[Task, Result]):
    """Does tasks, one at a time, in one process."""

    @abstractmethod
    def run(self, task: Task) -> Result:
        """Do a task. Doing it twice, or half and then again, must have the effect of doing it once."""


class Job(ABC, Generic[Task, Result]):
    """What travels to a worker process (pickled): how to become a worker, and how to call a task in messages."""

    @abstractmethod
    def start(self) -> Worker[Task, Result]:
        """Load what is held for the life of the process."""

    @abstractmethod
    def describe(self, task: Task) -> str:
        """`Part 3 (40 utterances ...)`: the subject of a sentence."""


class TaskFailed(ValleError):
    """A task raised, or killed its worker, more often than allowed."""


class Executor(ABC, Generic[Task, Result]):
    """Runs every task to its end at least once. A class names its configuration as `Config` and is made from one."""

    Config: ClassVar[Any]

    @abstractmethod
    def run(self, job: Job[Task, Result], tasks: Sequence[Task]) -> Iterator[Result]:
        """Results in the order in which they come. Raises what a worker raised (ValleError) or TaskFailed; then no worker is left running."""
