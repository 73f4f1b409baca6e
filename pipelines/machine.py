"""What this process may use of its machine."""

import os


def usable_cores() -> int:
    """Cores this process may run on, which in a container or a batch job are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
