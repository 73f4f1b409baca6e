"""`valle prepare` that also writes down each begin of a part: an empty file beside the data set, so that work done twice can be counted.

python benchmarks/counted_prepare.py configs/prepare/debug.yaml part_duration_s=10 -o work/debug --workers 2 [--address HOST:PORT]
"""

import argparse
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from pipelines import prepare
from pipelines.config_files import load
from pipelines.console import Console
from pipelines.executors import EXECUTORS
from pipelines.executors.base import Beat, Worker, silent
from pipelines.part import PartJob
from pipelines.prepare_config import PrepareConfig
from valle_data.shards.plan import PlannedPart

ATTEMPTS = 50
"""More than a benchmark kills: how often a part was lost is counted here, not judged."""


@dataclass(frozen=True)
class CountedJob(PartJob):
    """A job whose first step writes down what it begins."""

    def start(self, beat: Beat = silent, step: int | None = None) -> Any:
        return CountedWorker(super().start(beat, step), begun_folder(self.dataset))


class CountedWorker(Worker[Any, Any]):
    """The worker, with a note before each part."""

    def __init__(self, worker: Worker[Any, Any], folder: Path) -> None:
        self._worker, self._folder = worker, folder

    def run(self, task: Any) -> Any:
        if isinstance(task, PlannedPart):
            (self._folder / f"{task.part}-{time.time_ns()}").touch()
        return self._worker.run(task)


def begun_folder(output: Path) -> Path:
    """Where begins are written down."""
    return output.with_suffix(".begun")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--address")
    parser.add_argument("--toy", action="store_true", help="offer the codec `toy` of the tests, which needs no torch: workers start quickly")
    arguments = parser.parse_args()
    if arguments.toy:
        sys.path.insert(0, str(Path(__file__).parents[1]))  # other packages have `tests` too
        import_module("tests.toy_codec")
    begun_folder(arguments.output).mkdir(parents=True, exist_ok=True)
    prepare.PartJob = CountedJob
    limits = {"workers": arguments.workers, "max_attempts": ATTEMPTS}
    executor = EXECUTORS["ray"].Config(address=arguments.address, **limits) if arguments.address else EXECUTORS["local"].Config(**limits)
    settings = load(PrepareConfig, arguments.config, arguments.overrides)
    return prepare.run(settings, arguments.output, executor=executor, console=Console(as_json=True))


if __name__ == "__main__":
    sys.exit(main())
