"""Which worker goes where: every pool gets one before any gets two, and none more than a machine holds."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipelines.executors.pools import Pool
from pipelines.executors.ray_cluster import Node

LARGE_CPUS = 4
"""A machine with so many cores keeps one for its daemons, unless it is told how many workers to have."""


@dataclass(frozen=True)
class Placement:
    """A worker of pool number `step` on a machine."""

    step: int
    node: Node


def place(pools: Sequence[Pool], wanted: Sequence[int | None], have: Counter[int], nodes: Sequence[Node]) -> list[Placement]:
    """The workers to add to those that a pool has already, as far as there is room; `wanted` None means: as many as there is room for."""
    free = {node.id: node for node in nodes}
    count, placements, full = Counter(have), [], set()
    while open_steps := [step for step in range(len(pools)) if step not in full and (wanted[step] is None or count[step] < (wanted[step] or 0))]:
        step = min(open_steps, key=lambda number: (count[number], number))
        fitting = [node for node in free.values() if _fits(pools[step], node, may_fill=wanted[step] is not None)]
        if not fitting:
            full.add(step)
            continue
        node = max(fitting, key=lambda item: (item.free_cpus, item.id))
        free[node.id] = _less(node, pools[step], may_fill=wanted[step] is not None)
        count[step] += 1
        placements.append(Placement(step, node))
    return placements


def _fits(pool: Pool, node: Node, *, may_fill: bool) -> bool:
    slack = 0.0 if may_fill or node.num_cpus < LARGE_CPUS else 1.0
    return node.free_cpus - slack >= _cpus(pool, may_fill) and node.free_gpus >= pool.num_gpus and node.free_bytes >= (pool.memory_bytes or 0)


def _cpus(pool: Pool, may_fill: bool) -> float:
    """What a worker counts for: one that asks for nothing would fit without end where numbers are automatic."""
    return pool.num_cpus if may_fill or pool.num_cpus or pool.num_gpus else 1.0


def _less(node: Node, pool: Pool, *, may_fill: bool) -> Node:
    return replace(
        node,
        free_cpus=node.free_cpus - _cpus(pool, may_fill),
        free_gpus=node.free_gpus - pool.num_gpus,
        free_bytes=node.free_bytes - (pool.memory_bytes or 0),
    )
