"""`valle metadata`: a prepared data set -> merged index, splits, statistics and report; `--check` verifies all of it and writes nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.console import Cell, Console
from pipelines.metadata_tables.check import CheckResult, readable_records
from pipelines.metadata_tables.check import check as check_dataset
from pipelines.metadata_tables.gather import gather
from pipelines.metadata_tables.splits import SplitRule, load_splits, make_splits
from pipelines.metadata_tables.statistics import Statistics, compute
from pipelines.metadata_tables.write import FOLDER, SPLITS, write_metadata
from valle_data import files
from valle_data.errors import ExitCode
from valle_data.shards import lock
from valle_data.shards.base import Problem, part_name
from valle_data.shards.check import NO_PART
from valle_data.shards.commit import CommitRecord, committed_parts
from valle_data.shards.manifest import DatasetManifest

MOST_PROBLEMS = 1000


def run(
    dataset: Path,
    *,
    console: Console,
    check: bool = False,
    report: bool = True,
    seed: int = 0,
    validation_fraction: float = 0.05,
    split_by: str = "utterance",
    take_over: bool = False,
) -> ExitCode:
    """Make `metadata/` of the data set in the folder `dataset`, or with `check` only verify the data set: exit code 1 when anything is wrong.

    Raises InputError for a folder that is no data set, a part that is damaged, an unknown phone, `output_locked`; UsageError for a split that cannot be made.
    """
    if check:
        return _check(dataset, console)
    rule = SplitRule(split_by, seed, validation_fraction)
    manifest = DatasetManifest.load(dataset)
    folder = dataset / FOLDER
    files.make_folder(folder)
    with lock.hold(folder, take_over=take_over, note=console.warning):
        files.sweep(folder)
        page = _make(dataset, manifest, rule, console, report)
    if page:
        console.info(f"Report: {page}")
    return ExitCode.DONE


def _make(dataset: Path, manifest: DatasetManifest, rule: SplitRule, console: Console, report: bool) -> Path | None:
    records = committed_parts(dataset)
    earlier = load_splits(dataset / FOLDER / SPLITS)
    with console.progress(2 * len(records), "Merging", "parts read") as progress:
        gathered = gather(dataset, manifest, records, progress.advance)
        splits = make_splits(gathered.rows, rule, earlier)
        if splits.num_moved:
            console.warning(f"{splits.num_moved:,} utterances change between training and validation, because the splits were made by another rule before.")
        statistics = compute(manifest, gathered, splits, rule)
        stats = write_metadata(dataset, records, statistics, splits, progress.advance)
    page = _report(dataset, records, statistics, console) if report else None
    _show(dataset, statistics, stats, console)
    return page


def _report(dataset: Path, records: Sequence[CommitRecord], statistics: Statistics, console: Console) -> Path:
    from pipelines.metadata_report.page import write_report

    console.info("Writing the report.")
    report = write_report(dataset, records, statistics)
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
