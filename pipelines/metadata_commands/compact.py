"""`valle metadata compact`: merged copies of all commit records and indices, so that opening many parts is quick."""

from pathlib import Path

from pipelines.console import Console
from pipelines.metadata import holding
from valle_data.errors import ExitCode
from valle_data.shards.compact import compact
from valle_data.shards.manifest import DatasetManifest


def run(dataset: Path, *, console: Console, take_over: bool = False) -> ExitCode:
    """Merge the parts of `dataset`. Raises InputError for a damaged part, naming it, and `output_locked`."""
    DatasetManifest.load(dataset)
    with holding(dataset, console, take_over):
        num_parts = compact(dataset)
    text = f"Merged {num_parts:,} parts of {dataset}. The copies are used until a part is added; then run this again."
    console.result({"num_parts": num_parts}, text)
    return ExitCode.DONE
