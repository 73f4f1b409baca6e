"""`valle prepare`: a corpus -> a data set of codes and phones. The same command resumes a run, or adds what is new in the corpus."""

import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from pipelines.console import Cell, Console, Progress
from pipelines.donors import INDEX_NAME, write_index
from pipelines.executors import EXECUTORS
from pipelines.executors.base import Executor
from pipelines.part import PartJob, make_tools
from pipelines.prepare_config import CONFIG_NAME, PrepareConfig
from pipelines.prepare_intake import Intake, IntakeOptions
from pipelines.prepare_manifest import claim, manifest_for
from pipelines.prepare_state import Summary, summarize
from pipelines.run_log import RunLog
from valle_data import files
from valle_data.config import EntryConfig
from valle_data.errors import ExitCode, InputError, ReasonCode, UsageError, ValleError
from valle_data.shards import lock
from valle_data.shards.commit import CommitRecord, read_quarantine
from valle_data.shards.plan import FOLDER, PlannedPart, committed_numbers, unfinished_parts, withdraw
from valle_data.stages import STAGES
from valle_data.stores.remote_path import RemotePath
from valle_data.yaml_config import dump_config

LOG_NAME = "prepare.log"
FOLDERS = ("shards", "quarantine", "vectors", FOLDER)
MOST_REASONS_SHOWN = 4
FEW_UTTERANCES = 1000
"""In a corpus of fewer nothing is stopped early: a handful of bad ones would do it."""


@dataclass(frozen=True)
class PrepareOptions:
    """How the command behaves this time. `retried`: reasons for which quarantined utterances are tried again. `reuse`: data sets to take results from."""

    take_over: bool = False
    limit: int | None = None
    retried: tuple[str, ...] = ()
    reuse: tuple[Path, ...] = ()


def run(config: PrepareConfig, output: Path, *, executor: EntryConfig, console: Console, options: PrepareOptions = PrepareOptions()) -> ExitCode:
    """Prepare the corpus of `config` into the folder `output`.

    Raises InputError `output_locked`, `dataset_mismatch` (the folder was made with something else), `storage_failed`; TaskFailed when a part
    cannot be made. Committed parts stay whatever happens.
    """
    _refuse_file(output)
    with _stopped_by_sigterm():
        for name in FOLDERS:
            files.make_folder(output / name)
        with lock.hold(output, take_over=options.take_over, note=console.warning), _logged(output / LOG_NAME, console):
            try:
                prepared = _prepare(config, output, EXECUTORS.build(executor), console, options)
            except (KeyboardInterrupt, _Terminated) as stop:
                is_terminated = isinstance(stop, _Terminated)
                console.warning(f"{'Terminated' if is_terminated else 'Interrupted'}. What is committed in {output} stays; the same command resumes.")
                return ExitCode.PREEMPTED if is_terminated else ExitCode.INTERRUPTED
    summary = prepared.summary
    show_summary(summary, output, console)
    if summary.quarantined_fraction > config.max_quarantine_fraction:
        console.warning(
            f"{summary.quarantined_fraction:.1%} of the utterances are in quarantine, `max_quarantine_fraction` allows {config.max_quarantine_fraction:.1%}. "
            f"See {output / 'quarantine'} and `valle explain CODE`."
        )
        return ExitCode.TOO_MANY_QUARANTINED
    return ExitCode.DONE if prepared.is_complete else ExitCode.TOO_MANY_QUARANTINED


def _refuse_file(output: Path) -> None:
    if isinstance(output, RemotePath):
        return
    nearest = next(path for path in (output, *output.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise UsageError(f"A data set is a folder; {nearest} is a file. Choose another folder with `--output`.")


@dataclass(frozen=True)
class _Prepared:
    """What there is after a run, and whether it was made to its end."""

    summary: Summary
    is_complete: bool


def _prepare(config: PrepareConfig, output: Path, executor: Executor[PlannedPart, CommitRecord], console: Console, options: PrepareOptions) -> _Prepared:
    tools = make_tools(config)
    manifest = manifest_for(config, tools)
    claim(output, manifest)
    sweep(output)
    files.write_atomically(output / CONFIG_NAME, dump_config(config).encode())
    if options.reuse:
        num_known = write_index(output / FOLDER / INDEX_NAME, options.reuse)
        console.info(f"Taking over what {num_known:,} utterances of {', '.join(map(str, options.reuse))} have in common with this configuration.")
    job = PartJob(output, config, manifest.codec, manifest.config_hash, options.reuse)
    intake = Intake(config, output, tools.phonemizer, console, IntakeOptions(options.limit, options.retried))
    try:
        is_complete = _work(job, intake, executor, console)
    except InputError as error:
        if error.reason is ReasonCode.SOURCE_CHANGED:
            withdraw(output, {part.part for part in unfinished_parts(output, committed_numbers(output))})
        raise
    sweep(output)  # what killed workers left
    return _Prepared(summarize(output), is_complete)


def sweep(output: Path) -> None:
    """Remove what killed runs and workers left."""
    for folder in (*FOLDERS, "."):
        files.sweep(output / folder)


def _work(job: PartJob, intake: Intake, executor: Executor[PlannedPart, CommitRecord], console: Console) -> bool:
    """Have every part made. False where it stopped early because so much is in quarantine that the run cannot end well."""
    with console.progress(None, "Preparing", "s of audio") as progress, closing(intake.parts()) as parts:
        watch = _Watch(job, intake, progress)
        for record in executor.run(job, parts, console.warning):
            watch.see(record)
            if watch.quarantined_fraction_of_all > job.config.max_quarantine_fraction:
                console.warning("More is in quarantine than `max_quarantine_fraction` allows for the whole corpus: stopping here. The same command goes on.")
                return False
    return True


class _Watch:
    """What the progress shows: parts, hours, hours an hour, and the quarantine by reason."""

    def __init__(self, job: PartJob, intake: Intake, progress: Progress) -> None:
        self._dataset, self._intake, self._progress = job.dataset, intake, progress
        self._cuts = any(STAGES[name].cuts for name in job.config.stages())
        self._reasons = Counter[str]()
        self._num_parts, self._num_kept, self._done_s, self._kept_s = 0, 0, 0.0, 0.0
        self._started = time.monotonic()

    def see(self, record: CommitRecord) -> None:
        self._num_parts += 1
        planned_s = self._intake.tally.in_hand.pop(record.part, record.duration_s)
        self._done_s += planned_s
        self._kept_s += record.duration_s
        self._num_kept += record.num_utterances
        if record.num_quarantined:
            self._reasons.update(read_quarantine(self._dataset, record)["reason"].to_pylist())
        rate = self._done_s / max(time.monotonic() - self._started, 1e-9)
        shown = [f"{reason} {count}" for reason, count in self._reasons.most_common(MOST_REASONS_SHOWN)]
        counts: dict[str, float | str] = {"parts": self._num_parts, "hours": round(self._kept_s / 3600, 3), "hours/hour": round(rate, 1)}
        self._progress.total = max(self._intake.tally.expected_s, self._done_s)
        self._progress.advance(planned_s, {**counts, "quarantined": ", ".join(shown) or "0"})

    @property
    def quarantined_fraction_of_all(self) -> float:
        """Of all utterances, if none of those to come is refused; 0 while nothing is known, and for corpora of a few utterances.

        Where recordings are cut there are more than are listed: as many for the audio that is left as there were for what is done.
        """
        tally, num_refused = self._intake.tally, self._reasons.total()
        num_expected = (self._num_kept + num_refused) * tally.expected_s / self._done_s if self._done_s else 0.0
        num_all = max(tally.num_listed or 0, num_expected if self._cuts else 0)
        return num_refused / num_all if tally.num_listed and num_all >= FEW_UTTERANCES else 0.0


def show_summary(summary: Summary, output: Path, console: Console) -> None:
    rows: list[tuple[str, Cell]] = [
        ("parts", summary.num_parts),
        ("utterances", summary.num_utterances),
        ("hours", round(summary.duration_s / 3600, 3)),
        ("in quarantine", summary.num_quarantined),
        *((f"  {reason}", count) for reason, count in summary.reasons.items()),
    ]
    console.table(f"Prepared {output}", ["what", "count"], rows)


class _Terminated(SystemExit):
    """SIGTERM came."""


@contextmanager
def _logged(path: Path, console: Console) -> Iterator[None]:
    """Within the block the console keeps a log, with the traceback of what ends it, at `path` unless it keeps one already.

    An object store has no files that grow: there `--log-file` names a local one.
    """
    if console.log.path is not None or isinstance(path, RemotePath):
        yield
        return
    before = console.log
    with RunLog(path) as log:
        console.log = log
        try:
            yield
        except ValleError as error:
            log.keep_traceback(error, "prepare")
            raise
        finally:
            console.log = before


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Within the block SIGTERM ends the process in order, with the exit code that says the same command resumes."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise _Terminated(int(ExitCode.PREEMPTED))

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
