"""`valle metadata`: a prepared data set -> merged index, splits, statistics and report; `check` verifies all of it and writes nothing."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.console import Cell, Console
from pipelines.metadata_tables.check import CheckResult, readable_records
from pipelines.metadata_tables.check import check as check_dataset
from pipelines.metadata_tables.gather import gather
from pipelines.metadata_tables.splits import SplitRule, load_splits, make_splits, read_list
from pipelines.metadata_tables.statistics import Statistics, compute
from pipelines.metadata_tables.write import FOLDER, SPLITS, write_metadata
from valle_data import files
from valle_data.errors import ExitCode, InputError, ReasonCode
from valle_data.shards import lock
from valle_data.shards.base import Problem, part_name
from valle_data.shards.check import NO_PART
from valle_data.shards.commit import CommitRecord, committed_parts
from valle_data.shards.index import index_schema
from valle_data.shards.manifest import DatasetManifest

MOST_PROBLEMS = 1000
SPLIT_LIST = "split_list.txt"


@dataclass(frozen=True)
class SplitOptions:
    """What `valle metadata split` is asked for. A fraction of None is 0.05, or 0 where a filter or a list says what is for validation."""

    by: str = "utterance"
    validation_fraction: float | None = None
    test_fraction: float = 0.0
    validation_where: str | None = None
    test_where: str | None = None
    list_file: Path | None = None
    seed: int = 0


def run(
    dataset: Path,
    *,
    console: Console,
    check: bool = False,
    report: bool = True,
    seed: int | None = None,
    validation_fraction: float | None = None,
    split_by: str | None = None,
    where: str | None = None,
    take_over: bool = False,
) -> ExitCode:
    """Make `metadata/` of the data set in the folder `dataset`, or with `check` only verify the data set: exit code 1 when anything is wrong.

    What is None of the rule of the split stays as it was; `where` chooses the utterances of the report. Raises InputError for a folder that is no data set, a
    part that is damaged, an unknown phone, `output_locked`; UsageError for a split that cannot be made and a filter that cannot be read.
    """
    if check:
        return _check(dataset, console)
    manifest = DatasetManifest.load(dataset)
    changes = {"seed": seed, "validation_fraction": validation_fraction, "split_by": split_by}
    with holding(dataset, console, take_over):
        rule = replace(SplitRule.of(load_splits(dataset / FOLDER / SPLITS)), **{name: value for name, value in changes.items() if value is not None})
        page = _make(dataset, manifest, rule, console, report=report, where=where)
    if page:
        console.info(f"Report: {page}")
    return ExitCode.DONE


def split(dataset: Path, *, console: Console, options: SplitOptions, take_over: bool = False) -> ExitCode:
    """Make `metadata/` anew, without the report, by the rule that `options` state. Raises as `run` does; UsageError for a list that cannot be read."""
    manifest = DatasetManifest.load(dataset)
    listed = b"" if options.list_file is None else _read_list_file(options.list_file)
    states = bool(options.validation_where or listed)
    rule = SplitRule(
        split_by=options.by,
        seed=options.seed,
        validation_fraction=options.validation_fraction if options.validation_fraction is not None else 0.0 if states else 0.05,
        test_fraction=options.test_fraction,
        validation_where=options.validation_where or "",
        test_where=options.test_where or "",
        listed=hashlib.sha256(listed).hexdigest() if listed else "",
    )
    rule.columns(index_schema(manifest.columns))
    with holding(dataset, console, take_over):
        if listed:
            read_list(listed, options.list_file or dataset)
            files.write_atomically(dataset / FOLDER / SPLIT_LIST, listed)
        _make(dataset, manifest, rule, console, report=False, where=None)
    console.info(f"Split {rule.describe()}.")
    return ExitCode.DONE


def _read_list_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(ReasonCode.STORAGE_FAILED, f"The list {path} cannot be read: {error.strerror}.") from error


@contextmanager
def holding(dataset: Path, console: Console, take_over: bool) -> Iterator[None]:
    """Hold `metadata/` of `dataset`, made and swept, for the time of the block; InputError `output_locked` when another run does."""
    folder = dataset / FOLDER
    files.make_folder(folder)
    with lock.hold(folder, take_over=take_over, note=console.warning):
        files.sweep(folder)
        yield


def _make(dataset: Path, manifest: DatasetManifest, rule: SplitRule, console: Console, *, report: bool, where: str | None) -> Path | None:
    records = committed_parts(dataset)
    earlier = load_splits(dataset / FOLDER / SPLITS)
    with console.progress(2 * len(records), "Merging", "parts read") as progress:
        gathered = gather(dataset, manifest, records, progress.advance, more=rule.columns(index_schema(manifest.columns)))
        splits = make_splits(gathered.rows, rule, earlier, _listed(dataset, rule))
        if splits.num_moved:
            console.warning(f"{splits.num_moved:,} utterances change sides, because the splits were made by another rule before.")
        statistics = compute(manifest, gathered, splits.names, rule)
        stats = write_metadata(dataset, records, statistics, splits, progress.advance)
    page = _report(dataset, records, statistics, console, where) if report else None
    _show(dataset, statistics, stats, console)
    return page


def _listed(dataset: Path, rule: SplitRule) -> dict[str, str]:
    """The list of the rule, from the copy that was kept of it."""
    if not rule.listed:
        return {}
    path = dataset / FOLDER / SPLIT_LIST
    data = files.read(path) if path.is_file() else b""
    if hashlib.sha256(data).hexdigest() != rule.listed:
        message = f"{path} is not the list that the split was made by. State the split again: `valle metadata split {dataset} --list FILE`."
        raise InputError(ReasonCode.DATASET_MISMATCH, message)
    return read_list(data, path)


def _report(dataset: Path, records: Sequence[CommitRecord], statistics: Statistics, console: Console, where: str | None) -> Path:
    from pipelines.metadata_report.page import write_report

    console.info("Writing the report.")
    if where is not None:
        gathered = gather(dataset, statistics.manifest, records, where=where, more=["split"])
        statistics = compute(statistics.manifest, gathered, gathered.rows["split"], statistics.rule)
    report = write_report(dataset, records, statistics, where)
    if report.codec_problem:
        console.warning(f"The report has no codec round trip. {report.codec_problem}")
    return report.page


def _show(dataset: Path, statistics: Statistics, stats: dict[str, Any], console: Console) -> None:
    totals, phones = statistics.totals, statistics.phones
    rows: list[tuple[str, Cell]] = [
        ("utterances", totals.num_utterances),
        ("hours", round(totals.hours, 3)),
        ("speakers", totals.num_speakers),
        ("groups", totals.num_groups),
        ("languages", totals.num_languages),
        *((f"in {split.name}", split.num_utterances) for split in statistics.splits),
        ("phones seen", len(phones.counts) - len(phones.never_seen)),
        ("phones never seen", len(phones.never_seen)),
        ("in quarantine", totals.num_quarantined),
        *((f"  {reason}", count) for reason, count in stats["quarantine"]["reasons"].items()),
    ]
    console.table(f"Data set {dataset}", ["what", "count"], rows)
    if not totals.num_utterances:
        console.warning(f"{dataset} has no utterances: nothing can be trained on it. Look at its quarantine with `valle explain CODE`.")


def _check(dataset: Path, console: Console) -> ExitCode:
    DatasetManifest.load(dataset)
    records = readable_records(dataset)
    with console.progress(len(records), "Checking", "parts") as progress:
        result = check_dataset(dataset, records, progress.advance)
    if result.is_stale:
        console.warning(f"{dataset / FOLDER} was made from other parts than there are now. Run `valle metadata {dataset}` again.")
    if not result.problems:
        console.info(f"{dataset} is whole: {result.num_parts:,} parts, {result.num_utterances:,} utterances, every hash, count, row and code verified.")
        return ExitCode.DONE
    _show_problems(dataset, result, console)
    return ExitCode.RUN_FAILED


def _show_problems(dataset: Path, result: CheckResult, console: Console) -> None:
    shown = result.problems[:MOST_PROBLEMS]
    console.table(f"Problems in {dataset}", ["part", "reason", "utterance", "what is expected and what is there"], [_row(problem) for problem in shown])
    rest = len(result.problems) - len(shown)
    parts = {problem.part for problem in result.problems if problem.part != NO_PART}
    more = f" ({rest:,} more are not shown)" if rest else ""
    console.warning(
        f"{len(result.problems):,} problems{more}; {len(parts & _numbers(dataset)):,} of {result.num_parts:,} readable parts are affected. "
        "Nothing was changed. `valle explain CODE` says what to do."
    )


def _numbers(dataset: Path) -> set[int]:
    return {record.part for record in readable_records(dataset)}


def _row(problem: Problem) -> tuple[str, str, str | None, str]:
    return part_name(problem.part) if problem.part != NO_PART else "-", str(problem.reason), problem.utterance, problem.message
