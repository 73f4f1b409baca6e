"""The actors of a run: made where there is room, watched, and replaced when they are lost, worn or silent."""

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipelines.executors.base import Job, Note, Sign, WorkLimits
from pipelines.executors.pools import Pool
from pipelines.executors.ray_actor import WATCH, Life, Station
from pipelines.executors.ray_cluster import Node, nodes
from pipelines.executors.ray_pools import Placement, place
from valle_data.errors import EnvironmentProblem

LOOK_S = 2.0
"""How often the cluster is looked at, for machines that came or went."""
WATCH_S = 10.0
"""How often a busy worker is asked whether it lives, at most."""
MAX_STARTS_LOST = 5
"""Workers lost one after the other before any of them was ready."""


@dataclass
class Actor:
    """A worker of pool number `step` on a machine."""

    step: int
    node: Node
    handle: Any
    starting: ray.ObjectRef | None
    num_done: int = 0
    heard_at: float = field(default_factory=time.monotonic)
    sign: Sign | None = None
    watching: ray.ObjectRef | None = None

    @property
    def is_ready(self) -> bool:
        return self.starting is None


class Crew:
    """The actors of a job's pools on all machines that have the driver's version of valle."""

    def __init__(self, job: Job[Any, Any], wanted: Sequence[int | None], limits: WorkLimits, start_limit_s: float, note: Note) -> None:
        self.pools: Sequence[Pool] = job.pools()
        self.actors: list[Actor] = []
        self._job, self._wanted, self._limits, self._note, self._start_limit_s = ray.put(job), wanted, limits, note, start_limit_s
        self._probe: Callable[[], str] = _probe()
        self._probing: dict[ray.ObjectRef, Node] = {}
        self._is_welcome: dict[str, bool] = {}
        self._looked_at = self._short_since = 0.0
        self._starts_lost = 0
        self._has_complained = False

    def tend(self) -> None:
        """Make the actors that are missing, as far as there is room. Raises EnvironmentProblem when a pool stays without any."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_S:
            return
        self._looked_at = now
        have = Counter(actor.step for actor in self.actors)
        if all(count is not None and have[step] >= count for step, count in enumerate(self._wanted)):
            return
        known = nodes()
        for node in known:
            if node.id not in self._is_welcome:
                self._ask_version(node)
        for placement in place(self.pools, self._wanted, have, [node for node in known if self._is_welcome[node.id]]):
            self.actors.append(self._make(placement))
            have[placement.step] += 1
        self._complain([step for step in range(len(self.pools)) if not have[step]], now)

    def _complain(self, missing: Sequence[int], now: float) -> None:
        if not missing:
            self._short_since, self._has_complained = now, False
            return
        self._short_since = self._short_since or now
        pool = self.pools[missing[0]]
        needs = f"{pool.num_cpus:g} CPUs, {pool.num_gpus:g} GPUs" + (f", {pool.memory_bytes} bytes of memory" if pool.memory_bytes else "")
        sentence = f"No machine of the cluster has room for a worker of the pool of {', '.join(pool.stages)} ({needs})."
        if now - self._short_since > self._start_limit_s:
            raise EnvironmentProblem(f"{sentence} Waited {self._start_limit_s:g} s (`start_limit_s`). Lower what `pools` ask for, or add a machine.")
        if not self._has_complained:
            self._note(f"{sentence} Waiting for one.")
            self._has_complained = True

    def _ask_version(self, node: Node) -> None:
        self._is_welcome[node.id] = False
        strategy = NodeAffinitySchedulingStrategy(node.id, soft=False)
        self._probing[ray.remote(self._probe).options(num_cpus=0, max_retries=0, scheduling_strategy=strategy).remote()] = node

    def pending(self) -> list[ray.ObjectRef]:
        """What `answered` waits for."""
        return [*self._probing, *(ref for actor in self.actors for ref in (actor.starting, actor.watching) if ref is not None)]

    def answered(self, ref: ray.ObjectRef) -> None:
        """Take note of one of the answers that are pending."""
        if ref in self._probing:
            self._probed(ref, self._probing.pop(ref))
            return
        for actor in list(self.actors):
            if ref == actor.starting:
                self._started(actor, ref)
            elif ref == actor.watching:
                self._heard(actor, ref)

    def _probed(self, ref: ray.ObjectRef, node: Node) -> None:
        """A machine works for us if it has our version of valle and of Python; one that has not is named."""
        self._looked_at = 0.0
        try:
            theirs, ours = ray.get(ref), self._probe()
        except RayError:  # it is gone again, or will be asked again
            del self._is_welcome[node.id]
            return
        self._is_welcome[node.id] = theirs == ours
        if theirs != ours:
            self._note(f"The machine {node.host} has {theirs}, this one has {ours}: it gets no work. Install the same on all machines.")

    def _make(self, placement: Placement) -> Actor:
        pool, node = self.pools[placement.step], placement.node
        handle = (
            ray.remote(concurrency_groups={WATCH: 1})(Station)  # pyright: ignore[reportCallIssue]
            .options(
                num_cpus=pool.num_cpus,
                num_gpus=pool.num_gpus,
                memory=pool.memory_bytes,
                max_restarts=0,
                max_task_retries=0,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
            )
            .remote()
        )
        return Actor(placement.step, node, handle, handle.start.remote(self._job, placement.step, os.getcwd()))

    def _started(self, actor: Actor, ref: ray.ObjectRef) -> None:
        """Take note of a `start` that is done. Raises what it raised, and EnvironmentProblem when too many actors are lost on the way."""
        try:
            raised = ray.get(ref)
        except RayError as error:
            self.dismiss(actor)
            self._starts_lost += 1
            if self._starts_lost >= MAX_STARTS_LOST:
                raise EnvironmentProblem(
                    f"{self._starts_lost} workers were lost one after the other before they were ready, the last on {actor.node.host}: "
                    f"{_first_line(error)} Look at the logs of ray there, and at its memory."
                ) from error
            return
        if raised is not None:
            raise raised.again()
        actor.starting, self._starts_lost = None, 0

    def begin(self, actor: Actor) -> None:
        """An actor gets something to do."""
        actor.heard_at, actor.sign = time.monotonic(), None

    def finished(self, actor: Actor) -> None:
        """It did it; one that has done enough is replaced."""
        actor.num_done += 1
        if actor.num_done >= self._limits.tasks_per_worker:
            self.dismiss(actor)

    def dismiss(self, actor: Actor) -> None:
        """End an actor, alive or dead."""
        if actor in self.actors:
            self.actors.remove(actor)
        ray.kill(actor.handle, no_restart=True)
        self._looked_at = 0.0

    def watch(self, busy: Sequence[Actor]) -> None:
        """Ask those that have not been heard for a while whether they live."""
        interval = min(WATCH_S, self._limits.stall_limit_s / 3)
        for actor in busy:
            if actor.watching is None and time.monotonic() - actor.heard_at > interval:
                actor.watching = actor.handle.life.remote()

    def _heard(self, actor: Actor, ref: ray.ObjectRef) -> None:
        """Take note of an answer to `watch`; that of a dead actor shows elsewhere."""
        actor.watching = None
        try:
            life: Life = ray.get(ref)
        except RayError:
            return
        actor.heard_at, actor.sign = time.monotonic() - life.age_s, life.sign

    def forgive(self, seconds: float) -> None:
        """Do not hold against the actors a time in which nobody asked them."""
        for actor in self.actors:
            actor.heard_at += seconds

    def is_stalled(self, actor: Actor) -> bool:
        """Whether it has given no sign of life for too long, or no answer at all."""
        return time.monotonic() - actor.heard_at > self._limits.stall_limit_s

    def disband(self) -> None:
        """End all."""
        for actor in list(self.actors):
            self.dismiss(actor)


def _probe() -> Callable[[], str]:
    """A function that travels by value, to machines that may not have this module."""

    def versions() -> str:
        import platform
        from importlib.metadata import PackageNotFoundError, version

        try:
            valle = version("valle")
        except PackageNotFoundError:
            valle = "(none)"
        return f"valle {valle} with Python {'.'.join(platform.python_version_tuple()[:2])}"

    return versions


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
