"""Several nodes of Ray on this machine, each with daemons and one core of its own, for benchmarks that kill them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

START_ATTEMPTS = 5


def ray_cluster(nodes: int) -> Any:
    """A started cluster. Ray gives its daemons 30 s, which on a busy machine may take another try."""
    from ray.cluster_utils import Cluster

    for left in reversed(range(START_ATTEMPTS)):
        try:
            made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
            for _ in range(nodes - 1):
                made.add_node(num_cpus=1)
            return made
        except Exception as error:  # ray raises just that
            if not left:
                raise
            print(f"Once more: {error}", file=sys.stderr)
    raise AssertionError("the loop returns or raises")


def add_node(cluster: Any) -> None:
    """One more machine, unless it is slow to come: then the run goes on with those that are left."""
    try:
        cluster.add_node(num_cpus=1)
    except Exception as error:  # ray raises just that when its daemons are not up in 30 s
        print(f"No new node: {error}", file=sys.stderr)


@contextmanager
def cluster_of(nodes: int) -> Iterator[Any]:
    """Ray's daemons of so many machines, one core each, on this one."""
    made = ray_cluster(nodes)
    try:
        yield made
    finally:
        made.shutdown()
