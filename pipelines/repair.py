"""`valle repair`: verify a data set, say what is wrong and what would be done about it, and do it."""

from pathlib import Path

from pipelines.console import Cell, Console
from valle_data import files
from valle_data.errors import ExitCode
from valle_data.shards import lock
from valle_data.shards.base import part_name
from valle_data.shards.check import NO_PART
from valle_data.shards.repair import LOST_AND_FOUND, Action, Repair, refuse_remote
from valle_data.stores.remote_path import locate

MOST_SHOWN = 1000
ROUNDS = 4


def run(dataset: Path, *, console: Console, rebuild: bool = False, dry_run: bool = False, take_over: bool = False) -> ExitCode:
    """Repair the data set in the folder `dataset`; exit code 1 while something is left to do.

    Without `rebuild`, nothing is given up: leftovers are moved away, misplaced files put back, lost indices and records made again where that gives the very
    bytes that were lost. With it, damaged parts are replaced by what is whole of them, and parts that cannot be saved are withdrawn. With `dry_run` nothing
    is changed. Raises InputError for a folder that is no data set, and `output_locked`; UsageError for a data set in an object store without `dry_run`.
    """
    dataset = locate(dataset)
    if dry_run:
        found = _look(dataset, console)
        _show(found, f"Problems in {dataset}", console)
        return _sum_up(dataset, found, console, "Nothing was changed.")
    refuse_remote(dataset)
    with lock.hold(dataset, take_over=take_over, note=console.warning):
        left = _look(dataset, console)
        for _ in range(ROUNDS):  # a file that is put back may show what else is wrong with its part
            chosen = [action for action in left if rebuild or not action.needs_consent]
            if not chosen:
                break
            _show(chosen, f"Done in {dataset}", console)
            for action in chosen:
                action.do()
            left = _look(dataset, console)
    _show(left, f"Left in {dataset}", console)
    more = f"Without --rebuild nothing is given up; with it damaged parts are replaced, and copies kept in {dataset / LOST_AND_FOUND}." if not rebuild else ""
    return _sum_up(dataset, left, console, more)


def _look(dataset: Path, console: Console) -> list[Action]:
    total = sum(name.endswith(".json") for name in files.names(dataset / "shards"))
    with console.progress(total, "Verifying", "parts") as progress:
        return Repair(dataset).actions(progress.advance)


def _show(actions: list[Action], title: str, console: Console) -> None:
    if actions:
        console.table(title, ["part", "action", "problem", "proposal"], [_row(action) for action in actions[:MOST_SHOWN]])


def _row(action: Action) -> tuple[Cell, ...]:
    return part_name(action.part) if action.part != NO_PART else "-", str(action.kind), action.problem, action.proposal


def _sum_up(dataset: Path, left: list[Action], console: Console, more: str) -> ExitCode:
    if not left:
        console.info(f"{dataset} is whole.")
        return ExitCode.DONE
    console.warning(f"{len(left):,} problems in {len({action.part for action in left}):,} parts of {dataset} are left. {more}".rstrip())
    return ExitCode.RUN_FAILED
