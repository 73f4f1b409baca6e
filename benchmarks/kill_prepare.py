"""Kill `valle prepare` again and again and compare what it leaves with a run that nobody disturbed.

    python benchmarks/kill_prepare.py --kind step --kills 100
    python benchmarks/kill_prepare.py --executor ray --nodes 2 --kind raylet --kills 10
    python benchmarks/kill_prepare.py --report

Kinds: `step`, kill -9 before one system call of the commit protocol after the other; `driver`, of the command with all its processes, which is then started
again; `worker`, of one worker, which the running command must survive; `raylet`, on a cluster, of a machine's daemon, whose workers go with it. Compared are
the sha256 of every file in shards/, quarantine/, plan/ and dataset.json; counted are parts that were begun more than once. Each call adds a line to
`--results`; `--report` writes the record of them all.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext, redirect_stdout
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import counted_prepare
import psutil
import ray_nodes
from record import Table, write_record

from valle_data import files

RECORD = Path("docs/benchmarks/kill_prepare.md")
RESULTS = Path("work/kill_prepare.jsonl")
CONFIG = "configs/prepare/debug.yaml"
TOY = ("part_duration_s=10", "codec={name: toy, delay_s: 0.03}", "corpus.include=[train/*]")
SLOW = "codec.delay_s=0.2"
"""On a cluster, where a new worker takes seconds to come, so that all are at work when one is lost."""
COMPARED = ("shards", "quarantine", "plan")
STEPS = ("open", "write", "fsync", "replace", "link", "unlink", "makedirs")
COMMAND = [sys.executable, "benchmarks/counted_prepare.py", "--toy"]
PATIENCE_S = 400


@dataclass(frozen=True)
class Setting:
    """How the command is run: `cluster` is a `ray.cluster_utils.Cluster`, None for worker processes of this machine."""

    workers: int
    generator: random.Random
    is_slow: bool = False
    cluster: Any = None

    def start(self, output: Path) -> subprocess.Popen[bytes]:
        where = ["--address", self.cluster.address] if self.cluster else []
        pace = [SLOW] if self.is_slow else []
        command = [*COMMAND, CONFIG, *TOY, *pace, "-o", str(output), "--workers", str(self.workers), *where]
        with open(output.with_suffix(".out"), "ab") as said:
            return subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True)

    def finish(self, output: Path) -> None:
        check(self.start(output), output)

    def workers_of(self, process: subprocess.Popen[bytes]) -> list[psutil.Process]:
        """The worker processes of a run."""
        candidates = psutil.process_iter() if self.cluster else psutil.Process(process.pid).children()
        mark = "ray::Station" if self.cluster else "spawn_main"
        return [worker for worker in candidates if mark in command_line(worker)]


@dataclass
class Outcome:
    """What became of the disturbed runs of one kind."""

    kind: str
    executor: str
    kills: int = 0
    differing: list[str] = field(default_factory=list)
    leftovers: int = 0
    lost: int = 0
    duplicated: int = 0
    reworked: int = 0
    allowed: int = 0
    parts: int = 0


def command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it ended since it was listed
        return ""


def check(process: subprocess.Popen[bytes], output: Path) -> None:
    """Wait for a run that must end well."""
    if (code := process.wait(PATIENCE_S)) != 0:
        raise SystemExit(f"prepare ended with exit code {code}: {output.with_suffix('.out').read_text()[-3000:]}")


def tree(output: Path) -> dict[str, str]:
    """sha256 of every file that counts."""
    paths = [output / "dataset.json", *(path for folder in COMPARED for path in (output / folder).rglob("*"))]
    return {str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path.is_file()}


def num_parts(output: Path) -> int:
    return len(list(output.glob("shards/*.json")))


def wait_for_work(output: Path, process: subprocess.Popen[bytes]) -> None:
    """Until one more part is committed."""
    before = num_parts(output)
    while process.poll() is None and num_parts(output) == before:
        time.sleep(0.005)


def kill_driver(setting: Setting, output: Path, kills: int) -> tuple[int, int]:
    """Kill everything, up to `kills` times, while it starts or (mostly) while it works; then let it finish. Returns kills and parts in hand."""
    done = 0
    for _ in range(kills):
        process = setting.start(output)
        if setting.generator.random() < 0.1:
            time.sleep(setting.generator.uniform(0, 3))
        else:
            wait_for_work(output, process)
            time.sleep(setting.generator.uniform(0, 0.6))
        if process.poll() is not None:
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        done += 1
    setting.finish(output)
    return done, done * setting.workers


def kill_worker(setting: Setting, output: Path, kills: int) -> tuple[int, int]:
    """Kill one worker after the other of a run at work."""
    process, done = setting.start(output), 0
    while done < kills:
        wait_for_work(output, process)
        time.sleep(setting.generator.uniform(0, 0.4))
        if process.poll() is not None:
            break
        if workers := setting.workers_of(process):
            setting.generator.choice(workers).kill()
            done += 1
    check(process, output)
    return done, done


def kill_raylet(setting: Setting, output: Path, kills: int) -> tuple[int, int]:
    """Kill the daemon of a machine of the cluster whose workers are at work, but for the first; another machine comes in its place."""
    process, done = setting.start(output), 0
    wait_for_work(output, process)
    while done < kills and process.poll() is None:
        time.sleep(setting.generator.uniform(0, 0.4))
        busy = {worker.ppid() for worker in setting.workers_of(process) if worker.is_running()}
        raylets = [node.all_processes["raylet"][0].process.pid for node in setting.cluster.worker_nodes]
        if not (chosen := [pid for pid in raylets if pid in busy]):
            continue
        wait_for_work(output, process)  # of which one part in two is that machine's
        os.kill(setting.generator.choice(chosen), signal.SIGKILL)
        done += 1
        setting.cluster.worker_nodes = {node for node in setting.cluster.worker_nodes if node.all_processes["raylet"][0].process.pid not in chosen}
        ray_nodes.add_node(setting.cluster)
    check(process, output)
    return done, done * setting.workers


class DeadlyOs:
    """`os`, whose call number `die_at` among STEPS is its last."""

    def __init__(self, die_at: int) -> None:
        self.die_at, self.calls = die_at, 0

    def __getattr__(self, name: str) -> Any:
        if name in STEPS:
            self.calls += 1
            if self.calls == self.die_at:
                os.kill(os.getpid(), signal.SIGKILL)
        return getattr(os, name)


def run_until(die_at: int | None, output: Path) -> None:
    """The command in this process, without workers, killed before system call number `die_at`."""
    if die_at is not None:
        files.os = DeadlyOs(die_at)  # pyright: ignore[reportAttributeAccessIssue]
    sys.argv = ["counted_prepare.py", "--toy", CONFIG, *TOY, "codec.delay_s=0", "part_duration_s=60", "-o", str(output), "--workers", "0"]
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        sys.exit(counted_prepare.main())


def kill_step(setting: Setting, output: Path, kills: int) -> tuple[int, int]:
    """Kill once, before the next system call that no run was killed before."""
    context = multiprocessing.get_context("fork")
    first = context.Process(target=run_until, args=(setting.workers, output))
    first.start()
    first.join(PATIENCE_S)
    second = context.Process(target=run_until, args=(None, output))
    second.start()
    second.join(PATIENCE_S)
    if second.exitcode != 0:
        raise SystemExit(f"prepare ended with exit code {second.exitcode} after a kill before step {setting.workers}")
    killed = int(first.exitcode == -signal.SIGKILL)
    return killed, killed


KINDS: dict[str, Callable[[Setting, Path, int], tuple[int, int]]] = {
    "step": kill_step,
    "driver": kill_driver,
    "worker": kill_worker,
    "raylet": kill_raylet,
}


def note(outcome: Outcome, output: Path, expected: dict[str, str], kills: int, in_hand: int) -> None:
    """Compare what one disturbed run left."""
    found, begun = tree(output), [path.name.split("-")[0] for path in counted_prepare.begun_folder(output).iterdir()]
    outcome.kills += kills
    outcome.differing += sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    outcome.lost += len(expected.keys() - found.keys())
    outcome.duplicated += len(found.keys() - expected.keys())
    outcome.leftovers += len(list(output.rglob(".tmp-*"))) + len(list(output.glob("*.lock")))
    outcome.reworked += len(begun) - len(set(begun))
    outcome.allowed += in_hand
    outcome.parts += num_parts(output)


def disturb(kind: str, setting: Setting, folder: Path, kills: int, first_step: int, executor: str) -> Outcome:
    """Disturb runs into fresh folders until `kills` kills have hit, or a sweep of steps is past the end of the run."""
    outcome = Outcome(kind, executor)
    quiet = folder / "undisturbed"
    if kind == "step":
        kill_step(Setting(10**9, setting.generator), quiet, 1)
    else:
        replace(setting, cluster=None).finish(quiet)
    expected = tree(quiet)
    for attempt in range(kills):
        output = folder / f"{kind}-{attempt}"
        now = Setting(first_step + attempt, setting.generator) if kind == "step" else setting
        hits, in_hand = KINDS[kind](now, output, kills - outcome.kills)
        note(outcome, output, expected, hits, in_hand)
        if outcome.kills >= kills or (kind == "step" and not hits):
            break
    return outcome


def report(results: Path, path: Path) -> None:
    """Write the record of all calls."""
    rows: dict[tuple[str, str], Outcome] = {}
    for line in results.read_text().splitlines():
        one = Outcome(**json.loads(line))
        total = rows.setdefault((one.executor, one.kind), Outcome(one.kind, one.executor))
        for name in ("kills", "leftovers", "lost", "duplicated", "reworked", "allowed", "parts"):
            setattr(total, name, getattr(total, name) + getattr(one, name))
        total.differing += one.differing
    columns = ("executor", "killed", "kills", "parts made", "files lost", "files too many", "files that differ", "left behind", "parts begun again", "allowed")
    cells = tuple(
        (
            o.executor,
            o.kind,
            str(o.kills),
            str(o.parts),
            str(o.lost),
            str(o.duplicated),
            str(len(o.differing)),
            str(o.leftovers),
            str(o.reworked),
            str(o.allowed),
        )
        for o in rows.values()
    )
    summary = (
        f"{sum(o.kills for o in rows.values())} times SIGKILL. Trees are compared by the sha256 of every file with a run that nobody disturbed. Allowed is one "
        "part begun again for each worker that a kill takes with it: with the driver all, with a machine at most all."
    )
    write_record(path, "kill -9 of `valle prepare`", summary, [Table("Killed and resumed runs against an undisturbed one", columns, cells)])
    print(path.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=KINDS, default="worker")
    parser.add_argument("--executor", choices=("local", "ray"), default="local")
    parser.add_argument("--nodes", type=int, default=2, help="of the cluster, with --executor ray")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--first-step", type=int, default=1, help="with --kind step, where the sweep begins")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--report", type=Path, nargs="?", const=RECORD)
    arguments = parser.parse_args()
    if arguments.report:
        report(arguments.results, arguments.report)
        return
    generator = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder, is_ray = Path(temporary), arguments.executor == "ray"
        with ray_nodes.cluster_of(arguments.nodes) if is_ray else nullcontext() as cluster:
            setting = Setting(arguments.workers, generator, is_ray, cluster)
            label = f"Ray, {arguments.nodes} nodes" if is_ray else "local"
            outcome = disturb(arguments.kind, setting, folder, arguments.kills, arguments.first_step, label)
    print(outcome)
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    with arguments.results.open("a") as file:
        file.write(json.dumps(asdict(outcome)) + "\n")
    if outcome.differing or outcome.leftovers or outcome.reworked > outcome.allowed:
        raise SystemExit(f"Trees differ, or more was done again than allowed: {outcome}")


if __name__ == "__main__":
    main()
