"""Options that most commands of `valle` share, and how their help shows an example."""

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file, or the name of one that ships with valle (`valle config ls`).")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Changes to the configuration, such as optimizer.lr=1e-4.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON lines to stdout; commands that run long do so whenever stdout is no terminal.")]
Debug = Annotated[bool, typer.Option("--debug", help="Print the traceback of a failure.")]
LogFile = Annotated[Path | None, typer.Option("--log-file", metavar="FILE", help="Append everything that is said, and any traceback, to this file.")]
TakeOver = Annotated[bool, typer.Option("--take-over", help="Remove the lock of a run that is gone.")]


def example(command: str) -> str:
    """An epilog that the help prints on a line of its own, to copy."""
    return f"\b\nExample:\n  {command}"
