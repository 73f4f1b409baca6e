"""The local executor, and what the others share with it: every task done, whatever becomes of the workers."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.executors import EXECUTORS
from pipelines.executors.base import Executor, Failure, TaskFailed, WorkLimits
from pipelines.executors.feed import Feed
from pipelines.executors.local import LocalExecutor
from pipelines.executors.pools import Pool, divided
from tests.toy_job import Toy
from valle_data.errors import InputError, ReasonCode


def executor(**fields: int | float) -> LocalExecutor[int, int]:
    return LocalExecutor(LocalExecutor.Config(**fields))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("name", EXECUTORS)
def test_every_executor_says_what_it_bounds(name: str) -> None:
    kind: Any = EXECUTORS[name]
    assert issubclass(kind, Executor) and issubclass(kind.Config, WorkLimits)
    assert kind.Config().name == name and isinstance(kind(kind.Config()), kind)


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_all_tasks_are_done_once(workers: int, count: int, tmp_path: Path) -> None:
    assert sorted(executor(workers=workers).run(Toy(tmp_path), range(count))) == [number**2 for number in range(count)]
    assert len(list(tmp_path.glob("task-*"))) == count
    assert len(list(tmp_path.glob("worker-*"))) <= max(1, min(workers, count))


def test_tasks_are_taken_only_as_they_can_be_worked_on(tmp_path: Path) -> None:
    taken: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(50):
            taken.append(number)
            yield number

    results = executor(workers=2).run(Toy(tmp_path), tasks())
    for done in range(1, 51):
        next(results)
        assert done <= len(taken) <= done + 3
    assert list(results) == []


def test_a_killed_worker_loses_nothing(tmp_path: Path) -> None:
    job = Toy(tmp_path, deadly=(2, 5), times=2)
    assert sorted(executor(workers=2, max_attempts=3).run(job, range(8))) == [number**2 for number in range(8)]
    assert len(list(tmp_path.glob("task-2-*"))) == 3


def test_a_worker_that_stands_still_is_killed_and_its_task_done_by_another(tmp_path: Path) -> None:
    job = Toy(tmp_path, still=(1,))
    assert sorted(executor(workers=1, stall_limit_s=1.5).run(job, range(3))) == [0, 1, 4]
    assert len(list(tmp_path.glob("task-1-*"))) == 2


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


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bug_is_named_with_its_traceback_in_the_notes(workers: int, tmp_path: Path) -> None:
    with pytest.raises(TaskFailed, match="Number 1 failed: ZeroDivisionError: a bug") as caught:
        list(executor(workers=workers).run(Toy(tmp_path, buggy=(1,)), range(3)))
    assert any("ZeroDivisionError" in note and "in run" in note for note in caught.value.__notes__)


def test_workers_are_replaced_after_some_tasks(tmp_path: Path) -> None:
    assert len(list(executor(workers=1, tasks_per_worker=2).run(Toy(tmp_path), range(5)))) == 5
    assert len(list(tmp_path.glob("worker-*"))) == 3


def test_leaving_early_leaves_no_worker_behind(tmp_path: Path) -> None:
    results = executor(workers=2).run(Toy(tmp_path), range(50))
    next(results)
    results.close()  # pyright: ignore[reportAttributeAccessIssue]
    for path in tmp_path.glob("worker-*"):
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.name.rpartition("-")[2]), 0)


@pytest.mark.parametrize("workers", [0, 1])
def test_nothing_is_begun_while_the_disk_is_short_and_it_goes_on_with_room(workers: int, tmp_path: Path) -> None:
    (tmp_path / "free").write_text("1000")
    said: list[str] = []

    def note(message: str) -> None:
        said.append(message)
        (tmp_path / "free").write_text(str(10**12))

    results = executor(workers=workers, min_free_bytes=10**6).run(Toy(tmp_path), range(3), note)
    assert sorted(results) == [0, 1, 4]
    assert len(said) == 2 and "less than `min_free_bytes`" in said[0] and said[1] == "There is room again; going on."


CRASH = Failure(ReasonCode.WORKER_CRASHED, "signal 9 (SIGKILL)")
BUG = Failure(ReasonCode.WORKER_CRASHED, "ZeroDivisionError: x", details="Traceback ...")


def test_failed_tasks_come_first_and_are_to_be_rescued_in_the_end(tmp_path: Path) -> None:
    feed: Feed[int] = Feed(Toy(tmp_path), range(2), WorkLimits(name="x", max_attempts=2), print)
    first = feed.take()
    assert first is not None and not first.hopeless and feed.rescue(first) is None
    feed.failed(first, CRASH)
    again = feed.take()
    assert again is not None and again.task == 0 and not again.hopeless
    feed.failed(again, CRASH)
    hopeless = feed.take()
    assert hopeless is not None and hopeless.hopeless
    rescue = feed.rescue(hopeless)
    assert rescue is not None and rescue.failures == (CRASH, CRASH)
    feed.failed(hopeless, CRASH)
    last = feed.take()
    assert last is not None
    with pytest.raises(TaskFailed, match="3 times"):
        feed.failed(last, CRASH)


def test_what_raised_is_rescued_at_once(tmp_path: Path) -> None:
    feed: Feed[int] = Feed(Toy(tmp_path), range(1), WorkLimits(name="x"), print)
    first = feed.take()
    assert first is not None
    feed.failed(first, BUG)
    again = feed.take()
    assert again is not None and again.hopeless


def test_pools_name_every_stage_once_and_in_order() -> None:
    assert divided([], ["a", "b"]) == (Pool(stages=("a", "b")),)
    pools = [Pool(stages=("a",)), Pool(stages=("b", "c"))]
    assert divided(pools, ["a", "b", "c"]) == tuple(pools)
    with pytest.raises(ValueError, match="these name a, b, c"):
        divided(pools, ["a", "c", "b"])
