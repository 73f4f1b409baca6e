"""Kill `valle prepare` at random moments and compare what it leaves with a run that nobody disturbed.

    python benchmarks/kill_prepare.py configs/prepare/debug.yaml --kills 20

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

    def finish(self, output: Path) -> float:
        """Run to the end; returns the seconds it took."""
        began = time.monotonic()
        code = self.start(output).wait()
        if code != 0:
            raise SystemExit(f"prepare ended with exit code {code}: {output.with_suffix('.out').read_text()[-2000:]}")
        return time.monotonic() - began


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


def kill_groups(options: Options, output: Path, kills: int, duration_s: float, generator: random.Random) -> list[int]:
    """Start and kill everything, `kills` times, at moments spread over the whole run; then let it finish."""
    committed = []
    for _ in range(kills):
        process = options.start(output)
        time.sleep(generator.uniform(0.2, 1.0) * duration_s * (0.35 if generator.random() < 0.5 else 1.0))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            committed.append(num_parts(output))
        process.wait()
    options.finish(output)
    return committed


def kill_workers(options: Options, output: Path, kills: int, duration_s: float, generator: random.Random) -> list[int]:
    """Kill one worker after the other of a run, starting again into an empty folder only when it is done."""
    process, committed = options.start(output), []
    while len(committed) < kills and process.poll() is None:
        time.sleep(generator.uniform(0.05, 0.3) * duration_s)
        workers = [child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())] if process.poll() is None else []
        if workers:
            generator.choice(workers).kill()
            committed.append(num_parts(output))
    if process.wait() != 0:
        raise SystemExit(f"prepare did not survive a killed worker: {output.with_suffix('.out').read_text()[-2000:]}")
    return committed


def num_parts(output: Path) -> int:
    return len(list(output.glob("shards/*.json")))


def disturb(kill: Callable[..., list[int]], options: Options, folder: Path, kills: int, duration_s: float, expected: dict[str, str]) -> Outcome:
    """Disturb runs into fresh folders until `kills` kills have hit."""
    generator, hits, differing, leftovers = random.Random(0), [], [], 0
    for attempt in range(kills):
        output = folder / f"{kill.__name__}-{attempt}"
        hits += kill(options, output, kills - len(hits), duration_s, generator)
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
        duration_s = options.finish(folder / "undisturbed")
        expected, num = tree(folder / "undisturbed"), num_parts(folder / "undisturbed")
        outcomes = {
            "process group": disturb(kill_groups, options, folder, arguments.kills, duration_s, expected),
            "one worker": disturb(kill_workers, options, folder, arguments.kills, duration_s, expected),
        }
    rows = [
        (what, str(o.kills), median_and_spread(o.parts_at_kill) if o.parts_at_kill else "-", str(len(o.differing)), str(o.leftovers))
        for what, o in outcomes.items()
    ]
    columns = ("killed", "kills", "parts committed at the kill", "files that differ", "files left behind")
    summary = f"{num} parts, {len(expected)} files, {duration_s:.1f} s undisturbed with {options.workers} workers. Every tree is compared byte for byte."
    write_record(
        arguments.record, "kill -9 of `valle prepare`", summary, [Table("Output of killed and resumed runs against an undisturbed one", columns, tuple(rows))]
    )
    print(arguments.record.read_text())
    if any(outcome.differing for outcome in outcomes.values()):
        raise SystemExit(f"Trees differ: {outcomes}")


if __name__ == "__main__":
    main()
