"""The Ray executor on real clusters on this machine: same results as here, whatever dies."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

pytest.importorskip("ray")
import ray

from pipelines.executors import ray_crew
from pipelines.executors.base import TaskFailed
from pipelines.executors.pools import Pool
from pipelines.executors.ray import RayExecutor
from pipelines.executors.ray_cluster import Node, connected
from pipelines.executors.ray_pools import place
from tests.toy_job import Toy
from valle_data.errors import EnvironmentProblem, InputError


def another_elsewhere() -> Callable[[], str]:
    """A probe that tells the driver from all other processes."""
    driver = os.getpid()

    def versions() -> str:
        return f"valle 9 {'here' if os.getpid() == driver else 'elsewhere'}"

    return versions


SQUARES = [number**2 for number in range(8)]


def executor(**fields: object) -> RayExecutor[int, int]:
    return RayExecutor(RayExecutor.Config.model_validate({"workers": 2, **fields}))


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[str]]:
    said: list[str] = []
    with connected(None, [Pool(stages=("all",), num_cpus=1), Pool(stages=("more",))], [2, 2], said.append):
        yield said


@pytest.mark.usefixtures("cluster")
class TestOnOneMachine:
    @pytest.mark.parametrize("count", [0, 1, pytest.param(8, marks=pytest.mark.slow)])
    def test_all_tasks_are_done_once(self, count: int, tmp_path: Path) -> None:
        assert sorted(executor().run(Toy(tmp_path), range(count))) == SQUARES[:count]
        assert len(list(tmp_path.glob("task-*"))) == count
        assert len(list(tmp_path.glob("worker-*"))) <= min(2, count)

    def test_a_killed_worker_and_a_bug(self, tmp_path: Path) -> None:
        job, results = Toy(tmp_path, deadly=(0,), buggy=(3,)), []
        with pytest.raises(TaskFailed, match="Number 3 failed: ZeroDivisionError: a bug"):
            results.extend(executor(workers=1).run(job, range(4)))
        assert len(list(tmp_path.glob("task-0-*"))) == 2

    def test_two_steps_hand_on_what_they_make(self, tmp_path: Path) -> None:
        taken: list[int] = []

        def tasks() -> Iterator[int]:
            for number in range(8):
                taken.append(number)
                yield number

        results = executor().run(Toy(tmp_path, steps=2, ballast=1 << 20, workers=(1, 1)), tasks())
        first = next(results)
        assert len(taken) <= 6 and sorted([first, *results]) == SQUARES
        assert {path.name.split("-")[1] for path in tmp_path.glob("worker-*")} == {"0", "1"}

    @pytest.mark.slow
    def test_what_waits_between_steps_stays_within_its_limit(self, tmp_path: Path) -> None:
        job = Toy(tmp_path, steps=2, ballast=1 << 20, workers=(1, 1), delay_s=0.05)
        assert sorted(executor(max_decoded_bytes=1).run(job, range(4))) == SQUARES[:4]
        begun = sorted(int(path.name.split("-")[2]) for path in tmp_path.glob("begun-*"))
        done = sorted(int(path.name.split("-")[2]) for path in tmp_path.glob("task-*"))
        assert all(start > end for start, end in zip(begun[1:], done, strict=False))

    @pytest.mark.slow
    @pytest.mark.parametrize("steps", [1, 2])
    def test_a_killed_worker_loses_nothing(self, steps: int, tmp_path: Path) -> None:
        job = Toy(tmp_path, deadly=(2, 5), times=2, steps=steps, workers=(1,) * steps)
        assert sorted(executor().run(job, range(8))) == SQUARES
        assert len(list(tmp_path.glob("task-2-*"))) == 3
        assert steps == 1 or len(list(tmp_path.glob("begun-2-*"))) == 3

    @pytest.mark.slow
    def test_a_task_that_keeps_killing_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(TaskFailed, match="Number 1 ended its worker process 2 times, last with the loss of its process on "):
            list(executor(max_attempts=2).run(Toy(tmp_path, deadly=(1,), times=99), range(3)))

    @pytest.mark.slow
    def test_a_worker_that_stands_still_is_replaced(self, tmp_path: Path) -> None:
        assert sorted(executor(stall_limit_s=4.0, workers=1).run(Toy(tmp_path, still=(1,)), range(3))) == SQUARES[:3]
        assert len(list(tmp_path.glob("task-1-*"))) == 2
        for path in tmp_path.glob("worker-*"):  # a stopped process cannot leave by itself
            with pytest.MonkeyPatch.context():
                pid = int(path.name.rpartition("-")[2])
                if psutil.pid_exists(pid):
                    os.kill(pid, signal.SIGKILL)

    @pytest.mark.slow
    def test_errors_and_bugs_come_through(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no room for 1"):
            list(executor().run(Toy(tmp_path, bad=(1,)), range(3)))
        with pytest.raises(TaskFailed, match="Number 1 failed: ZeroDivisionError: a bug") as caught:
            list(executor().run(Toy(tmp_path, buggy=(1,)), range(3)))
        assert any("in run" in note for note in caught.value.__notes__)

    @pytest.mark.slow
    def test_actors_are_replaced_after_some_tasks(self, tmp_path: Path) -> None:
        assert sorted(executor(workers=1, tasks_per_worker=2).run(Toy(tmp_path), range(5))) == SQUARES[:5]
        assert len(list(tmp_path.glob("worker-*"))) == 3

    def test_leaving_early_leaves_no_worker_behind(self, tmp_path: Path) -> None:
        results = executor().run(Toy(tmp_path), range(50))
        next(results)
        results.close()  # pyright: ignore[reportAttributeAccessIssue]
        pids = [int(path.name.rpartition("-")[2]) for path in tmp_path.glob("worker-*")]
        deadline = time.monotonic() + 20
        while any(map(psutil.pid_exists, pids)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert pids and not any(map(psutil.pid_exists, pids))

    def test_a_machine_with_another_version_gets_no_work(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ray_crew, "_probe", another_elsewhere)
        said: list[str] = []
        with pytest.raises(EnvironmentProblem, match=r"No machine of the cluster has room for a worker of the pool of step0 \(0\.5 CPUs, 0 GPUs\)"):
            list(executor(start_limit_s=6.0).run(Toy(tmp_path), range(3), said.append))
        assert any("has valle 9 elsewhere, this one has valle 9 here: it gets no work" in sentence for sentence in said)
        assert not list(tmp_path.glob("worker-*"))

    def test_the_cluster_listens_to_this_machine_only(self, cluster: list[str]) -> None:
        ours = psutil.Process().children(recursive=True)
        addresses = {item.laddr.ip for process in ours for item in process.net_connections("inet") if item.status == psutil.CONN_LISTEN}
        assert addresses and addresses <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
        assert cluster == [] and ray.is_initialized()


def node(name: str, cpus: float, gpus: float = 0) -> Node:
    return Node(name, name, cpus, cpus, gpus, 2**33, 2**30)


CPU, GPU = Pool(stages=("a",)), Pool(stages=("b",), num_cpus=1, num_gpus=0.5)


def test_every_pool_gets_a_worker_before_any_gets_two() -> None:
    placed = place([CPU, GPU], [None, None], Counter(), [node("one", 3), node("two", 2, 1)])
    assert [item.step for item in placed] == [0, 1, 0, 1, 0] and {item.node.id for item in placed if item.step} == {"two"}


def test_numbers_are_kept_and_what_is_there_counts() -> None:
    assert len(place([CPU], [3], Counter({0: 1}), [node("one", 8)])) == 2
    assert place([CPU], [3], Counter({0: 3}), [node("one", 8)]) == []
    assert place([CPU], [None], Counter(), []) == []


def test_a_large_machine_keeps_a_core_unless_told_otherwise() -> None:
    assert len(place([CPU], [None], Counter(), [node("one", 8)])) == 7 and len(place([CPU], [8], Counter(), [node("one", 8)])) == 8
    assert len(place([CPU], [None], Counter(), [node("one", 2)])) == 2
    nothing = Pool(stages=("a",), num_cpus=0)
    assert len(place([nothing], [None], Counter(), [node("one", 2)])) == 2 and len(place([nothing], [5], Counter(), [node("one", 2)])) == 5
