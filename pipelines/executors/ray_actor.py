"""What runs in an actor: one worker of one pool. One task at a time, as espeak and others bear no threads; beside it only the answer to whether it lives."""

import os
import time
from dataclasses import dataclass
from typing import Any

import ray

from pipelines.executors.base import Failure, Job, Rescue, Sign
from pipelines.executors.workplace import Done, Raised, Workplace

WATCH = "watch"
"""The thread that answers beside the work."""


@dataclass(frozen=True)
class Life:
    """The last sign of life and how old it is."""

    age_s: float
    sign: Sign | None


class Station:
    """See the module; `pipelines/executors/ray_crew.py` makes it an actor."""

    def __init__(self) -> None:
        self._place: Workplace | None = None
        self._life: tuple[float, Sign | None] = (time.monotonic(), None)

    def start(self, job: Job[Any, Any], step: int, folder: str) -> Raised | None:
        """Become a worker of a step, in the folder that the driver's relative paths mean, where this machine has it."""
        if os.path.isdir(folder):
            os.chdir(folder)
        self._place = Workplace(job, self._beat, step)
        return self._place.start()

    @ray.method(num_returns=2)  # pyright: ignore[reportCallIssue, reportArgumentType]
    def do(self, payload: Any, rescue: Rescue[Any] | None, *, is_last: bool) -> tuple[Done[Any] | Failure | Raised, Any]:
        """The step's work: what the driver is told, and what goes to the next step."""
        assert self._place is not None, "it was started"
        answer = self._place.do(payload, rescue)
        if is_last or rescue or not isinstance(answer, Done):
            return answer, None
        return Done(None), answer.result

    @ray.method(concurrency_group=WATCH)
    def life(self) -> Life:
        at, sign = self._life
        return Life(time.monotonic() - at, sign)

    def _beat(self, sign: Sign) -> None:
        self._life = (time.monotonic(), sign)
