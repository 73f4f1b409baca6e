"""How long `valle --help` and its neighbours take: the median of ten runs each, interleaved with an empty interpreter.

    python benchmarks/startup.py            # writes docs/benchmarks/startup.json

The goal is 0.4 s for `valle --help` on a quiet machine; `load_average` in the record tells how quiet it was.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GOAL_S = 0.4
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "valle --help": ["-m", "pipelines", "--help"],
    "valle train --help": ["-m", "pipelines", "train", "--help"],
    "valle explain empty_audio": ["-m", "pipelines", "explain", "empty_audio"],
    "valle config ls": ["-m", "pipelines", "config", "ls"],
}


@dataclass(frozen=True)
class Run:
    """One start of a fresh interpreter: time on the clock and time on a core, which a busy machine disturbs less."""

    wall_s: float
    cpu_s: float


def run_once(arguments: list[str]) -> Run:
    """Start, wait for the end, measure."""
    before, start = os.times(), time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    wall_s, after = time.perf_counter() - start, os.times()
    return Run(wall_s, after.children_user + after.children_system - before.children_user - before.children_system)


def measure(num_runs: int) -> dict[str, dict[str, float]]:
    """Median and spread in seconds for each command, after one unmeasured run of all."""
    runs: dict[str, list[Run]] = {name: [] for name in COMMANDS}
    for number in range(num_runs + 1):
        for name, arguments in COMMANDS.items():
            run = run_once(arguments)
            if number:
                runs[name].append(run)
    return {name: summary(found) for name, found in runs.items()}


def summary(runs: list[Run]) -> dict[str, float]:
    """Median and spread of the wall time, median of the time on a core."""
    wall = [run.wall_s for run in runs]
    return {"median_s": statistics.median(wall), "min_s": min(wall), "max_s": max(wall), "median_cpu_s": statistics.median(run.cpu_s for run in runs)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "benchmarks" / "startup.json")
    arguments = parser.parse_args()
    load_average = os.getloadavg()[0]
    results = measure(arguments.runs)
    record = {
        "command": "python benchmarks/startup.py",
        "commit": subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version(), "load_average": round(load_average, 2)},
        "runs": arguments.runs,
        "goal": {"valle --help": f"median <= {GOAL_S} s"},
        "results": {name: {key: round(value, 3) for key, value in found.items()} for name, found in results.items()},
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    for name, found in results.items():
        print(f"{name:28} {found['median_s']:.3f} s  ({found['min_s']:.3f} to {found['max_s']:.3f}), {found['median_cpu_s']:.3f} s of a core")
    print(f"Load average {load_average:.2f}. Wrote {arguments.output}")


if __name__ == "__main__":
    main()
