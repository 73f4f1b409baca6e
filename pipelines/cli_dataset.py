"""`valle repair` and `valle convert` in typer's words: what is done to a data set as a whole."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli_options import Debug, Json, LogFile, TakeOver
from pipelines.command import Reporting, run_command
from pipelines.console import Console
from valle_data.errors import ExitCode

REPAIR_EXAMPLE = "valle repair work/digits --dry-run"
CONVERT_EXAMPLE = "valle convert work/digits work/digits-hdf5 --shards hdf5"

DatasetFolder = Annotated[Path, typer.Argument(metavar="DATASET", help="Dataset folder, or s3://BUCKET/FOLDER.")]


class Shards(StrEnum):
    """Formats of shard files."""

    TAR = "tar"
    HDF5 = "hdf5"


def repair(
    dataset: DatasetFolder,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Also replace damaged parts by what is whole of them, and withdraw what cannot be saved.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is wrong and what would be done; change nothing.")] = False,
    take_over: TakeOver = False,
    json: Json = False,
    debug: Debug = False,
    log_file: LogFile = None,
) -> int:
    """Verify a dataset and mend it. Nothing is deleted: what is replaced goes to lost+found."""

    def action(console: Console) -> ExitCode:
        from pipelines import repair as command

        return command.run(dataset, console=console, rebuild=rebuild, dry_run=dry_run, take_over=take_over)

    return run_command("repair", Reporting(json, debug, log_file), action)


def convert(
    dataset: DatasetFolder,
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Folder for the converted dataset.")],
    shards: Annotated[Shards, typer.Option("--shards", help="Format of the new shards.")],
    take_over: TakeOver = False,
    json: Json = False,
    debug: Debug = False,
    log_file: LogFile = None,
) -> int:
    """Write a dataset with shards of another format. The same command resumes; there and back gives the same bytes."""

    def action(console: Console) -> ExitCode:
        from pipelines import convert as command

        return command.run(dataset, output, shards=shards.value, console=console, take_over=take_over)

    return run_command("convert", Reporting(json, debug, log_file), action)
