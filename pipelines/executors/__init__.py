"""Executors: who runs the parts of a job, and what happens when a worker dies."""

from valle_data.registry import Table

EXECUTORS = Table(
    "executor",
    {"local": "pipelines.executors.local:LocalExecutor", "ray": "pipelines.executors.ray:RayExecutor"},
    extras={"ray": "ray"},
)
