"""`valle prepare`: a corpus -> a data set of codes and phones. The same command resumes a run, or adds what is new in the corpus."""

import itertools
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

from pipelines.console import Cell, Console
from pipelines.executors import EXECUTORS
from pipelines.executors.base import Executor
from pipelines.part import PartJob, make_tools
from pipelines.planner import PlanOptions, plan_parts, printable_utterance
from pipelines.prepare_config import PrepareConfig, manifest_for
from pipelines.prepare_state import Change, Summary, changes, known, stale_parts, summarize
from pipelines.run_log import RunLog
from valle_data import files
from valle_data.config import EntryConfig
from valle_data.corpora import CORPORA
from valle_data.corpora.base import CorpusListing
from valle_data.errors import ExitCode, InputError, ReasonCode, UsageError, ValleError
from valle_data.records import Utterance
from valle_data.shards import lock
from valle_data.shards.base import record_path
from valle_data.shards.commit import CommitRecord, committed_parts
from valle_data.shards.index import printable
from valle_data.shards.manifest import NAME as MANIFEST_NAME
from valle_data.shards.manifest import DatasetManifest
from valle_data.shards.plan import FOLDER, PlannedPart, load_parts, save_plan, withdraw
from valle_data.text.phonemizers.base import Phonemizer
from valle_data.yaml_config import dump_config

CONFIG_NAME = "prepare.yaml"
LOG_NAME = "prepare.log"


def run(config: PrepareConfig, output: Path, *, executor: EntryConfig, console: Console, take_over: bool = False) -> ExitCode:
    """Prepare the corpus of `config` into the folder `output`.

    Raises InputError `output_locked`, `dataset_mismatch` (the folder was made with something else), `storage_failed`; TaskFailed when a part
    cannot be made. Committed parts stay whatever happens.
    """
    with _stopped_by_sigterm():
        _make_folders(output)
        with lock.hold(output, take_over=take_over, note=console.warning), _logged(output / LOG_NAME, console):
            try:
                summary = _prepare(config, output, EXECUTORS.build(executor), console)
            except (KeyboardInterrupt, _Terminated) as stop:
                is_terminated = isinstance(stop, _Terminated)
                console.warning(f"{'Terminated' if is_terminated else 'Interrupted'}. What is committed in {output} stays; the same command resumes.")
                return ExitCode.PREEMPTED if is_terminated else ExitCode.INTERRUPTED
    _show(summary, output, console)
    if summary.quarantined_fraction <= config.max_quarantine_fraction:
        return ExitCode.DONE
    console.warning(
        f"{summary.quarantined_fraction:.1%} of the utterances are in quarantine, `max_quarantine_fraction` allows {config.max_quarantine_fraction:.1%}. "
        f"See {output / 'quarantine'} and `valle explain CODE`."
    )
    return ExitCode.TOO_MANY_QUARANTINED


def _make_folders(output: Path) -> None:
    for name in ("shards", "quarantine", "vectors", FOLDER):
        files.make_folder(output / name)


def _prepare(config: PrepareConfig, output: Path, executor: Executor[PlannedPart, CommitRecord], console: Console) -> Summary:
    tools = make_tools(config)
    manifest = manifest_for(config, tools)
    _claim(output, manifest)
    _sweep(output)
    files.write_atomically(output / CONFIG_NAME, dump_config(config).encode())
    committed = committed_parts(output)
    _plan(config, output, _list(config, tools.phonemizer, console), committed, console)
    del tools
    parts = load_parts(output, without={record.part for record in committed})
    job = PartJob(output, config, manifest.codec, manifest.config_hash)
    try:
        _work(job, parts, executor, console)
    except InputError as error:
        if error.reason is ReasonCode.SOURCE_CHANGED:
            withdraw(output, {part.part for part in parts} - {record.part for record in committed_parts(output)})
        raise
    _sweep(output)  # what killed workers left
    return summarize(output)


def _sweep(output: Path) -> None:
    for folder in ("shards", "quarantine", "vectors", FOLDER, "."):
        files.sweep(output / folder)


def _claim(output: Path, manifest: DatasetManifest) -> None:
    """Write the manifest of a new folder; refuse one that was made with something else."""
    if not (output / MANIFEST_NAME).exists():
        if any((output / "shards").glob("part-*.json")):
            raise InputError(ReasonCode.MISSING_SHARD, f"{output} holds committed parts but no {MANIFEST_NAME}. Restore it, or prepare into a new folder.")
        manifest.save(output)
        return
    existing = DatasetManifest.load(output)
    if existing.config_hash == manifest.config_hash:
        return
    raise InputError(
        ReasonCode.DATASET_MISMATCH,
        f"{output} was prepared with {difference(existing, manifest)}. One folder never mixes two: "
        f"choose another output folder, or the configuration in {output / CONFIG_NAME}.",
    )


def difference(existing: DatasetManifest, wanted: DatasetManifest) -> str:
    """`codec X, this configuration has Y` for the first thing that differs."""
    old, new = _identity(existing), _identity(wanted)
    name = next(name for name in (*new, *old) if old.get(name) != new.get(name))
    return f"{name} {old.get(name)}, this configuration has {new.get(name)}"


def _identity(manifest: DatasetManifest) -> dict[str, str]:
    stages = {name: {**stage["options"], "version": stage["version"], "stamp": stage["stamp"]} for name, stage in manifest.stages.items()}
    options = {"phonemizer": manifest.phonemizer.config, **stages, "codec": manifest.codec_config}
    return {
        "codec": str(manifest.codec),
        "phonemizer": str(manifest.phonemizer),
        "vocabulary": manifest.vocabulary.hash[:12],
        "stages": ", ".join(manifest.stages),
        **{f"`{stage}.{name}`": str(value) for stage, values in options.items() for name, value in values.items() if name != "weights"},
        "configuration hash": manifest.config_hash[:12],
    }


def _list(config: PrepareConfig, phonemizer: Phonemizer, console: Console) -> CorpusListing:
    """What the corpus holds, in languages that the phonemizer speaks. Raises UsageError."""
    console.info(f"Listing the corpus ({config.corpus.name}).")
    listing = CORPORA.build(config.corpus).list()
    if not listing.utterances and not listing.problems:
        raise UsageError("The corpus has no recordings. Check its path and pattern in the configuration (`valle config show CONFIG`).")
    _check_languages(listing.utterances, phonemizer, config.max_quarantine_fraction)
    _warn(listing, console)
    return replace(listing, utterances=[printable_utterance(utterance) for utterance in listing.utterances])


def _check_languages(utterances: Sequence[Utterance], phonemizer: Phonemizer, allowed_fraction: float) -> None:
    """Refuse a mistyped language before any work; a few utterances in a strange one are left to the quarantine."""
    counts = Counter(utterance.language for utterance in utterances)
    for language, count in sorted(counts.items()):
        try:
            phonemizer.check_language(language)
        except InputError as error:
            if count <= allowed_fraction * len(utterances):
                continue
            first = next(utterance.audio.path for utterance in utterances if utterance.language == language)
            raise UsageError(
                f"{error.args[0]} {count:,} of the utterances have this language, first {printable(first)!r}: correct `corpus.language`, "
                "the table or the path, or leave them out with `corpus.exclude`."
            ) from error


def _plan(config: PrepareConfig, output: Path, listing: CorpusListing, committed: Sequence[CommitRecord], console: Console) -> None:
    """Append a plan for what is new in the corpus, or changed before it was prepared."""
    stale = stale_parts(output, load_parts(output, without={record.part for record in committed}), listing.utterances)
    if stale:
        console.info(f"The corpus has changed since {len(stale):,} parts were planned; they are planned anew.")
        withdraw(output, stale)
    before = known(output, committed)
    _warn_of_changes(changes(output, before, committed, listing.utterances), output, console)
    options = PlanOptions(config.part_duration_s, config.duplicate_audio, config.stages()["decode"], config.stages()["phonemize"].max_characters)
    num_new = len({utterance.audio.path for utterance in listing.utterances if utterance.id not in before.kept})
    with console.progress(num_new, "Looking at new recordings", "files") as progress:
        parts = plan_parts(listing, before, options, looked_at=progress.advance)
    if not parts:
        return
    save_plan(output, parts)
    hours = sum(part.duration_s for part in parts) / 3600
    console.info(f"Planned {sum(len(part.utterances) for part in parts):,} new utterances, {hours:.2f} h, in {len(parts):,} parts.")


def _warn(listing: CorpusListing, console: Console) -> None:
    by_reason = sorted(listing.problems, key=lambda problem: problem.reason)
    for reason, problems in itertools.groupby(by_reason, key=lambda problem: problem.reason):
        first, *others = problems
        console.warning(f"{len(others) + 1:,} of the corpus go to quarantine with {reason}, first {printable(first.path)!r}: {printable(first.message)}")


def _warn_of_changes(found: Sequence[Change], output: Path, console: Console) -> None:
    if found:
        console.warning(
            f"{len(found):,} utterances that are prepared have another text or recording now; what was prepared stays, first {printable(found[0].path)!r}. "
            f"To prepare them again, remove {record_path(output, found[0].part)} (and its like) and run the same command, or prepare into a new folder."
        )


def _work(job: PartJob, parts: Sequence[PlannedPart], executor: Executor[PlannedPart, CommitRecord], console: Console) -> None:
    durations_s = {part.part: round(part.duration_s) for part in parts}
    done, quarantined = 0, 0
    with console.progress(sum(durations_s.values()), "Preparing", "s of audio") as progress:
        for record in executor.run(job, parts):
            done += 1
            quarantined += record.num_quarantined
            progress.advance(durations_s[record.part], {"parts": f"{done}/{len(parts)}", "quarantined": quarantined})


def _show(summary: Summary, output: Path, console: Console) -> None:
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
    """Within the block the console keeps a log, with the traceback of what ends it, at `path` unless it keeps one already."""
    if console.log.path is not None:
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
