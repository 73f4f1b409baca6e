"""`valle prepare` in typer's words."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.cli_options import Debug, Json, LogFile, Overrides, TakeOver
from pipelines.command import Reporting, run_command
from pipelines.console import Console
from valle_data.errors import ExitCode, UsageError

EXAMPLE = "valle prepare configs/prepare/digits.yaml -o work/digits --workers 2"


def prepare(
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG", help="YAML file, or the name of one that ships with valle (`valle config ls`).", show_default=False)
    ] = None,
    overrides: Overrides = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DATASET", help="Dataset folder, or s3://BUCKET/FOLDER. Default: work/NAME-OF-CONFIG.")
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=0, help="Worker processes; 0: none but this one. Default: one for each core.")] = None,
    address: Annotated[
        str | None, typer.Option("--address", metavar="ADDRESS", help="Work on a Ray cluster: HOST:PORT, `auto`, or `local` for one on this machine.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Plan so many new utterances in this run and no more.")] = None,
    reuse: Annotated[
        list[Path] | None,
        typer.Option("--reuse", metavar="DATASET", help="Take from it what stages with the same options would make again; may be given several times."),
    ] = None,
    retry_quarantine: Annotated[
        list[str] | None, typer.Option("--retry-quarantine", metavar="REASON", help="Try again what was refused for this reason; may be given several times.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done: parts, hours, disk, memory, time. Writes nothing.")] = False,
    status: Annotated[Path | None, typer.Option("--status", metavar="DATASET", help="Show how far a dataset is, and what is in quarantine.")] = None,
    take_over: TakeOver = False,
    json: Json = False,
    debug: Debug = False,
    log_file: LogFile = None,
) -> int:
    """Turn recordings into a dataset of codes and phones. The same command resumes what was interrupted."""

    def action(console: Console) -> ExitCode:
        from valle_data.stores.remote_path import locate

        if status is not None:
            from pipelines.prepare_status import status as show_status

            return show_status(locate(status), console)
        if config is None:
            raise UsageError("`valle prepare` wants a configuration: `valle config ls` lists those that ship with valle. Or ask for `--status DATASET`.")
        from pipelines import prepare as command
        from pipelines.config_files import load

        settings, target = load(command.PrepareConfig, config, overrides), locate(output) if output else Path("work", config.stem)
        executor = _executor(settings.executor, workers, address)
        if dry_run:
            if limit or reuse or retry_quarantine:
                raise UsageError("`--dry-run` forecasts a whole run: leave out `--limit`, `--reuse` and `--retry-quarantine`.")
            from pipelines.prepare_forecast import dry_run as forecast

            return forecast(settings, target, executor.workers or 1, console)
        options = command.PrepareOptions(take_over, limit, _reasons(retry_quarantine), tuple(locate(path) for path in reuse or ()))
        return command.run(settings, output=target, executor=executor, console=console, options=options)

    return run_command("prepare", Reporting(json, debug, log_file), action)


def _executor(configured: Any, workers: int | None, address: str | None) -> Any:
    """The configured executor, or the local one, as the flags change it. An address asks for Ray."""
    from pipelines.executors import EXECUTORS
    from pipelines.machine import usable_cores

    name = "ray" if address is not None else configured.name if configured else "local"
    options = configured.model_dump(exclude_unset=True) if configured and configured.name == name else {}
    if address is not None:
        options["address"] = None if address == "local" else address
    if workers is not None:
        options["workers"] = workers
    elif name == "local":
        options.setdefault("workers", usable_cores())
    if name == "ray" and workers == 0:
        raise UsageError("On a Ray cluster the work is done by workers: `--workers` is at least 1 there. Leave it out to use the whole cluster.")
    return EXECUTORS[name].Config(**options)


def _reasons(names: list[str] | None) -> tuple[str, ...]:
    from valle_data.errors import ReasonCode
    from valle_data.registry import nearest

    for name in names or ():
        if name not in set(ReasonCode):
            raise UsageError(f"{name!r} is no reason code.{nearest(name, map(str, ReasonCode))} `valle explain` lists them.")
    return tuple(names or ())
