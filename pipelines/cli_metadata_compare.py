"""Sub-commands of `valle metadata` that hold utterances, or their phones, against one another, in typer's words."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli_options import Debug, Json, LogFile, TakeOver
from pipelines.command import Reporting, run_command
from pipelines.console import Console
from valle_data.errors import ExitCode

VOCAB_EXAMPLE = "valle metadata vocab work/digits --against runs/digits"
SIMILAR_EXAMPLE = "valle metadata similar work/digits --k 10"
SPEAKERS_EXAMPLE = "valle metadata speakers work/digits --threshold 0.75 --where \"speaker = 'unknown'\""
DUPLICATES_EXAMPLE = "valle metadata duplicates work/digits"

Dataset = Annotated[Path, typer.Argument(metavar="DATASET", help="Dataset folder written by `valle prepare`.")]
Where = Annotated[str | None, typer.Option("--where", metavar="FILTER", help='Only utterances of which this is true, such as "snr_db > 20 and cer < 0.1".')]


def located(dataset: Path) -> Path:
    """The dataset folder, which may be the address of one in an object store."""
    from valle_data.stores.remote_path import locate

    return locate(dataset)


def vocab(
    dataset: Dataset,
    against: Annotated[Path, typer.Option("--against", metavar="RUN|DATASET|FILE", help="Whose phones: a run, a dataset, or a file with one a line.")],
    where: Where = None,
    json: Json = False,
    debug: Debug = False,
    log_file: LogFile = None,
) -> int:
    """List phones that another vocabulary lacks.

    With counts and example utterances, and the phones of it that nobody says here. Exit code 1 when some lack.
    """

    def action(console: Console) -> ExitCode:
        from pipelines.metadata_commands import vocab as command

        return command.run(located(dataset), against, console=console, where=where)

    return run_command("metadata vocab", Reporting(json, debug, log_file), action)


def similar(
    dataset: Dataset,
    k: Annotated[int, typer.Option("--k", min=1, max=100, help="Similar utterances of each.")] = 10,
    vectors: Annotated[str, typer.Option("--vectors", metavar="NAME", help="Which stored vectors are compared.")] = "speaker",
    where: Where = None,
    take_over: TakeOver = False,
    json: Json = False,
    debug: Debug = False,
    log_file: LogFile = None,
) -> int:
    """Find utterances that sound alike, for prompts.

    Of the same speaker, by the cosine of their stored vectors: metadata/similar.parquet.
    """

    def action(console: Console) -> ExitCode:
        from pipelines.metadata_commands import similar as command

        return command.run(located(dataset), console=console, k=k, side=vectors, where=where, take_over=take_over)

    return run_command("metadata similar", Reporting(json, debug, log_file), action)


def speakers(
    dataset: Dataset,
    threshold: Annotated[
        float | None, typer.Option("--threshold", min=-1.0, max=1.0, help="Utterances as alike as this (cosine) are one voice. Default: 0.75.")
    ] = None,
    num_speakers: Annotated[int | None, typer.Option("--num-speakers", min=1, help="Find so many voices instead.")] = None,
    vectors: Annotated[str, typer.Option("--vectors", metavar="NAME", help="Which stored vectors are compared.")] = "speaker",
    where: Where = None,
    take_over: TakeOver = False,
    json: Json = False,
    debug: Debug = False,
    log_file: LogFile = None,
) -> int:
    """Tell speakers apart by their voices.

    For corpora that do not say who speaks: metadata/speaker_attribution.parquet. The next merge lays it over the index.
    """

    def action(console: Console) -> ExitCode:
        from pipelines.metadata_commands import speakers as command

        folder = located(dataset)
        return command.run(folder, console=console, threshold=threshold, num_speakers=num_speakers, side=vectors, where=where, take_over=take_over)

    return run_command("metadata speakers", Reporting(json, debug, log_file), action)


def duplicates(
    dataset: Dataset,
    by: Annotated[list[str] | None, typer.Option("--by", metavar="COLUMN", help="What is compared; may be given again. Default: the fingerprint.")] = None,
    where: Where = None,
    take_over: TakeOver = False,
    json: Json = False,
    debug: Debug = False,
    log_file: LogFile = None,
) -> int:
    """Find utterances with the same content.

    Writes metadata/duplicates.parquet and removes nothing.
    """

    def action(console: Console) -> ExitCode:
        from pipelines.metadata_commands import duplicates as command

        return command.run(located(dataset), console=console, by=tuple(by or ()), where=where, take_over=take_over)

    return run_command("metadata duplicates", Reporting(json, debug, log_file), action)
