"""One part from plan to commit: decode, phonemize, quantize, write. This is what a worker process does."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipelines.executors.base import Job, Worker
from pipelines.prepare_config import PrepareConfig
from valle_data.codecs import CODECS
from valle_data.errors import InputError, ReasonCode
from valle_data.records import CodecSpec, Rejection
from valle_data.shards import SHARDS
from valle_data.shards.base import record_path
from valle_data.shards.commit import CommitRecord, commit_part, load_record
from valle_data.shards.index import PartIdentity
from valle_data.shards.plan import PlannedPart
from valle_data.stages import STAGES
from valle_data.stages.base import Stage, Tools, Work
from valle_data.text.phonemizers import PHONEMIZERS


def make_tools(config: PrepareConfig) -> Tools:
    """The codec and phonemizer of a configuration."""
    return Tools(lambda: CODECS.build(config.codec), lambda: PHONEMIZERS.build(config.phonemizer))


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
class PartJob(Job[PlannedPart, CommitRecord]):
    """What a worker needs to know beside the part itself. `codec` is what the manifest promises."""

    dataset: Path
    config: PrepareConfig
    codec: CodecSpec
    config_hash: str

    def start(self) -> "PartWorker":
        tools = make_tools(self.config)
        if tools.codec.spec != self.codec:
            raise InputError(
                ReasonCode.DATASET_MISMATCH,
                f"The codec changed during the run: it was {self.codec}, it is {tools.codec.spec}. Use weights that nobody writes to, and start again.",
            )
        return PartWorker(self, tools)

    def describe(self, task: PlannedPart) -> str:
        first = task.utterances[0].utterance.id if task.utterances else "none"
        return f"Part {task.part} ({len(task.utterances)} utterances from {first!r})"


class PartWorker(Worker[PlannedPart, CommitRecord]):
    """Makes parts with one codec and one phonemizer, held."""

    def __init__(self, job: PartJob, tools: Tools) -> None:
        self._job = job
        self._stages: list[Stage] = [STAGES[name](options, tools) for name, options in job.config.stages().items()]

    def run(self, task: PlannedPart) -> CommitRecord:
        """Make the part exist and return its record; one that exists already is left alone."""
        existing = record_path(self._job.dataset, task.part)
        if existing.exists():
            return load_record(existing)
        works = [Work.begin(planned) for planned in task.utterances]
        rejections: list[Rejection] = list(task.rejections)
        with one_torch_thread():
            for stage in self._stages:
                result = stage.run(works)
                works = result.kept
                rejections += result.rejected
        identity = PartIdentity(
            part=task.part,
            part_id=task.part_id(self._job.config_hash),
            input_hash=task.input_hash,
            config_hash=self._job.config_hash,
            codec=self._job.codec.name,
            columns=self._job.config.columns(),
        )
        return commit_part(self._job.dataset, identity, [work.coded() for work in works], rejections, SHARDS["tar"]())
