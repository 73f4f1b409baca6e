"""The one wrapper around every command: errors become a sentence and an exit code, tracebacks go to a file."""

import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipelines.console import Console
from pipelines.run_log import STORAGE_ERRORS, RunLog
from valle_data.errors import EXPLANATIONS, ExitCode, ReasonCode, ValleError


@dataclass(frozen=True)
class Reporting:
    """How a command speaks. `lines`: JSON lines also whenever stdout is no terminal, for commands that run long."""

    as_json: bool = False
    debug: bool = False
    log_file: Path | None = None
    lines: bool = True


def run_command(name: str, reporting: Reporting, action: Callable[[Console], ExitCode]) -> int:
    """Run `action` with the console it asks for and return the exit code of the process. Nothing escapes but SystemExit."""
    # Threads that wait by sleeping: spinning ones make a run beside other work many times slower. Read by OpenMP when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    console = Console(as_json=reporting.as_json or (reporting.lines and not sys.stdout.isatty()))
    try:
        with RunLog(reporting.log_file) as log:
            console.log = log
            log.write("start", f"valle {name}: {' '.join(sys.argv[1:])}")
            code = _guarded(name, reporting, console, action)
            log.write("end", f"exit code {int(code)}")
            return int(code)
    except ValleError as error:
        console.error(str(error), error.exit_code)
        return int(error.exit_code)
    except OSError as error:
        console.log = RunLog(None)
        console.error(f"The log file {reporting.log_file} cannot be written any more: {error.strerror}.", ExitCode.RUN_FAILED)
        return int(ExitCode.RUN_FAILED)


def _guarded(name: str, reporting: Reporting, console: Console, action: Callable[[Console], ExitCode]) -> ExitCode:
    try:
        return action(console)
    except ValleError as error:
        if console.log.path is not None:
            console.log.keep_traceback(error, name)
        return _fail(console, reporting, error, str(error), error.exit_code)
    except KeyboardInterrupt:
        console.error("Interrupted. What was already committed is kept.", ExitCode.INTERRUPTED)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`valle config ls | head -1`): nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.RUN_FAILED
    except Exception as error:  # the last resort: nobody should have to read a traceback to learn that a command failed
        if isinstance(error, OSError) and error.errno in STORAGE_ERRORS:
            console.log.keep_traceback(error, name)
            sentence = f"{ReasonCode.STORAGE_FAILED}: {error.strerror}: {error.filename or 'the output'}. {EXPLANATIONS[ReasonCode.STORAGE_FAILED].remedy}"
            return _fail(console, reporting, error, sentence, ExitCode.RUN_FAILED)
        where = console.log.keep_traceback(error, name)
        kept = f"The traceback is in {where}" if where else "The traceback could not be written to a file"
        sentence = f"valle {name} stopped on an unexpected {type(error).__name__}: {error}. {kept}; --debug prints it here."
        return _fail(console, reporting, error, sentence, ExitCode.RUN_FAILED)


def _fail(console: Console, reporting: Reporting, error: BaseException, sentence: str, code: ExitCode) -> ExitCode:
    if reporting.debug:
        traceback.print_exception(error)
    console.error(sentence, code)
    return code
