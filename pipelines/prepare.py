"""`valle prepare`: a corpus -> a data set of codes and phones. The same command resumes a run, or adds what is new in the corpus."""

import itertools
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from pipelines.console import Cell, Console
from pipelines.executors import EXECUTORS
from pipelines.executors.base import Executor
from pipelines.part import PartJob, make_tools
from pipelines.planner import PlanOptions, plan_parts
from pipelines.prepare_config import PrepareConfig, manifest_for
from valle_data.config import EntryConfig
from valle_data.corpora import CORPORA
from valle_data.corpora.base import CorpusListing
from valle_data.errors import ExitCode, InputError, ReasonCode, UsageError
from valle_data.records import AudioRef
from valle_data.shards import files, lock
from valle_data.shards.commit import CommitRecord, committed_parts, read_part_index, read_quarantine
from valle_data.shards.index import printable
from valle_data.shards.manifest import NAME as MANIFEST_NAME
from valle_data.shards.manifest import DatasetManifest
from valle_data.shards.plan import FOLDER, Known, PlannedPart, known_from_plans, load_parts, save_plan
from valle_data.yaml_config import dump_config

CONFIG_NAME = "prepare.yaml"


@dataclass(frozen=True)
class Summary:
    """The state of a data set: `reasons` counts quarantined utterances and paths by reason code."""

    num_parts: int
    num_utterances: int
    duration_s: float
    num_quarantined: int
    reasons: dict[str, int]

    @property
    def quarantined_fraction(self) -> float:
        total = self.num_utterances + self.num_quarantined
        return self.num_quarantined / total if total else 0.0


def run(config: PrepareConfig, output: Path, *, executor: EntryConfig, console: Console, take_over: bool = False) -> ExitCode:
    """Prepare the corpus of `config` into the folder `output`.

    Raises InputError `output_locked`, `dataset_mismatch` (the folder was made with something else), `storage_failed`; TaskFailed when a part
    cannot be made. Committed parts stay whatever happens.
    """
    with _stopped_by_sigterm():
        _make_folders(output)
        with lock.hold(output, take_over=take_over, note=console.warning):
            try:
                summary = _prepare(config, output, EXECUTORS.build(executor), console)
            except KeyboardInterrupt:
                console.warning(f"Interrupted. What is committed in {output} stays; the same command resumes.")
                return ExitCode.INTERRUPTED
    _show(summary, output, console)
    if summary.quarantined_fraction <= config.max_quarantine_fraction:
        return ExitCode.DONE
    console.warning(
        f"{summary.quarantined_fraction:.1%} of the utterances are in quarantine, `max_quarantine_fraction` allows {config.max_quarantine_fraction:.1%}. "
        f"See {output / 'quarantine'} and `valle explain CODE`."
    )
    return ExitCode.TOO_MANY_QUARANTINED


def _make_folders(output: Path) -> None:
    for name in ("shards", "quarantine", FOLDER):
        files.make_folder(output / name)


def _prepare(config: PrepareConfig, output: Path, executor: Executor[PlannedPart, CommitRecord], console: Console) -> Summary:
    tools = make_tools(config)
    manifest = manifest_for(config, tools)
    del tools
    _claim(output, manifest)
    _sweep(output)
    files.write_atomically(output / CONFIG_NAME, dump_config(config).encode())
    committed = committed_parts(output)
    _plan(config, output, committed, console)
    parts = load_parts(output, without={record.part for record in committed})
    job = PartJob(output, config, manifest.codec, manifest.config_hash)
    _work(job, parts, executor, console)
    _sweep(output)  # what killed workers left
    return summarize(output)


def _sweep(output: Path) -> None:
    for folder in ("shards", "quarantine", FOLDER, "."):
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
    options = {"phonemizer": manifest.phonemizer.config, **manifest.stages, "codec": manifest.codec_config}
    return {
        "codec": str(manifest.codec),
        "phonemizer": str(manifest.phonemizer),
        "vocabulary": manifest.vocabulary.hash[:12],
        **{f"`{stage}.{name}`": str(value) for stage, values in options.items() for name, value in values.items() if name != "weights"},
        "configuration hash": manifest.config_hash[:12],
    }


def _plan(config: PrepareConfig, output: Path, committed: Sequence[CommitRecord], console: Console) -> None:
    """Append a plan for what is new in the corpus."""
    console.info(f"Listing the corpus ({config.corpus.name}).")
    listing = CORPORA.build(config.corpus).list()
    options = PlanOptions(config.part_duration_s, config.duplicate_audio, config.decode)
    if not listing.utterances and not listing.problems:
        raise UsageError("The corpus has no recordings. Check its path and pattern in the configuration (`valle config show CONFIG`).")
    _warn(listing, console)
    before = known(output, committed)
    num_new = len({utterance.audio.path for utterance in listing.utterances if utterance.id not in before.part_of})
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


def known(output: Path, committed: Sequence[CommitRecord]) -> Known:
    """What earlier runs have planned, and what workers refused of it."""
    known = known_from_plans(output)
    for record in committed:
        if record.part not in known.parts:  # its plan is gone
            _know_from_index(known, output, record)
        for row in read_quarantine(output, record).to_pylist():
            known.refuse(row["utt_id"], record.part, row["fingerprint"])
    return known


def _know_from_index(known: Known, output: Path, record: CommitRecord) -> None:
    known.parts.add(record.part)
    for row in read_part_index(output, record).to_pylist():
        known.keep(row["utt_id"], record.part, row["source_digest"], AudioRef(row["source_uri"], row["start_s"], None, row["channel"]))


def _work(job: PartJob, parts: Sequence[PlannedPart], executor: Executor[PlannedPart, CommitRecord], console: Console) -> None:
    durations_s = {part.part: round(part.duration_s) for part in parts}
    done, quarantined = 0, 0
    with console.progress(sum(durations_s.values()), "Preparing", "s of audio") as progress:
        for record in executor.run(job, parts):
            done += 1
            quarantined += record.num_quarantined
            progress.advance(durations_s[record.part], {"parts": f"{done}/{len(parts)}", "quarantined": quarantined})


def summarize(output: Path) -> Summary:
    """Counts over all committed parts."""
    records = committed_parts(output)
    reasons: Counter[str] = Counter()
    for record in records:
        reasons.update(read_quarantine(output, record)["reason"].to_pylist())
    return Summary(
        num_parts=len(records),
        num_utterances=sum(record.num_utterances for record in records),
        duration_s=sum(record.duration_s for record in records),
        num_quarantined=sum(record.num_quarantined for record in records),
        reasons=dict(sorted(reasons.items())),
    )


def _show(summary: Summary, output: Path, console: Console) -> None:
    rows: list[tuple[str, Cell]] = [
        ("parts", summary.num_parts),
        ("utterances", summary.num_utterances),
        ("hours", round(summary.duration_s / 3600, 3)),
        ("in quarantine", summary.num_quarantined),
        *((f"  {reason}", count) for reason, count in summary.reasons.items()),
    ]
    console.table(f"Prepared {output}", ["what", "count"], rows)


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Within the block SIGTERM ends the process in order, with the exit code that says the same command resumes."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise SystemExit(int(ExitCode.PREEMPTED))

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
