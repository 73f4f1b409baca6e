"""`valle explain`: what a reason code means and what to do about it."""

from pipelines.console import Console
from valle_data.errors import EXPLANATIONS, ExitCode, ReasonCode, UsageError
from valle_data.registry import nearest

EXIT_CODES = {
    ExitCode.DONE: "The work is done, or nothing was left to do.",
    ExitCode.RUN_FAILED: "The run failed; the message says why. Committed work is kept.",
    ExitCode.USAGE: "The command line or a configuration is wrong.",
    ExitCode.TOO_MANY_QUARANTINED: "The run finished, but more was quarantined than allowed.",
    ExitCode.ENVIRONMENT: "A package, program or device is missing; see `valle doctor`.",
    ExitCode.PREEMPTED: "The machine asked the run to stop; the same command resumes.",
    ExitCode.INTERRUPTED: "Somebody pressed Ctrl-C; the same command resumes.",
}


def run(code: str | None, console: Console) -> ExitCode:
    """Print one explanation, or the tables of reason codes and exit codes. Raises UsageError for an unknown code."""
    if code is None:
        console.table("Reason codes", ("code", "meaning", "remedy"), [(str(reason), *_texts(reason)) for reason in ReasonCode])
        console.table("Exit codes", ("code", "meaning"), [(int(exit_code), text) for exit_code, text in EXIT_CODES.items()])
        return ExitCode.DONE
    known = [str(reason) for reason in ReasonCode]
    name = code.strip().lower().replace("-", "_")
    if name not in known:
        raise UsageError(f"There is no reason code {code!r}.{nearest(name, known)} `valle explain` lists all {len(known)}.")
    meaning, remedy = _texts(ReasonCode(name))
    console.result({"code": name, "meaning": meaning, "remedy": remedy}, f"{name}\n  {meaning}\n  What to do: {remedy}")
    return ExitCode.DONE


def _texts(reason: ReasonCode) -> tuple[str, str]:
    explanation = EXPLANATIONS[reason]
    return explanation.meaning, explanation.remedy
