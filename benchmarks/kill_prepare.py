"""Kill `valle prepare` at random moments and compare what it leaves with a run that nobody disturbed.

    python benchmarks/kill_prepare.py configs/prepare/debug.yaml part_duration_s=10 --kills 20

Two columns: `kill -9` of the whole process group, after which the same command is started again; and `kill -9` of single workers, which the
running command must survive. Compared are the sha256 of every file in shards/, quarantine/, plan/ and dataset.json.
"""

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
from record import Table, median_and_spread, write_record

RECORD = Path("docs/benchmarks/kill_prepare.md")
COMPARED = ("shards", "quarantine", "plan")
EARLY = 0.2
KILLS_A_RUN = 2


@dataclass(frozen=True)
class Options:
    """One prepare command: its configuration, overrides and number of workers."""

    config: Path
    overrides: tuple[str, ...]
    workers: int

    def start(self, output: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "pipelines", "prepare", str(self.config), *self.overrides, "-o", str(output), "--workers", str(self.workers)]
        with open(output.with_suffix(".out"), "ab") as said:
            return subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True)

    def finish(self, output: Path) -> None:
        """Run to the end."""
        if (code := self.start(output).wait()) != 0:
            raise SystemExit(f"prepare ended with exit code {code}: {output.with_suffix('.out').read_text()[-2000:]}")


@dataclass(frozen=True)
class Pace:
    """How long an undisturbed run took to its first commit, and from there to its end."""

    startup_s: float
    work_s: float


@dataclass(frozen=True)
class Outcome:
    """What became of a disturbed run."""

    kills: int
    parts_at_kill: tuple[int, ...]
    differing: tuple[str, ...]
    leftovers: int


def tree(output: Path) -> dict[str, str]:
    """sha256 of every file that counts."""
    paths = [output / "dataset.json", *(path for folder in COMPARED for path in (output / folder).rglob("*"))]
    return {str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path.is_file()}


def kill_groups(options: Options, output: Path, kills: int, pace: Pace, generator: random.Random) -> list[int]:
    """Start and kill everything, up to `kills` times, while it starts or (mostly) while it works; then let it finish."""
    committed = []
    for _ in range(kills):
        process = options.start(output)
        if generator.random() < EARLY:
            time.sleep(generator.uniform(0, pace.startup_s))
        else:
            wait_for_work(output, process)
            time.sleep(generator.uniform(0, pace.work_s / 4))
        if process.poll() is not None:
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        committed.append(num_parts(output))
    options.finish(output)
    return committed


def kill_workers(options: Options, output: Path, kills: int, pace: Pace, generator: random.Random) -> list[int]:
    """Kill one worker after the other of a run at work, not more often than the executor forgives in the worst case."""
    process, committed = options.start(output), []
    while len(committed) < min(kills, KILLS_A_RUN):
        wait_for_work(output, process)
        time.sleep(generator.uniform(0, pace.work_s / 8))
        if process.poll() is not None:
            break
        workers = workers_of(process)
        if workers:
            generator.choice(workers).kill()
            committed.append(num_parts(output))
    if process.wait() != 0:
        raise SystemExit(f"prepare did not survive a killed worker: {output.with_suffix('.out').read_text()[-2000:]}")
    return committed


def workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The worker processes of a run that are alive."""
    found = []
    for child in psutil.Process(process.pid).children():
        try:
            command = child.cmdline()
        except psutil.NoSuchProcess:  # it ended since it was listed
            continue
        if "spawn_main" in " ".join(command):
            found.append(child)
    return found


def wait_for_work(output: Path, process: subprocess.Popen[bytes]) -> None:
    """Until one more part is committed."""
    before = num_parts(output)
    while process.poll() is None and num_parts(output) == before:
        time.sleep(0.005)


def measure(options: Options, output: Path) -> Pace:
    """One undisturbed run."""
    began = time.monotonic()
    process = options.start(output)
    wait_for_work(output, process)
    first = time.monotonic()
    if process.wait() != 0:
        raise SystemExit(f"prepare failed: {output.with_suffix('.out').read_text()[-2000:]}")
    return Pace(startup_s=first - began, work_s=time.monotonic() - first)


def num_parts(output: Path) -> int:
    return len(list(output.glob("shards/*.json")))


def disturb(kill: Callable[..., list[int]], options: Options, folder: Path, kills: int, pace: Pace, expected: dict[str, str]) -> Outcome:
    """Disturb runs into fresh folders until `kills` kills have hit."""
    generator, hits, differing, leftovers = random.Random(0), [], [], 0
    for attempt in range(kills):
        output = folder / f"{kill.__name__}-{attempt}"
        hits += kill(options, output, kills - len(hits), pace, generator)
        found = tree(output)
        differing += sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        leftovers += len(list(output.rglob(".tmp-*"))) + len(list(output.glob("*.lock")))
        if len(hits) >= kills:
            break
    return Outcome(len(hits), tuple(hits), tuple(differing), leftovers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*", help="KEY=VALUE changes to the configuration; small parts give more steps to be killed in")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--record", type=Path, default=RECORD)
    arguments = parser.parse_args()
    options = Options(arguments.config, tuple(arguments.overrides), arguments.workers)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        pace = measure(options, folder / "undisturbed")
        expected, num = tree(folder / "undisturbed"), num_parts(folder / "undisturbed")
        outcomes = {
            "process group": disturb(kill_groups, options, folder, arguments.kills, pace, expected),
            "one worker": disturb(kill_workers, options, folder, arguments.kills, pace, expected),
        }
    rows = [
        (what, str(o.kills), median_and_spread(o.parts_at_kill) if o.parts_at_kill else "-", str(len(o.differing)), str(o.leftovers))
        for what, o in outcomes.items()
    ]
    title, columns = "kill -9 of `valle prepare`", ("killed", "kills", "parts committed at the kill", "files that differ", "files left behind")
    summary = (
        f"{num} parts, {len(expected)} files; undisturbed with {options.workers} workers: {pace.startup_s:.1f} s to the first commit, "
        f"{pace.work_s:.1f} s more. "
        "Trees are compared by the sha256 of every file."
    )
    write_record(arguments.record, title, summary, [Table("Killed and resumed runs against an undisturbed one", columns, tuple(rows))])
    print(arguments.record.read_text())
    if any(outcome.differing for outcome in outcomes.values()):
        raise SystemExit(f"Trees differ: {outcomes}")


if __name__ == "__main__":
    main()
