"""The cluster: one that is there, or one of this machine that is started for the run and stopped after it."""

import logging
import math
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray
import ray._private.ray_constants as ray_constants
import ray._private.state as ray_state
import ray._private.worker as ray_worker

from pipelines.executors.base import Note
from pipelines.executors.pools import Pool
from pipelines.machine import usable_cores
from valle_data.errors import EnvironmentProblem

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_DEDUP_LOGS": "1"}
LITTLE_STORE_BYTES = 256 << 20
"""Of shared memory, where parts never go from one pool to another."""
LOOPBACK = ("127.0.0.1", "localhost", "::1", "local")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Node:
    """A machine of the cluster and what is free on it."""

    id: str
    host: str
    num_cpus: float
    free_cpus: float
    free_gpus: float
    free_bytes: float
    store_bytes: float


@contextmanager
def connected(address: str | None, pools: Sequence[Pool], wanted: Sequence[int | None], note: Note) -> Iterator[None]:
    """Within the block this process is a driver of the cluster at `address`, `auto` for the one that this machine belongs to; None starts one.

    Raises EnvironmentProblem where none answers. A connection that exists already is used and left alone.
    """
    if ray.is_initialized():
        yield
        return
    with _environment(QUIET), _signals_kept():
        _init(address, pools, wanted)
    _warn_of_open_ports(address, note)
    try:
        with _silenced():
            yield
    finally:
        with _signals_kept():
            ray.shutdown()


def _init(address: str | None, pools: Sequence[Pool], wanted: Sequence[int | None]) -> None:
    common = {"log_to_driver": False, "logging_level": logging.ERROR, "namespace": "valle"}
    try:
        if address is not None:
            ray.init(address=address, **common)
            return
        needed = math.ceil(sum((count or 1) * pool.num_cpus for pool, count in zip(pools, wanted, strict=True)))
        store = {"object_store_memory": LITTLE_STORE_BYTES} if len(pools) == 1 else {}
        with _loopback():
            ray.init(address="local", num_cpus=max(usable_cores(), needed), include_dashboard=False, **store, **common)
    except Exception as error:  # ray raises just that when its daemons do not come up in time
        where = f"at {address!r}" if address else "on this machine"
        raise EnvironmentProblem(
            f"Ray {where} cannot be reached or started: {str(error).splitlines()[0] if str(error) else type(error).__name__} "
            "Check the address and that `ray status` answers there, with the same version of ray; leave `--address` out to start one on this machine."
        ) from error


def _warn_of_open_ports(address: str | None, note: Note) -> None:
    host = (address or "local").rpartition("://")[2].rpartition(":")[0] or (address or "local")
    if host not in (*LOOPBACK, "auto") and os.environ.get("RAY_AUTH_MODE") != "token":
        note(f"Ray at {address} runs code for whoever reaches its ports. Start it, and valle, with RAY_AUTH_MODE=token (`ray get-auth-token --generate`).")


@contextmanager
def _loopback() -> Iterator[None]:
    """What ray starts within the block listens on 127.0.0.1 only, as it does on systems where it offers no clusters; it asks for its token there, too."""
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def _silenced() -> Iterator[None]:
    """Messages of ray's daemons go to the log of this program, not into its output."""
    before = ray_worker.print_to_stdstream
    ray_worker.print_to_stdstream = lambda data, **_rest: logger.info("%s", data.get("lines"))
    try:
        yield
    finally:
        ray_worker.print_to_stdstream = before


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Within the block these variables are set; ray reads them, and its processes inherit them."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


@contextmanager
def _signals_kept() -> Iterator[None]:
    """What signals do stays as it is, whatever ray installs."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def nodes() -> list[Node]:
    """The machines that are up."""
    free = ray_state.available_resources_per_node()
    return [_node(item, free.get(item["NodeID"], {})) for item in ray.nodes() if item["Alive"]]


def _node(item: Mapping[str, Any], free: Mapping[str, float]) -> Node:
    total = item["Resources"]
    return Node(
        id=item["NodeID"],
        host=f"{item['NodeManagerHostname']} ({item['NodeManagerAddress']})",
        num_cpus=total.get("CPU", 0.0),
        free_cpus=free.get("CPU", 0.0),
        free_gpus=free.get("GPU", 0.0),
        free_bytes=free.get("memory", 0.0),
        store_bytes=total.get("object_store_memory", 0.0),
    )
