"""The command line of `valle metadata`: a group whose sub-command may be left out. Each function hands over to its module, imported when it runs."""

import difflib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pipelines import cli_metadata_compare as compare
from pipelines.cli_metadata_compare import Dataset, Where, located
from pipelines.cli_options import Debug, Json, LogFile, TakeOver, example
from pipelines.command import Reporting, run_command
from pipelines.console import Console
from valle_data.errors import ExitCode

DEFAULT = "merge"
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Of the split; adding data never moves an utterance across it. Default: 0.")]
Share = Annotated[float | None, typer.Option("--validation-fraction", min=0.0, max=0.9, help="Share kept for validation. Default: 0.05.")]


class SplitBy(StrEnum):
    """What a split never divides."""

    SPEAKER = "speaker"
    RECORDING = "recording"
    UTTERANCE = "utterance"


class MetadataGroup(TyperGroup):
    """`valle metadata DATASET ...` is `valle metadata merge DATASET ...`, unless the first word reads like another sub-command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [DEFAULT, *args] if self._means_default(args) else args)

    def _means_default(self, args: list[str]) -> bool:
        if not args or args[0].startswith("-"):
            return args != ["--help"]
        if args[0] in self.commands:
            return False
        return Path(args[0]).exists() or not difflib.get_close_matches(args[0], list(self.commands), n=1, cutoff=0.7)


app = typer.Typer(
    cls=MetadataGroup,
    help="Merge, split, check and look at a dataset. `valle metadata DATASET` is `valle metadata merge DATASET`.",
    epilog=example("valle metadata work/digits"),
    rich_markup_mode=None,
)


@app.command(epilog=example("valle metadata merge work/digits --split-by utterance --validation-fraction 0.05"))
def merge(
    dataset: Dataset,
    check: Annotated[bool, typer.Option("--check", help="Verify every hash, count and row instead; write nothing.")] = False,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write the HTML report with histograms and audio.")] = True,
    split_by: Annotated[SplitBy | None, typer.Option("--split-by", help="What stays together in a split. Default: utterance.")] = None,
    validation_fraction: Share = None,
    take_over: TakeOver = False,
    seed: Seed = None,
    where: Annotated[str | None, typer.Option("--where", metavar="FILTER", help="The report is on these utterances only; tables hold all.")] = None,
    json: Json = False,
    debug: Debug = False,
    log_file: LogFile = None,
) -> int:
    """Merge the index, split, count and report. The default: the word `merge` may be left out.

    The rule of an earlier split stays in force; options given here change it.
    """

    def action(console: Console) -> ExitCode:
        from pipelines import metadata as command

        return command.run(
            located(dataset),
            console=console,
            check=check,
            report=report,
            seed=seed,
            validation_fraction=validation_fraction,
            split_by=split_by.value if split_by else None,
            where=where,
            take_over=take_over,
        )

    return run_command("metadata", Reporting(json, debug, log_file), action)


@app.command(epilog=example("valle metadata check work/digits"))
def check(dataset: Dataset, json: Json = False, debug: Debug = False, log_file: LogFile = None) -> int:
    """Verify every hash, count, row and code.

    Writes nothing. Exit code 1 means that something is wrong.
    """

    def action(console: Console) -> ExitCode:
        from pipelines import metadata as command

        return command.run(located(dataset), console=console, check=True)

    return run_command("metadata check", Reporting(json, debug, log_file), action)


@app.command(epilog=example("valle metadata split work/digits --by speaker --validation-fraction 0.05 --test-fraction 0.05"))
def split(
    dataset: Dataset,
    by: Annotated[SplitBy, typer.Option("--by", help="What stays together in a split.")] = SplitBy.UTTERANCE,
    validation_fraction: Share = None,
    test_fraction: Annotated[float, typer.Option("--test-fraction", min=0.0, max=0.9, help="Share kept for a test set.")] = 0.0,
    validation_where: Annotated[
        str | None, typer.Option("--validation-where", metavar="FILTER", help="These, and what stays with them, are for validation.")
    ] = None,
    test_where: Annotated[str | None, typer.Option("--test-where", metavar="FILTER", help="These, and what stays with them, are for the test set.")] = None,
    list_file: Annotated[Path | None, typer.Option("--list", metavar="FILE", help="Lines of an utterance id and train, validation or test.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the draw; adding data never moves an utterance.")] = 0,
    take_over: TakeOver = False,
    json: Json = False,
    debug: Debug = False,
    log_file: LogFile = None,
) -> int:
    """State the rule of the split and draw it.

    By shares, by filters, by a list; later merges keep the rule. A list comes before filters, filters before shares. With a filter or a list for
    validation, nothing more is drawn for it unless a fraction is given.
    """

    def action(console: Console) -> ExitCode:
        from pipelines import metadata as command

        return command.split(
            located(dataset),
            console=console,
            options=command.SplitOptions(
                by=by.value,
                validation_fraction=validation_fraction,
                test_fraction=test_fraction,
                validation_where=validation_where,
                test_where=test_where,
                list_file=list_file,
                seed=seed,
            ),
            take_over=take_over,
        )

    return run_command("metadata split", Reporting(json, debug, log_file), action)


@app.command(epilog=example("valle metadata stats work/digits --by speaker --where \"duration_s > 1 and language like 'en*'\""))
def stats(
    dataset: Dataset,
    where: Where = None,
    by: Annotated[list[str] | None, typer.Option("--by", metavar="COLUMN", help="Hours for each value of this column; may be given again.")] = None,
    most: Annotated[int, typer.Option("--most", min=1, help="Rows of a table at most, those with most hours first.")] = 20,
    json: Json = False,
    debug: Debug = False,
    log_file: LogFile = None,
) -> int:
    """Count hours, scores and quarantine.

    Totals, hours by speaker, group, language and corpus, quantiles of every score, quarantine by reason and stage. Writes nothing.
    """

    def action(console: Console) -> ExitCode:
        from pipelines.metadata_commands import stats as command

        return command.run(located(dataset), console=console, where=where, by=tuple(by or ()), most=most)

    return run_command("metadata stats", Reporting(json, debug, log_file), action)


app.command(epilog=example(compare.VOCAB_EXAMPLE))(compare.vocab)
app.command(epilog=example(compare.SIMILAR_EXAMPLE))(compare.similar)
app.command(epilog=example(compare.SPEAKERS_EXAMPLE))(compare.speakers)
app.command(epilog=example(compare.DUPLICATES_EXAMPLE))(compare.duplicates)


@app.command(epilog=example("valle metadata hdf5 work/digits work/digits-hdf5"))
def hdf5(
    dataset: Dataset,
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Folder of the converted dataset.")],
    take_over: TakeOver = False,
    json: Json = False,
    debug: Debug = False,
    log_file: LogFile = None,
) -> int:
    """Convert the shards to HDF5.

    Into a dataset of its own; the same command resumes. `valle convert` knows all formats, and the way back.
    """

    def action(console: Console) -> ExitCode:
        from pipelines import convert as command

        return command.run(dataset, output, shards="hdf5", console=console, take_over=take_over)

    return run_command("metadata hdf5", Reporting(json, debug, log_file), action)


@app.command(epilog=example("valle metadata compact work/digits"))
def compact(dataset: Dataset, take_over: TakeOver = False, json: Json = False, debug: Debug = False, log_file: LogFile = None) -> int:
    """Merge copies of all indices, to open faster.

    For datasets of many thousand parts, or in an object store. The parts stay as they are and remain the truth.
    """

    def action(console: Console) -> ExitCode:
        from pipelines.metadata_commands import compact as command

        return command.run(located(dataset), console=console, take_over=take_over)

    return run_command("metadata compact", Reporting(json, debug, log_file), action)


@app.command(epilog=example("valle metadata sample work/digits --explain --steps 200 sampler.mode=speaker"))
def sample(
    dataset: Dataset,
    overrides: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Changes to the sampler, such as sampler.mode=speaker.")] = None,
    config: Annotated[Path | None, typer.Option("--config", metavar="CONFIG", help="Take the sampler of this training configuration.")] = None,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Micro-batches to look at.")] = 100,
    explain: Annotated[bool, typer.Option("--explain", help="Expected against realised shares, levels, padding, coverage; else: list the draws.")] = False,
    split: Annotated[str, typer.Option("--split", help="Which split is sampled.")] = "train",
    most: Annotated[int, typer.Option("--most", min=1, help="Rows of a table at most.")] = 20,
    json: Json = False,
    debug: Debug = False,
    log_file: LogFile = None,
) -> int:
    """Show what training would draw."""

    def action(console: Console) -> ExitCode:
        from pipelines.metadata_commands import sample as command

        return command.run(located(dataset), overrides or [], console=console, config=config, steps=steps, explain=explain, split=split, most=most)

    return run_command("metadata sample", Reporting(json, debug, log_file), action)
