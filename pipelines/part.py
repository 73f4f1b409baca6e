"""One part from plan to commit: its stages one after the other, in one process or several, then written. This is what a worker process does."""

import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.donors import INDEX_NAME, Donors
from pipelines.executors.base import Beat, Job, Rescue, Sign, Worker, silent
from pipelines.executors.pools import Pool, divided
from pipelines.isolation import Poison, Trials, isolate
from pipelines.prepare_config import PrepareConfig
from valle_data.codecs import CODECS
from valle_data.errors import EnvironmentProblem, InputError, ReasonCode
from valle_data.records import CodecSpec, PlannedUtterance, Rejection
from valle_data.shards import SHARDS
from valle_data.shards.base import record_path
from valle_data.shards.commit import CommitRecord, commit_part, load_record
from valle_data.shards.index import PartIdentity, printable
from valle_data.shards.manifest import NAME as MANIFEST_NAME
from valle_data.shards.manifest import DatasetManifest
from valle_data.shards.plan import FOLDER, PlannedPart
from valle_data.stages import STAGES
from valle_data.stages.base import Stage, Tools, Work
from valle_data.stages.base import silent as unreported
from valle_data.stages.reuse import run_stage
from valle_data.stores.remote_path import RemotePath
from valle_data.text.phonemizers import PHONEMIZERS

BYTES_PER_SAMPLE = 4


def make_tools(config: PrepareConfig, report: Callable[[Sequence[Work]], None] = unreported) -> Tools:
    """The codec and phonemizer of a configuration."""
    return Tools(lambda: CODECS.build(config.codec), lambda: PHONEMIZERS.build(config.phonemizer), report)


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Within the block torch, where a codec uses it, has one thread: more would change how sums round, and so codes."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class PartState:
    """A part between two steps: what has come of its utterances so far."""

    task: PlannedPart
    works: tuple[Work, ...]
    rejections: tuple[Rejection, ...]


@dataclass(frozen=True)
class PartJob(Job[PlannedPart, CommitRecord]):
    """What a worker needs to know beside the part itself. `codec` is what the manifest promises, `reuse` are data sets to take results from."""

    dataset: Path
    config: PrepareConfig
    codec: CodecSpec
    config_hash: str
    reuse: tuple[Path, ...] = ()

    def pools(self) -> tuple[Pool, ...]:
        return divided(self.config.pools, list(self.config.stages()))

    def start(self, beat: Beat = silent, step: int | None = None) -> "PartWorker":
        if not (self.dataset / MANIFEST_NAME).exists():
            raise EnvironmentProblem(
                f"{socket.gethostname()} does not see the data set {self.dataset}. Every machine of a run reads and writes the same folder: "
                "put it, and the recordings, on a file system that all of them mount under the same name."
            )
        reporter = _Reporter(beat)
        tools = make_tools(self.config, reporter.report)
        pools = self.pools()
        options = self.config.stages()
        stages = [STAGES[name](options[name], tools) for name in (options if step is None else pools[step].stages)]
        if "codec" in vars(tools) and tools.codec.spec != self.codec:
            raise InputError(
                ReasonCode.DATASET_MISMATCH,
                f"The codec changed during the run: it was {self.codec}, it is {tools.codec.spec}. Use weights that nobody writes to, and start again.",
            )
        donors = Donors(self.dataset / FOLDER / INDEX_NAME, self.reuse, DatasetManifest.load(self.dataset)) if self.reuse else None
        return PartWorker(self, stages, reporter, commits=step in (None, len(pools) - 1), donors=donors)

    def describe(self, task: PlannedPart) -> str:
        first = task.utterances[0].utterance.id if task.utterances else "none"
        return f"Part {task.part} ({len(task.utterances)} utterances from {first!r})"

    def rescue(self, rescue: Rescue[PlannedPart], beat: Beat) -> CommitRecord:
        """Leave out the utterances that end their worker, and commit the others as they would have been."""
        task, before = rescue.task, len(rescue.failures)
        if (existing := committed(self.dataset, task, self.config_hash)) is not None:
            return existing
        done = isolate(PartTrials(self), task.utterances, rescue.limits, beat)
        works = tuple(work for state in done.made for work in state.works)
        rejections = [rejection for state in done.made for rejection in state.rejections]
        rejections += [_poisoned(poison, before) for poison in done.poison]
        beat(Sign("commit"))
        return commit(self, PartState(task, works, (*task.rejections, *rejections)))

    def free_bytes(self) -> int | None:
        return None if isinstance(self.dataset, RemotePath) else shutil.disk_usage(self.dataset).free

    def weight_bytes(self, task: PlannedPart) -> int:
        return round(sum(planned.duration_s * planned.sample_rate_hz for planned in task.utterances)) * BYTES_PER_SAMPLE


class PartWorker(Worker[Any, Any]):
    """Makes parts, or goes some steps of the way, with stages that are held."""

    def __init__(self, job: PartJob, stages: Sequence[Stage], reporter: "_Reporter", *, commits: bool, donors: Donors | None = None) -> None:
        self._job, self._stages, self._reporter, self._commits, self._donors = job, stages, reporter, commits, donors

    def run(self, task: PlannedPart | PartState | CommitRecord) -> PartState | CommitRecord:
        """Make the part exist and return its record, or do this worker's steps; one that exists already is left alone."""
        if isinstance(task, CommitRecord):
            return task
        if isinstance(task, PlannedPart):
            if (existing := committed(self._job.dataset, task, self._job.config_hash)) is not None:
                return existing
            task = PartState(task, tuple(Work.begin(planned) for planned in task.utterances), task.rejections)
        state = self.process(task)
        if not self._commits:
            return state
        self._reporter.enter("commit")
        return commit(self._job, state)

    def process(self, state: PartState) -> PartState:
        """The part after this worker's stages."""
        works, rejections = list(state.works), list(state.rejections)
        donations = self._donors.donations(state.task.utterances) if self._donors else {}
        with one_torch_thread():
            for stage in self._stages:
                self._reporter.enter(stage.name)
                result = run_stage(stage, works, donations)
                works = result.kept
                rejections += result.rejected
        return PartState(state.task, tuple(works), tuple(rejections))


class _Reporter:
    """Signs of life out of what stages report."""

    def __init__(self, beat: Beat) -> None:
        self._beat, self._stage = beat, ""

    def enter(self, stage: str) -> None:
        self._stage = stage
        self._beat(Sign(stage))

    def report(self, works: Sequence[Work]) -> None:
        self._beat(Sign(self._stage, tuple(work.planned.utterance.id for work in works)))


def committed(dataset: Path, task: PlannedPart, config_hash: str) -> CommitRecord | None:
    """The record of a part that exists. InputError `dataset_mismatch` when it was made of something else: a worker of an earlier plan came back late."""
    path = record_path(dataset, task.part)
    if not path.exists():
        return None
    record = load_record(path)
    if record.part_id != task.part_id(config_hash):
        raise InputError(
            ReasonCode.DATASET_MISMATCH,
            f"{path} was committed with part id {record.part_id[:12]}, the plan has {task.part_id(config_hash)[:12]}: "
            f"a worker of an earlier plan finished late. Remove {path} and run the same command again: the part is made anew.",
        )
    return record


def commit(job: PartJob, state: PartState) -> CommitRecord:
    """Write the part. The order of what was refused tells nothing of how the work went."""
    identity = PartIdentity(
        part=state.task.part,
        part_id=state.task.part_id(job.config_hash),
        input_hash=state.task.input_hash,
        config_hash=job.config_hash,
        codec=job.codec.name,
        columns=job.config.columns(),
    )
    rejections = sorted(state.rejections, key=lambda rejected: (rejected.utterance or "", rejected.path, rejected.stage, rejected.reason))
    return commit_part(job.dataset, identity, [work.coded() for work in state.works], rejections, SHARDS[job.config.shards]())


@dataclass(frozen=True)
class PartTrials(Trials[PlannedUtterance, PartState]):
    """All stages of a part on some of its utterances."""

    job: PartJob

    def start(self, beat: Beat) -> Callable[[Sequence[PlannedUtterance]], PartState]:
        worker = self.job.start(beat)
        return lambda planned: worker.process(PartState(PlannedPart(0, tuple(planned)), tuple(Work.begin(item) for item in planned), ()))

    def name(self, item: PlannedUtterance) -> str:
        return item.utterance.id


def _poisoned(poison: Poison[PlannedUtterance], failures_before: int) -> Rejection:
    planned, failure = poison.item, poison.failure
    stage = failure.sign.stage if failure.sign else "start"
    message = f"It ended its worker with {failure.how} in the stage {stage!r}, alone as well as among others."
    audio, attempts = planned.utterance.audio, failures_before + poison.num_failures
    return Rejection(planned.utterance.id, audio.path, stage, failure.reason, printable(message), planned.fingerprint, attempts)
