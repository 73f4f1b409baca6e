"""Pools: which stages run in one process, what such a process needs, and how many of them there are."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveInt

from valle_data.config import Config


class Pool(Config):
    """Workers that run a few consecutive stages of every part, each with its own share of a machine.

    `num_cpus`, `num_gpus` (0.5: two workers share one) and `memory_bytes` are what a worker is given; `workers` is how many there are, `auto` as many as
    the machines hold.
    """

    stages: tuple[str, ...] = Field(default=(), min_length=1)
    num_cpus: NonNegativeFloat = 1.0
    num_gpus: NonNegativeFloat = 0.0
    memory_bytes: PositiveInt | None = None
    workers: Literal["auto"] | PositiveInt = "auto"


def divided(pools: Sequence[Pool], stages: Sequence[str]) -> tuple[Pool, ...]:
    """The pools, which must name every stage once and in order; one pool of all stages where there are none. Raises ValueError."""
    if not pools:
        return (Pool(stages=tuple(stages)),)
    named = [name for pool in pools for name in pool.stages]
    if named != list(stages):
        raise ValueError(f"`pools` name every stage that runs once and in order: {', '.join(stages)}; these name {', '.join(named)}")
    return tuple(pools)
