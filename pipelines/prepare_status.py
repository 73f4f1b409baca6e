"""`valle prepare --status DATASET`: how far a data set is, who works on it, how fast, and what is in quarantine. Reads the folder only."""

import socket
from pathlib import Path

from pipelines.console import Cell, Console
from pipelines.prepare_state import pace, summarize
from valle_data.errors import ExitCode
from valle_data.shards import lock
from valle_data.shards.manifest import DatasetManifest
from valle_data.shards.plan import committed_numbers, plan_files, unfinished_parts
from valle_data.stores.remote_path import RemotePath


def status(dataset: Path, console: Console) -> ExitCode:
    """Show the state of the data set in the folder `dataset`. Raises InputError for a folder that is none, or a damaged commit record."""
    manifest = DatasetManifest.load(dataset)
    summary, finished = summarize(dataset), committed_numbers(dataset)
    left_s = [part.duration_s for part in unfinished_parts(dataset, finished)]
    recent = pace(dataset)
    rate = recent.hours_per_hour if recent else None
    rows: list[tuple[str, Cell]] = [
        ("codec", str(manifest.codec)),
        ("phonemizer", str(manifest.phonemizer)),
        ("stages", ", ".join(manifest.stages)),
        ("parts finished", summary.num_parts),
        ("parts planned and not finished", len(left_s)),
        ("utterances", summary.num_utterances),
        ("hours", round(summary.duration_s / 3600, 3)),
        ("hours planned and not finished", round(sum(left_s) / 3600, 3)),
        ("hours per hour, lately", None if rate is None else round(rate, 1)),
        ("time left for what is planned", None if not rate or not left_s else lock.describe_age(sum(left_s) / rate)),
        ("in quarantine", summary.num_quarantined),
        *((f"  {reason}", count) for reason, count in summary.reasons.items()),
        ("worked on by", _holder(dataset)),
    ]
    console.table(f"State of {dataset}", ["what", "value"], rows)
    if not plan_files(dataset):
        console.info("Nothing is planned yet: the corpus is being listed, or the run ended before.")
    return ExitCode.DONE


def _holder(dataset: Path) -> str:
    if isinstance(dataset, RemotePath):
        return "unknown: the folder is in an object store"
    holder = lock.read_holder(dataset / lock.NAME)
    if holder is None:
        return "nobody"
    is_gone = holder.host == socket.gethostname() and not lock.is_alive(holder)
    return f"{holder}{', which is gone: the same command resumes' if is_gone else ''}"
