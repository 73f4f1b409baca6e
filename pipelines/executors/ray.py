"""Actors on a Ray cluster, a pool of them for each step: whatever dies, every task is done.

Machines share the file system that recordings and results lie on. What one step makes goes to the next through the object store, not through here.
A task whose worker, machine or half-made result is lost begins again with its first step; that a task done twice has the effect of one done once is the
job's promise.
"""

import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal

import ray
from pydantic import Field, PositiveFloat, PositiveInt
from ray.exceptions import RayActorError, RayError

from pipelines.executors.base import Executor, Failure, Job, Note, Rescue, Result, Task, WorkLimits, unsaid
from pipelines.executors.feed import Attempt, Feed, wait_a_little
from pipelines.executors.local import stall
from pipelines.executors.pools import Pool
from pipelines.executors.ray_cluster import connected
from pipelines.executors.ray_crew import Actor, Crew
from pipelines.executors.workplace import Done, Raised
from valle_data.errors import ReasonCode

WAIT_S = 0.5
STORE_SHARE = 0.5
"""Of a machine's object store that parts between two steps may fill."""


@dataclass
class _Journey(Generic[Task]):
    """A task on its way: `payload` is what its next step works on, the task itself or a reference to what the step before made of it."""

    attempt: Attempt[Task]
    payload: Any
    weight_bytes: int
    rescue: Rescue[Task] | None = None
    step: int = 0
    node: str = ""


@dataclass
class _Doing(Generic[Task]):
    """A journey in the hands of an actor; `answer` is a reference to what the driver will be told, `made` to what goes on."""

    actor: Actor
    journey: _Journey[Task]
    answer: ray.ObjectRef
    made: ray.ObjectRef


class RayExecutor(Executor[Task, Result]):
    """See the module."""

    class Config(WorkLimits):
        """`address` of a running cluster, `auto` for the one this machine belongs to; none: one is started on this machine, for this run.

        `workers`: how many a pool has whose number is `auto`; none: as many as there is room for. `max_decoded_bytes`: of decoded audio that waits between
        two pools on one machine; none: half of its object store. `start_limit_s`: how long a pool may be without any worker.
        """

        name: Literal["ray"] = "ray"
        address: str | None = None
        workers: PositiveInt | None = None
        max_decoded_bytes: PositiveInt | None = None
        start_limit_s: PositiveFloat = Field(default=600.0)

    def __init__(self, config: "RayExecutor.Config") -> None:
        self.config = config

    def run(self, job: Job[Task, Result], tasks: Iterable[Task], note: Note = unsaid) -> Iterator[Result]:
        feed: Feed[Task] = Feed(job, tasks, self.config, note)
        if feed.is_done:
            return
        pools = job.pools()
        wanted = [pool.workers if isinstance(pool.workers, int) else self.config.workers for pool in pools]
        with connected(self.config.address, pools, wanted, note):
            crew = Crew(job, wanted, self.config, self.config.start_limit_s, note)
            try:
                yield from _Traffic(job, feed, crew, self.config).run()
            finally:
                crew.disband()


@dataclass
class _Traffic(Generic[Task, Result]):
    """Who works on what."""

    job: Job[Task, Result]
    feed: Feed[Task]
    crew: Crew
    config: RayExecutor.Config
    doing: list[_Doing[Task]] = field(default_factory=list)
    waiting: list[deque[_Journey[Task]]] = field(default_factory=list)
    hopeless: deque[_Journey[Task]] = field(default_factory=deque)

    def run(self) -> Iterator[Result]:
        self.waiting = [deque() for _ in self.crew.pools]
        while self.doing or self.hopeless or any(self.waiting) or not self.feed.is_done:
            self.crew.tend()
            started = time.monotonic()
            self._assign()
            self.crew.forgive(time.monotonic() - started)  # the next task may take long to plan, and nobody was listened to meanwhile
            self.crew.watch([item.actor for item in self.doing])
            yield from self._collect()
            self._end_stalled()

    def _assign(self) -> None:
        busy = {id(item.actor) for item in self.doing}
        idle = [actor for actor in self.crew.actors if actor.is_ready and id(actor) not in busy]
        for actor in sorted(idle, key=lambda item: -item.step):  # what is furthest goes first: it frees memory
            journey = self._next(actor)
            if journey is not None:
                self._give(actor, journey)

    def _next(self, actor: Actor) -> _Journey[Task] | None:
        while (attempt := self.feed.look()) is not None and attempt.hopeless:
            self.feed.take()
            self.hopeless.append(_Journey(attempt, attempt.task, 0, rescue=self.feed.rescue(attempt)))
        if self.hopeless and actor.step == _rescuers(self.crew.pools):
            return self.hopeless.popleft()
        if actor.step:
            near = [journey for journey in self.waiting[actor.step] if journey.node == actor.node.id] or list(self.waiting[actor.step])
            if not near:
                return None
            self.waiting[actor.step].remove(near[0])
            return near[0]
        if attempt is None or not self._has_room(actor, self.job.weight_bytes(attempt.task)):
            return None
        self.feed.take()
        return _Journey(attempt, attempt.task, self.job.weight_bytes(attempt.task))

    def _has_room(self, actor: Actor, weight_bytes: int) -> bool:
        """Whether another task may begin there: parts that wait for a step fill neither a machine's memory nor, by their number, all pools."""
        if len(self.crew.pools) == 1:
            return True
        journeys = [*(item.journey for item in self.doing), *(journey for queue in self.waiting for journey in queue)]
        held: Counter[str] = Counter()
        for journey in journeys:
            held[journey.node] += journey.weight_bytes
        limit = self.config.max_decoded_bytes or STORE_SHARE * actor.node.store_bytes
        fits = not held[actor.node.id] or held[actor.node.id] + weight_bytes <= limit
        return fits and len(journeys) < len(self.crew.actors) + len(self.crew.pools)

    def _give(self, actor: Actor, journey: _Journey[Task]) -> None:
        journey.node = actor.node.id
        is_last = actor.step == len(self.crew.pools) - 1
        answer, made = actor.handle.do.remote(journey.payload, journey.rescue, is_last=is_last)
        self.doing.append(_Doing(actor, journey, answer, made))
        self.crew.begin(actor)

    def _collect(self) -> Iterator[Result]:
        refs = [*(item.answer for item in self.doing), *self.crew.pending()]
        if not refs:
            wait_a_little()
            return
        ray.wait(refs, num_returns=1, timeout=WAIT_S, fetch_local=False)
        ready = set(ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=False)[0])
        for ref in self.crew.pending():
            if ref in ready:
                self.crew.answered(ref)
        for item in [item for item in self.doing if item.answer in ready]:
            self.doing.remove(item)
            yield from self._answered(item)

    def _answered(self, item: _Doing[Task]) -> Iterator[Result]:
        journey = item.journey
        try:
            answer: Done[Result] | Failure | Raised = ray.get(item.answer)
        except RayError as error:
            self._lost(item, error)
            return
        self.crew.finished(item.actor)
        if isinstance(answer, Raised):
            raise answer.again()
        if isinstance(answer, Failure):
            self.feed.failed(journey.attempt, answer)
        elif journey.rescue is not None or item.actor.step == len(self.crew.pools) - 1:
            yield answer.result
        else:
            journey.step, journey.payload = item.actor.step + 1, item.made
            self.waiting[journey.step].append(journey)

    def _lost(self, item: _Doing[Task], error: RayError) -> None:
        """The worker is gone with its machine or alone, or what an earlier step had made is: the task begins again, elsewhere."""
        attempt, host = item.journey.attempt, item.actor.node.host
        if not isinstance(error, RayActorError):
            self.feed.failed(attempt, Failure(ReasonCode.WORKER_CRASHED, f"the loss of what an earlier step had made ({type(error).__name__})"))
            return
        self.crew.dismiss(item.actor)
        if error.preempted:  # announced, and no fault of the task
            self.feed.put_back(attempt)
        else:
            self.feed.failed(attempt, Failure(ReasonCode.WORKER_CRASHED, f"the loss of its process on {host}", item.actor.sign))

    def _end_stalled(self) -> None:
        for item in [item for item in self.doing if self.crew.is_stalled(item.actor)]:
            self.doing.remove(item)
            self.crew.dismiss(item.actor)
            self.feed.failed(item.journey.attempt, stall(self.config.stall_limit_s, item.actor.sign))


def _rescuers(pools: Sequence[Pool]) -> int:
    """The pool whose workers try hopeless tasks whole: the one that has what the most demanding step needs."""
    return max(range(len(pools)), key=lambda step: (pools[step].num_gpus, pools[step].memory_bytes or 0, -step))
