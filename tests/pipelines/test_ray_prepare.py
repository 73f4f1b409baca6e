"""`valle prepare` on a real cluster of two machines' worth of daemons: the same bytes as here, whatever is killed."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("ray")
from ray.cluster_utils import Cluster

from benchmarks.ray_nodes import ray_cluster
from pipelines import prepare
from pipelines.console import Console
from pipelines.executors import EXECUTORS
from tests.prepare_driver import DELAY_S
from tests.prepare_dummies import config, corpus, result, run
from tests.toy_codec import ToyCodec
from tests.troublesome import LENGTHS
from valle_data.errors import ExitCode

ROOT = Path(__file__).parents[2]
PATIENCE_S = 240


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two nodes of one core each; tests may add more."""
    made = ray_cluster(2)
    yield made
    made.shutdown()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus(tmp_path_factory.mktemp("ray") / "corpus", speakers=3, each=6)


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> dict[str, bytes]:
    run(config(folder, codec=ToyCodec.Config(delay_s=DELAY_S)), folder.parent / "undisturbed")
    return made(folder.parent / "undisturbed")


def made(output: Path) -> dict[str, bytes]:
    """What counts of a data set, but for the copy of the configuration, which tells the pools."""
    return {name: data for name, data in result(output).items() if name != "prepare.yaml"}


def start(cluster: Cluster, folder: Path, output: Path, workers: int = 2) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.prepare_driver", str(folder), str(output), str(workers), cluster.address]
    with open(output.with_suffix(".out"), "ab") as said:
        return subprocess.Popen(command, start_new_session=True, stdout=said, stderr=said, cwd=ROOT)


def wait_for_work(output: Path, process: subprocess.Popen) -> None:
    """Until one more part is committed."""
    before, deadline = len(list(output.glob("shards/*.json"))), time.monotonic() + PATIENCE_S
    while process.poll() is None and len(list(output.glob("shards/*.json"))) == before and time.monotonic() < deadline:
        time.sleep(0.01)


def said(output: Path) -> str:
    return output.with_suffix(".out").read_text()


def actors() -> list[psutil.Process]:
    """Worker processes of ours that are at work, by the title that ray gives them."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        title = " ".join(process.info["cmdline"] or [])
        if title.startswith("ray::Station"):
            found.append(process)
    return found


def kill_actor(cluster: Cluster, _process: subprocess.Popen) -> None:
    random.Random(0).choice(actors()).kill()


def kill_node(cluster: Cluster, _process: subprocess.Popen) -> None:
    """The daemon of the second node, without a word; its workers follow. Another node comes."""
    raylet = cluster.list_all_nodes()[-1].all_processes["raylet"][0].process
    os.kill(raylet.pid, signal.SIGKILL)
    cluster.add_node(num_cpus=1)


def kill_driver(_cluster: Cluster, process: subprocess.Popen) -> None:
    os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("kill", [kill_actor, pytest.param(kill_node, marks=pytest.mark.slow), pytest.param(kill_driver, marks=pytest.mark.slow)])
def test_killed_in_the_middle_the_bytes_are_those_of_a_quiet_run(
    kill: Callable[[Cluster, subprocess.Popen], None], cluster: Cluster, folder: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    output = tmp_path / "set"
    process = start(cluster, folder, output)
    wait_for_work(output, process)
    assert process.poll() is None, said(output)
    kill(cluster, process)
    code = process.wait(PATIENCE_S)
    if code == -signal.SIGKILL:
        code = start(cluster, folder, output).wait(PATIENCE_S)
    assert code == ExitCode.DONE, said(output)
    assert made(output) == undisturbed
    assert not any(line and not line.startswith("{") for line in said(output).splitlines()), said(output)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_workers_changes_no_byte(workers: int, cluster: Cluster, folder: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    assert start(cluster, folder, tmp_path / "set", workers).wait(PATIENCE_S) == ExitCode.DONE, said(tmp_path / "set")
    assert made(tmp_path / "set") == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["phonemize", "quantize"])
def test_poison_is_left_out_as_here(stage: str, cluster: Cluster, tmp_path: Path) -> None:
    from tests.pipelines.test_isolation import poisoned, rejected
    from tests.troublesome import TroublesomeCodec

    folder = poisoned(tmp_path / "corpus", stage, "segv")
    assert "segv" in LENGTHS.values()
    settings = config(folder, codec=TroublesomeCodec.Config(), phonemizer="troublesome", part_duration_s=60, max_quarantine_fraction=0.5)
    outputs = {"local": tmp_path / "local", "ray": tmp_path / "ray"}
    for name, output in outputs.items():
        values: dict[str, Any] = {"workers": 1, "max_attempts": 2} | ({"address": cluster.address} if name == "ray" else {})
        executor = EXECUTORS[name].Config(**values)
        assert prepare.run(settings, output, executor=executor, console=Console(as_json=True)) is ExitCode.DONE
    assert [row["stage"] for row in rejected(outputs["ray"])] == [stage]
    assert made(outputs["ray"]) == made(outputs["local"])
