"""What ends its worker is found, named and left out; everything else comes out as it would have."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines import prepare
from pipelines.console import Console
from pipelines.executors.base import Beat, Sign, TaskFailed, WorkLimits
from pipelines.executors.local import LocalExecutor
from pipelines.isolation import Trials, isolate
from tests.prepare_dummies import config, corpus, recording
from tests.toy_codec import ToyCodec
from tests.troublesome import LENGTHS, TroublesomeCodec, misbehave
from valle_data.dataset import Dataset
from valle_data.decoder_process import DecoderProcess
from valle_data.errors import ExitCode, InputError, ReasonCode
from valle_data.shards.commit import committed_parts, read_quarantine

LIMITS = WorkLimits(name="test", stall_limit_s=4.0, isolation_memory_bytes=1 << 28)


@dataclass(frozen=True)
class Names(Trials[str, list[str]]):
    """Puts names in upper case; some misbehave. `tells` makes it say which one it is at."""

    tells: bool = True

    def start(self, beat: Beat) -> Callable[[Sequence[str]], list[str]]:
        def work(names: Sequence[str]) -> list[str]:
            for name in names:
                beat(Sign("spelling", (name,) if self.tells else ()))
                if name == "no room":
                    raise InputError(ReasonCode.STORAGE_FAILED, "no room")
                misbehave(name)
            return [name.upper() for name in names]

        return work

    def name(self, item: str) -> str:
        return item


GOOD = [f"good {number}" for number in range(11)]


@pytest.mark.parametrize("tells", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("bad", "reason", "how"),
    [
        ("segv", ReasonCode.WORKER_CRASHED, "signal 11 (SIGSEGV)"),
        ("stop", ReasonCode.WORKER_TIMEOUT, "no sign of life for `stall_limit_s` = 4 s"),
        ("swell", ReasonCode.WORKER_OUT_OF_MEMORY, "MemoryError"),
        ("bug", ReasonCode.WORKER_CRASHED, "ZeroDivisionError: a bug"),
    ],
)
def test_the_one_at_fault_is_found(bad: str, reason: ReasonCode, how: str, tells: bool) -> None:
    signs: list[Sign] = []
    names = [*GOOD[:2], bad] if bad == "stop" else [*GOOD[:4], bad, *GOOD[4:]]
    done = isolate(Names(tells), names, LIMITS, signs.append)
    assert sorted(name for made in done.made for name in made) == sorted(name.upper() for name in names if name != bad)
    (poison,) = done.poison
    assert poison.item == bad and poison.failure.reason is reason and how in poison.failure.how
    assert poison.failure.sign == Sign("spelling", (bad,) if tells else ()) and 3 <= poison.num_failures <= 6
    assert signs


def test_nothing_and_one_and_two_at_fault() -> None:
    assert isolate(Names(), [], LIMITS, lambda _sign: None).poison == []
    alone = isolate(Names(), ["segv"], LIMITS, lambda _sign: None)
    assert alone.made == [] and [poison.item for poison in alone.poison] == ["segv"]
    two = isolate(Names(False), ["bug 1", *GOOD, "bug 2"], LIMITS, lambda _sign: None)
    assert [poison.item for poison in two.poison] == ["bug 1", "bug 2"] and sum(len(made) for made in two.made) == len(GOOD)


def test_a_fault_of_the_machine_is_not_the_items() -> None:
    with pytest.raises(InputError, match="no room"):
        isolate(Names(), ["good", "no room"], LIMITS, lambda _sign: None)
    with pytest.raises(TaskFailed, match="9 of 12 utterances of a part end their worker, the last with ZeroDivisionError: a bug: more than half"):
        isolate(Names(), [f"bug {number}" for number in range(12)], LIMITS, lambda _sign: None)


def poisoned(folder: Path, stage: str, kind: str) -> Path:
    """Four good recordings and one over which a stage misbehaves."""
    corpus(folder, speakers=2, each=2)
    length = {what: duration for duration, what in LENGTHS.items()}[kind]
    recording(folder, "s0", "bad", seed=99, duration_s=length if stage == "quantize" else 0.5, text=kind if stage == "phonemize" else "fine")
    return folder


def rejected(output: Path) -> list[dict]:
    return [row for record in committed_parts(output) for row in read_quarantine(output, record).to_pylist()]


@pytest.mark.parametrize("stage", ["phonemize", "quantize"])
@pytest.mark.parametrize(
    ("kind", "workers", "reason"),
    [
        ("segv", 1, ReasonCode.WORKER_CRASHED),
        ("bug", 0, ReasonCode.WORKER_CRASHED),
        pytest.param("stop", 1, ReasonCode.WORKER_TIMEOUT, marks=pytest.mark.slow),
    ],
)
def test_an_utterance_that_ends_its_worker_is_quarantined_alone(stage: str, kind: str, workers: int, reason: ReasonCode, tmp_path: Path) -> None:
    folder, output = poisoned(tmp_path / "corpus", stage, kind), tmp_path / "set"
    settings = config(folder, codec=TroublesomeCodec.Config(), phonemizer="troublesome", part_duration_s=60, max_quarantine_fraction=0.5)
    limits = LocalExecutor.Config(workers=workers, max_attempts=1, stall_limit_s=8.0, isolation_memory_bytes=1 << 28)
    assert prepare.run(settings, output, executor=limits, console=Console(as_json=True)) is ExitCode.DONE
    (row,) = rejected(output)
    assert "_bad-" in row["utt_id"] and row["reason"] == reason and row["stage"] == stage and "alone as well as among others" in row["message"]
    good = config(folder, corpus=settings.corpus.model_copy(update={"exclude": ("*bad*",)}), part_duration_s=60)
    prepare.run(good, tmp_path / "good", executor=LocalExecutor.Config(workers=0), console=Console(as_json=True))
    assert len(Dataset.open(output)) == 4
    assert (output / "shards/part-000000.tar").read_bytes() == (tmp_path / "good/shards/part-000000.tar").read_bytes()


def test_a_file_that_crashes_the_decoder_costs_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, output = corpus(tmp_path / "corpus", speakers=2, each=3), tmp_path / "set"
    recording(folder, "s0", "segv", seed=98)
    recording(folder, "s1", "stop", seed=97)
    recording(folder, "s1", "header-segv", seed=96)
    monkeypatch.setattr(DecoderProcess, "module", "tests.troublesome")
    settings = config(folder, codec=ToyCodec.Config(), decode={"time_limit_s": 3.0}, max_quarantine_fraction=0.5)
    assert prepare.run(settings, output, executor=LocalExecutor.Config(workers=0), console=Console(as_json=True)) is ExitCode.DONE
    found = {row["utt_id"]: row["reason"] for row in rejected(output)}
    assert sorted(found.values()) == [ReasonCode.DECODER_CRASHED, ReasonCode.DECODER_CRASHED, ReasonCode.DECODER_TIMEOUT]
    assert len(Dataset.open(output)) == 6
