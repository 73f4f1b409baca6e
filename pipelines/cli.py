"""The `valle` command line: what can be asked, in typer's words. Each function hands over to `pipelines.<command>`, imported when it runs."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from pipelines import cli_dataset, cli_metadata, cli_prepare
from pipelines.cli_options import ConfigFile, Debug, Json, LogFile, Overrides, example
from pipelines.command import Reporting, run_command
from pipelines.console import Console
from valle_data.errors import ExitCode

app = typer.Typer(name="valle", add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
config_app = typer.Typer(help="List, copy, show and check configurations.", rich_markup_mode=None)
app.add_typer(config_app, name="config")
app.add_typer(cli_metadata.app, name="metadata")

Kind = Annotated[str | None, typer.Option("--kind", metavar="KIND", help="What the file configures: prepare or train. Default: the name of its folder.")]


@app.callback(invoke_without_command=True)
def valle(context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    """From recordings to a voice: prepare a speech corpus, train a codec language model on it, and speak with it.

    The job in four steps: prepare, metadata, train, synth. `valle COMMAND --help` shows an example of each.
    """
    if version:
        from importlib.metadata import version as version_of

        typer.echo(f"valle {version_of('valle')}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.command(epilog=example(cli_prepare.EXAMPLE))(cli_prepare.prepare)
app.command(epilog=example(cli_dataset.REPAIR_EXAMPLE))(cli_dataset.repair)
app.command(epilog=example(cli_dataset.CONVERT_EXAMPLE))(cli_dataset.convert)


@app.command(epilog=example("valle train configs/train/digits.yaml optimizer.lr=1e-4 -o runs/digits"))
def train(
    config: ConfigFile,
    overrides: Overrides = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="RUN", help="Run folder. Default: runs/NAME-OF-CONFIG.")] = None,
    take_over: Annotated[bool, typer.Option("--take-over", help="Remove the lock of a run that is gone.")] = False,
    json: Json = False,
    debug: Debug = False,
    log_file: LogFile = None,
) -> int:
    """Train a model on a dataset. The same command resumes from the newest complete checkpoint in the run folder."""

    def action(console: Console) -> ExitCode:
        from pipelines import train as command
        from pipelines.config_files import load

        settings = load(command.TrainConfig, config, overrides)
        return command.run(settings, output=output or Path("runs", config.stem), console=console, take_over=take_over)

    return run_command("train", Reporting(json, debug, log_file), action)


@app.command(epilog=example('valle synth "one two three" --checkpoint runs/digits -o out.wav --temperature 0.8 --seed 1'))
def synth(
    checkpoint: Annotated[Path, typer.Option("--checkpoint", "-c", metavar="RUN", help="Run folder or one checkpoint in it.")],
    text: Annotated[list[str] | None, typer.Argument(metavar="TEXT", help="What to say; `-` reads lines from standard input.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="WAV", help="Wave file; several texts get -001, -002 ... before the suffix.")] = Path(
        "out.wav"
    ),
    text_file: Annotated[Path | None, typer.Option("--text-file", metavar="FILE", help="Say each line of this file.")] = None,
    prompt: Annotated[Path | None, typer.Option("--prompt", metavar="AUDIO", help="A few seconds of the voice to speak with.")] = None,
    prompt_text: Annotated[str | None, typer.Option("--prompt-text", help="What is said in the prompt.")] = None,
    language: Annotated[str | None, typer.Option("--language", help="BCP 47 tag, such as en-us. Default: the first language of the model.")] = None,
    temperature: Annotated[float, typer.Option("--temperature", min=0.0, help="0 takes the likeliest code.")] = 0.7,
    top_k: Annotated[int, typer.Option("--top-k", min=0, help="Draw from the k likeliest codes; 0: from all.")] = 0,
    top_p: Annotated[float, typer.Option("--top-p", min=0.0, max=1.0, help="Draw from the likeliest codes that together have this probability.")] = 0.9,
    repetition_penalty: Annotated[float, typer.Option("--repetition-penalty", min=0.0, help="Above 1 makes recent codes less likely; 1: off.")] = 1.0,
    repetition_window: Annotated[int, typer.Option("--repetition-window", min=0, help="Frames looked back on for repetition.")] = 10,
    repetition_threshold: Annotated[
        float,
        typer.Option("--repetition-threshold", min=0.0, max=1.0, help="Draw again from all codes when a code fills more of the window than this; 1: off."),
    ] = 1.0,
    max_duration: Annotated[float, typer.Option("--max-duration", min=0.0, metavar="SECONDS", help="Stop there.")] = 20.0,
    nar_temperature: Annotated[float, typer.Option("--nar-temperature", min=0.0, help="Of the levels above the first; 0 takes the likeliest code.")] = 0.0,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="The same seed says it the same way. Default: a new one each time.")] = None,
    codec: Annotated[str | None, typer.Option("--codec", metavar="NAME", help="Decode with another codec for the same codes, as vocos for encodec's.")] = None,
    json: Json = False,
    debug: Debug = False,
    log_file: LogFile = None,
) -> int:
    """Speak with a trained model. Prints why each text ended and how fast it was spoken."""

    def action(console: Console) -> ExitCode:
        from pipelines.synth_texts import gather_texts

        texts = gather_texts(text or [], text_file, sys.stdin)
        from pipelines import synth as command

        request = command.SynthOptions(
            texts=texts,
            checkpoint=checkpoint,
            output=output,
            prompt=prompt,
            prompt_text=prompt_text,
            language=language,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            repetition_penalty=repetition_penalty,
            repetition_window=repetition_window,
            repetition_threshold=repetition_threshold,
            max_duration_s=max_duration,
            nar_temperature=nar_temperature,
            seed=seed,
            codec=codec,
        )
        return command.run(request, console=console)

    return run_command("synth", Reporting(json, debug, log_file), action)


@app.command(epilog=example("valle doctor --json"))
def doctor(json: Json = False, debug: Debug = False) -> int:
    """Show what this machine and installation offer. Exit code 4 means that something required is missing."""

    def action(console: Console) -> ExitCode:
        from pipelines import doctor as command

        return command.run(console)

    return run_command("doctor", Reporting(json, debug, lines=False), action)


@app.command(epilog=example("valle explain truncated_audio"))
def explain(
    code: Annotated[str | None, typer.Argument(metavar="CODE", help="A reason code from a message or a quarantine table.")] = None,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Explain a reason code, or list all of them. The list ends with the exit codes."""

    def action(console: Console) -> ExitCode:
        from pipelines import explain as command

        return command.run(code, console)

    return run_command("explain", Reporting(json, debug, lines=False), action)


@config_app.command("ls", epilog=example("valle config ls"))
def config_ls(json: Json = False, debug: Debug = False) -> int:
    """List the configurations that ship with valle."""

    def action(console: Console) -> ExitCode:
        from pipelines import config_files

        return config_files.list_files(console)

    return run_command("config ls", Reporting(json, debug, lines=False), action)


@config_app.command("cp", epilog=example("valle config cp train/digits my-voice.yaml"))
def config_cp(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `valle config ls` prints it.")],
    folder: Annotated[Path, typer.Argument(metavar="TO", help="A .yaml file, or a folder that gets KIND/NAME.yaml and the files it builds on.")] = Path(
        "configs"
    ),
    debug: Debug = False,
) -> int:
    """Copy a configuration, with its bases, to change it."""

    def action(console: Console) -> ExitCode:
        from pipelines import config_files

        return config_files.copy(name, folder, console)

    return run_command("config cp", Reporting(False, debug, lines=False), action)


@config_app.command("show", epilog=example("valle config show configs/train/digits.yaml optimizer.lr=1e-4"))
def config_show(config: ConfigFile, overrides: Overrides = None, kind: Kind = None, debug: Debug = False) -> int:
    """Print a configuration as a run would use it. Bases are merged, overrides applied, defaults filled in."""

    def action(console: Console) -> ExitCode:
        from pipelines import config_files

        return config_files.show(config, overrides or [], kind, console)

    return run_command("config show", Reporting(False, debug, lines=False), action)


@config_app.command("validate", epilog=example("valle config validate configs/train/digits.yaml"))
def config_validate(config: ConfigFile, overrides: Overrides = None, kind: Kind = None, json: Json = False, debug: Debug = False) -> int:
    """Check a configuration. Every mistake is named at once, with its line and the nearest key."""

    def action(console: Console) -> ExitCode:
        from pipelines import config_files

        return config_files.validate(config, overrides or [], kind, console)

    return run_command("config validate", Reporting(json, debug, lines=False), action)


@config_app.command("schema", epilog=example("valle config schema train"))
def config_schema(kind: Annotated[str, typer.Argument(metavar="KIND", help="prepare or train.")], debug: Debug = False) -> int:
    """Print the JSON schema of a kind of configuration, for an editor."""

    def action(console: Console) -> ExitCode:
        from pipelines import config_files

        return config_files.schema(kind, console)

    return run_command("config schema", Reporting(False, debug, lines=False), action)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (default: this process's) and return the exit code."""
    try:
        return app(arguments, prog_name="valle", standalone_mode=False) or 0
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        sys.stderr.write(f"Error: {error.format_message()}{_dashed_override(error)} See: {context.command_path if context else 'valle'} --help\n")
        return ExitCode.USAGE
    except typer.Abort:
        return ExitCode.INTERRUPTED


def _dashed_override(error: typer.TyperException) -> str:
    """Someone who wrote `--optimizer.lr 1e-4` meant an override."""
    option = str(getattr(error, "option_name", ""))
    return f" A change to the configuration has no dashes: {option.lstrip('-')}=VALUE." if "." in option else ""
