"""`valle convert`: a prepared data set -> the same one with shards of another format. The same command resumes."""

from pathlib import Path

from pipelines.console import Console
from pipelines.metadata import SPLIT_LIST
from pipelines.metadata_tables.write import FOLDER, SPLITS
from valle_data import attribution, files
from valle_data.errors import ExitCode
from valle_data.shards import SHARDS, lock
from valle_data.shards.convert import convert
from valle_data.shards.record import CommitRecord
from valle_data.stores.remote_path import locate

DECISIONS = (SPLIT_LIST, attribution.NAME, SPLITS)
"""What of `metadata/` is no function of the parts: who is held out, and who speaks."""


def run(dataset: Path, output: Path, *, shards: str, console: Console, take_over: bool = False) -> ExitCode:
    """Convert the data set in `dataset` into the folder `output`, both local or in an object store.

    Raises UsageError for an unknown format or an output that is the data set itself; InputError as `convert` does, and `output_locked`.
    """
    SHARDS[shards]  # refuses a mistyped name, or a package that is missing, before anything is written
    dataset, output = locate(dataset), locate(output)
    files.make_folder(output)
    with lock.hold(output, take_over=take_over, note=console.warning):
        total = len([name for name in files.names(dataset / "shards") if name.endswith(".json")])
        done = [0, 0.0]

        with console.progress(total, "Converting", "parts") as progress:

            def looked_at(record: CommitRecord) -> None:
                done[0] += record.num_utterances
                done[1] += record.duration_s
                progress.advance()

            num_parts = convert(dataset, output, shards, looked_at)
        _carry_over(dataset, output)
    console.info(f"Converted {num_parts:,} parts, {done[0]:,} utterances, {done[1] / 3600:.2f} h, to {shards} in {output}.")
    console.info(f"Splits and statistics are made anew by `valle metadata {output}`; the splits come out the same.")
    return ExitCode.DONE


def _carry_over(dataset: Path, output: Path) -> None:
    """The decisions of `dataset`, so that nobody who was held out there is trained on here; those that `output` has already stay."""
    for name in DECISIONS:
        source, target = dataset / FOLDER / name, output / FOLDER / name
        if source.is_file() and not target.is_file():
            files.make_folder(target.parent)
            files.write_atomically(target, files.read(source))
