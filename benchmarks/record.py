"""Write a record of a benchmark: what was run, on what, when, and what came out.

A claim in the documentation links a record in `docs/benchmarks/`; a record says how to make it again.
"""

import os
import platform
import random
import shlex
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Table:
    """Rows of cells under columns."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        lines = [self.columns, tuple("---" for _ in self.columns), *self.rows]
        return "\n".join([f"**{self.title}**", "", *(f"| {' | '.join(line)} |" for line in lines)])


def median_and_spread(values: Sequence[float], unit: str = "") -> str:
    """`median (smallest-largest)`; at least one value."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.3g}{unit} ({low:.3g}-{high:.3g})"


def interval(items: Sequence[T], measure: Callable[[Sequence[T]], float], resamples: int = 1000) -> tuple[float, float]:
    """95 % bootstrap interval of `measure` over `items` (Efron 1979), seeded."""
    rng = random.Random(0)
    drawn = sorted(measure(rng.choices(items, k=len(items))) for _ in range(resamples))
    return drawn[round(0.025 * (resamples - 1))], drawn[round(0.975 * (resamples - 1))]


def hardware() -> str:
    """CPU model, cores this process may use, memory, and how busy the machine is."""
    cpu = next((line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), platform.processor() or "unknown CPU")
    kilobytes = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return f"{cpu}, {len(os.sched_getaffinity(0))} cores, {kilobytes / 2**20:.0f} GiB, load average {os.getloadavg()[0]:.1f} when written"


def commit() -> str:
    """The commit the working tree is at, with `+ changes` where tracked files differ from it; `unknown` in a copy of the tree without its history."""
    asked = ["git", "rev-parse", "--short=10", "HEAD"]
    if not shutil.which("git") or subprocess.run(asked, capture_output=True, check=False).returncode:
        return "unknown (a copy without its history)"
    head = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    changed = subprocess.run(["git", "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True, check=True).stdout.strip()
    return head + (" + changes" if changed else "")


def command() -> str:
    """This process's command line, the program by its path from here."""
    return shlex.join(["python", os.path.relpath(sys.argv[0]), *sys.argv[1:]])


def write_record(path: Path, title: str, summary: str, tables: Sequence[Table], notes: Sequence[str] = ()) -> None:
    """Write the record as Markdown; running the same command again replaces it."""
    conditions = [
        f"- Command: `{command()}`",
        f"- Commit: {commit()}",
        f"- Hardware: {hardware()}",
        f"- Software: Python {platform.python_version()}, {platform.system()}",
        f"- Date: {datetime.now(UTC):%Y-%m-%d}",
    ]
    parts = [f"# {title}", summary, *(table.markdown() for table in tables), "\n".join(conditions), "\n".join(f"- {note}" for note in notes)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines() if Path(path).exists() else []
