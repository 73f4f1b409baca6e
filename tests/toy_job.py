"""A job of squaring numbers, some of which kill, stall or confuse their worker."""

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.executors.base import Beat, Job, Sign, Worker, silent
from pipelines.executors.pools import Pool
from valle_data.errors import InputError, ReasonCode


@dataclass(frozen=True)
class Toy(Job[int, int]):
    """Squares numbers; `deadly` ones kill the worker so many `times` first, `still` ones stop it, `bad` ones raise an error, `buggy` ones an exception.

    Every start of a worker and every try leave an empty file in `folder`. With two `steps` the first step squares and hands on `ballast` bytes, the second,
    where all that happens, gives the square.
    """

    folder: Path
    deadly: tuple[int, ...] = ()
    times: int = 1
    still: tuple[int, ...] = ()
    bad: tuple[int, ...] = ()
    buggy: tuple[int, ...] = ()
    steps: int = 1
    ballast: int = 0
    delay_s: float = 0.0
    workers: tuple[int, ...] = ()

    def start(self, beat: Beat = silent, step: int | None = None) -> "ToyWorker":
        (self.folder / f"worker-{step}-{os.getpid()}").touch()
        return ToyWorker(self, beat, step)

    def describe(self, task: int) -> str:
        return f"Number {task}"

    def pools(self) -> Sequence[Pool]:
        workers = self.workers or ("auto",) * self.steps
        return [Pool(stages=(f"step{number}",), num_cpus=0.5, workers=count) for number, count in enumerate(workers)]

    def weight_bytes(self, task: int) -> int:
        return self.ballast

    def free_bytes(self) -> int | None:
        free = self.folder / "free"
        return int(free.read_text()) if free.exists() else None


@dataclass(frozen=True)
class Halfway:
    """Between two steps."""

    task: int
    square: int
    ballast: bytes


class ToyWorker(Worker[int | Halfway, int | Halfway]):
    def __init__(self, job: Toy, beat: Beat, step: int | None) -> None:
        self.job, self.beat, self.step = job, beat, step

    def run(self, task: int | Halfway) -> int | Halfway:
        self.beat(Sign("squaring", (str(task) if isinstance(task, int) else str(task.task),)))
        time.sleep(self.job.delay_s)
        if isinstance(task, int) and self.job.steps > 1 and self.step is not None:
            (self.job.folder / f"begun-{task}-{time.monotonic_ns()}").touch()
            return Halfway(task, task * task, bytes(self.job.ballast))
        return self.finish(task if isinstance(task, int) else task.task)

    def finish(self, number: int) -> int:
        job = self.job
        (job.folder / f"task-{number}-{time.monotonic_ns()}").touch()
        attempts = len(list(job.folder.glob(f"task-{number}-*")))
        if number in job.deadly and attempts <= job.times:
            os.kill(os.getpid(), signal.SIGKILL)
        if number in job.still and attempts <= job.times:
            os.kill(os.getpid(), signal.SIGSTOP)
        if number in job.bad:
            raise InputError(ReasonCode.STORAGE_FAILED, f"no room for {number}")
        if number in job.buggy:
            raise ZeroDivisionError("a bug")
        return number * number
