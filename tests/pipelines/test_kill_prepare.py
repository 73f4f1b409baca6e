"""kill -9 at any moment, of any process: the same command ends with the same bytes as a run that nobody disturbed."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.prepare_driver import DELAY_S
from tests.prepare_dummies import config, corpus, result, run
from tests.toy_codec import ToyCodec
from valle_data import files
from valle_data.errors import ExitCode

STEPS = ("open", "write", "fsync", "replace", "link", "unlink", "makedirs")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus(tmp_path_factory.mktemp("kill") / "corpus", speakers=3, each=6)


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> dict[str, bytes]:
    run(config(folder, codec=ToyCodec.Config(delay_s=DELAY_S)), folder.parent / "undisturbed")
    return result(folder.parent / "undisturbed")


class DeadlyOs:
    """`os`, whose call number `die_at` among STEPS is its last: the process is killed before it."""

    def __init__(self, die_at: int) -> None:
        self.die_at, self.calls = die_at, 0

    def __getattr__(self, name: str) -> Any:
        if name in STEPS:
            self.calls += 1
            if self.calls == self.die_at:
                os.kill(os.getpid(), signal.SIGKILL)
        return getattr(os, name)


def run_until(die_at: int, folder: Path, output: Path) -> None:
    files.os = DeadlyOs(die_at)  # pyright: ignore[reportAttributeAccessIssue]
    run(config(folder, codec=ToyCodec.Config(delay_s=0.0)), output)


def sweep(folder: Path, tmp_path: Path, steps: range) -> int:
    """Kill at each of `steps`; returns how many of them the run reached."""
    settings, context = config(folder, codec=ToyCodec.Config(delay_s=0.0)), multiprocessing.get_context("fork")
    run(settings, tmp_path / "undisturbed")
    expected, killed = result(tmp_path / "undisturbed"), 0
    for die_at in steps:
        output = tmp_path / str(die_at)
        process = context.Process(target=run_until, args=(die_at, folder, output))
        process.start()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
        assert run(settings, output)[0] is ExitCode.DONE
        assert result(output) == expected, f"killed at step {die_at}, the result differs"
    return killed


def test_killed_at_steps_of_the_protocol(folder: Path, tmp_path: Path) -> None:
    assert sweep(folder, tmp_path, range(3, 140, 9)) > 12


@pytest.mark.slow
def test_killed_at_every_step_of_the_protocol(folder: Path, tmp_path: Path) -> None:
    assert sweep(folder, tmp_path, range(1, 300)) > 100


def start(folder: Path, output: Path, workers: int) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.prepare_driver", str(folder), str(output), str(workers)]
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[2])


def wait_for_work(output: Path, process: subprocess.Popen) -> None:
    """Until one more part is committed, so that what follows hits a run at work."""
    before = len(list(output.glob("shards/*.json")))
    while process.poll() is None and len(list(output.glob("shards/*.json"))) == before:
        time.sleep(0.005)


def kill_group(folder: Path, output: Path, generator: random.Random, kills: int) -> int:
    """Kill the whole process group up to `kills` times at random moments of work, then let it finish; returns how many hit."""
    hits = 0
    while hits < kills:
        process = start(folder, output, 2)
        wait_for_work(output, process)
        time.sleep(generator.uniform(0, 0.2))
        if process.poll() is not None:
            break
        os.killpg(process.pid, signal.SIGKILL)
        hits += process.wait() == -signal.SIGKILL
    assert start(folder, output, 2).wait() == ExitCode.DONE
    return hits


def workers_of(process: subprocess.Popen) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(process.pid).children():
        try:
            command = child.cmdline()
        except psutil.NoSuchProcess:  # it ended since it was listed
            continue
        if "spawn_main" in " ".join(command):
            found.append(child)
    return found


def kill_workers(folder: Path, output: Path, generator: random.Random, kills: int) -> int:
    """Kill up to `kills` workers of one run at random moments; returns how many."""
    process, hits = start(folder, output, 2), 0
    wait_for_work(output, process)
    while hits < kills and process.poll() is None:
        workers = workers_of(process)
        if workers:
            generator.choice(workers).kill()
            hits += 1
        time.sleep(generator.uniform(0, 0.3))
    assert process.wait() == ExitCode.DONE
    return hits


@pytest.mark.parametrize("kill", [kill_group, kill_workers])
@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_moments(kill: Callable[..., int], kills: int, folder: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    generator, hits = random.Random(kills), 0
    for attempt in range(kills):
        hits += kill(folder, tmp_path / str(attempt), generator, kills - hits)
        assert result(tmp_path / str(attempt)) == undisturbed
        if hits >= kills:
            return
    pytest.fail(f"only {hits} of {kills} kills hit a run at work")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, ExitCode.PREEMPTED), (signal.SIGINT, ExitCode.INTERRUPTED)])
def test_a_polite_signal_stops_in_order_and_the_same_command_resumes(
    number: signal.Signals, code: ExitCode, folder: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    process = start(folder, tmp_path / "set", 1)
    wait_for_work(tmp_path / "set", process)
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, number)
    assert process.wait() == code
    psutil.wait_procs(children, timeout=20)
    assert not any(child.is_running() for child in children)
    assert not (tmp_path / "set" / "valle.lock").exists()
    assert start(folder, tmp_path / "set", 1).wait() == ExitCode.DONE
    assert result(tmp_path / "set") == undisturbed


def test_workers_leave_when_the_driver_is_killed_alone(folder: Path, tmp_path: Path) -> None:
    process = start(folder, tmp_path / "set", 2)
    wait_for_work(tmp_path / "set", process)
    children = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert children and not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]
