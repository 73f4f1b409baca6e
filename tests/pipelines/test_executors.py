"""The local executor: every task done, whatever becomes of the workers."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipelines.executors import EXECUTORS
from pipelines.executors.base import Executor, Job, TaskFailed, Worker
from pipelines.executors.local import LocalExecutor
from valle_data.config import EntryConfig
from valle_data.errors import InputError, ReasonCode


@dataclass(frozen=True)
class Toy(Job[int, int]):
    """Squares numbers; `deadly` ones kill the worker so many times first, `bad` ones raise."""

    folder: Path
    deadly: tuple[int, ...] = ()
    times: int = 1
    bad: tuple[int, ...] = ()
    buggy: tuple[int, ...] = ()

    def start(self) -> "ToyWorker":
        (self.folder / f"worker-{os.getpid()}").touch()
        return ToyWorker(self)

    def describe(self, task: int) -> str:
        return f"Number {task}"


class ToyWorker(Worker[int, int]):
    def __init__(self, job: Toy) -> None:
        self.job = job

    def run(self, task: int) -> int:
        attempt = self.job.folder / f"task-{task}-{time.monotonic_ns()}"
        attempt.touch()
        attempts = len(list(self.job.folder.glob(f"task-{task}-*")))
        if task in self.job.deadly and attempts <= self.job.times:
            os.kill(os.getpid(), signal.SIGKILL)
        if task in self.job.bad:
            raise InputError(ReasonCode.STORAGE_FAILED, f"no room for {task}")
        if task in self.job.buggy:
            raise ZeroDivisionError("a bug")
        return task * task


def executor(**fields: int) -> LocalExecutor[int, int]:
    return LocalExecutor(LocalExecutor.Config(**fields))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("name", EXECUTORS)
def test_every_executor_keeps_the_contract(name: str, tmp_path: Path) -> None:
    kind: Any = EXECUTORS[name]
    assert issubclass(kind, Executor) and issubclass(kind.Config, EntryConfig)
    assert sorted(kind(kind.Config()).run(Toy(tmp_path), [1, 2, 3])) == [1, 4, 9]


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_all_tasks_are_done_once(workers: int, count: int, tmp_path: Path) -> None:
    assert sorted(executor(workers=workers).run(Toy(tmp_path), range(count))) == [number**2 for number in range(count)]
    assert len(list(tmp_path.glob("task-*"))) == count
    assert len(list(tmp_path.glob("worker-*"))) <= max(1, min(workers, count))


def test_a_killed_worker_loses_nothing(tmp_path: Path) -> None:
    job = Toy(tmp_path, deadly=(2, 5), times=2)
    assert sorted(executor(workers=2, max_attempts=3).run(job, range(8))) == [number**2 for number in range(8)]
    assert len(list(tmp_path.glob("task-2-*"))) == 3


def test_a_task_that_keeps_killing_is_named(tmp_path: Path) -> None:
    job = Toy(tmp_path, deadly=(1,), times=99)
    with pytest.raises(TaskFailed, match=r"Number 1 ended its worker process 2 times, last with signal 9 \(SIGKILL\)"):
        list(executor(workers=1, max_attempts=2).run(job, range(3)))
    assert len(list(tmp_path.glob("task-1-*"))) == 2


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_of_a_task_comes_through_as_it_was(workers: int, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no room for 1") as caught:
        list(executor(workers=workers).run(Toy(tmp_path, bad=(1,)), range(3)))
    assert caught.value.reason is ReasonCode.STORAGE_FAILED


def test_a_bug_is_named_with_its_traceback_in_the_notes(tmp_path: Path) -> None:
    with pytest.raises(TaskFailed, match="Number 1 failed: ZeroDivisionError: a bug") as caught:
        list(executor(workers=1).run(Toy(tmp_path, buggy=(1,)), range(3)))
    assert "ZeroDivisionError" in caught.value.__notes__[0] and "in run" in caught.value.__notes__[0]


def test_workers_are_replaced_after_some_tasks(tmp_path: Path) -> None:
    assert len(list(executor(workers=1, tasks_per_worker=2).run(Toy(tmp_path), range(5)))) == 5
    assert len(list(tmp_path.glob("worker-*"))) == 3


def test_leaving_early_leaves_no_worker_behind(tmp_path: Path) -> None:
    results = executor(workers=2).run(Toy(tmp_path), range(50))
    next(results)
    results.close()  # pyright: ignore[reportAttributeAccessIssue]
    for path in tmp_path.glob("worker-*"):
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.name.removeprefix("worker-")), 0)
