"""A corpus that changes between runs, or under one: nothing wrong is kept for ever, and nothing is kept in silence."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines import prepare
from pipelines.executors.base import TaskFailed
from pipelines.part import PartJob, PartWorker
from pipelines.prepare_intake import Intake
from tests.pipelines.test_prepare import quarantined, rows
from tests.prepare_dummies import config, corpus, recording, result, run
from tests.toy_codec import ToyCodec
from valle_data.corpora import CORPORA
from valle_data.errors import ExitCode, InputError, ReasonCode, UsageError
from valle_data.shards.base import record_path
from valle_data.shards.check import check_dataset
from valle_data.shards.commit import CommitRecord, committed_parts
from valle_data.shards.plan import PlannedPart


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return corpus(tmp_path / "corpus")


def before_part(number: int, monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    """Do something to the corpus between planning and one part."""
    real = PartWorker.run

    def run_part(self: PartWorker, task: PlannedPart) -> CommitRecord:
        if task.part == number:
            action()
        return real(self, task)

    monkeypatch.setattr(PartWorker, "run", run_part)


def test_a_disk_that_goes_away_stops_the_run_and_comes_back(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(config(folder), tmp_path / "undisturbed")
    output = tmp_path / "set"
    with monkeypatch.context() as patch:
        before_part(2, patch, lambda: folder.rename(tmp_path / "away"))
        with pytest.raises(InputError, match="cannot be read now: No such file") as caught:
            run(config(folder), output)
    assert caught.value.reason is ReasonCode.STORAGE_FAILED and caught.value.exit_code is ExitCode.RUN_FAILED
    assert len(committed_parts(output)) == 2 and quarantined(output) == []
    (tmp_path / "away").rename(folder)
    assert run(config(folder), output)[0] is ExitCode.DONE
    assert result(output) == result(tmp_path / "undisturbed")


def test_a_recording_removed_after_planning_is_planned_away(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output, victim = tmp_path / "set", folder / "train" / "s2" / "u3.wav"
    with monkeypatch.context() as patch:
        before_part(2, patch, victim.unlink)
        with pytest.raises(InputError, match="take it out of the corpus"):
            run(config(folder), output)
    code, said = run(config(folder), output)
    assert code is ExitCode.DONE and "1 parts were planned; they are planned anew" in said
    assert len(rows(output)) == 11 and check_dataset(output) == []


def test_a_recording_that_changes_after_planning_is_planned_anew(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "set"

    def replace_it() -> None:
        os.utime(recording(folder, "s2", "u3", seed=99, text="text 3 of 2"), (1, 1))  # as a copy that keeps its old date

    with monkeypatch.context() as patch:
        before_part(2, patch, replace_it)
        with pytest.raises(InputError, match="changed after it was planned") as caught:
            run(config(folder), output)
    assert caught.value.reason is ReasonCode.SOURCE_CHANGED
    assert run(config(folder), output)[0] is ExitCode.DONE
    run(config(folder), tmp_path / "new")
    digests = [{row["utt_id"]: row["source_digest"] for row in rows(each)} for each in (output, tmp_path / "new")]
    assert digests[0] == digests[1] and len(digests[0]) == 12 and check_dataset(output) == []


def fail() -> None:
    raise InputError(ReasonCode.STORAGE_FAILED, "no room")


@pytest.mark.parametrize("what", ["text", "audio"])
def test_what_changed_before_its_part_was_committed_is_planned_anew(what: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "set"
    with monkeypatch.context() as patch:
        before_part(1, patch, fail)
        with pytest.raises(InputError, match="no room"):
            run(config(folder), output)
    recording(folder, "s2", "u3", seed=99 if what == "audio" else 2003, duration_s=0.55, text="another" if what == "text" else "text 3 of 2")
    assert run(config(folder), output)[0] is ExitCode.DONE
    run(config(folder), tmp_path / "new")
    contents = [{row["utt_id"]: (row["source_digest"], row["text"]) for row in rows(each)} for each in (output, tmp_path / "new")]
    assert contents[0] == contents[1] and check_dataset(output) == []


@pytest.mark.parametrize("what", ["text", "audio"])
def test_what_changed_after_it_was_committed_is_said_with_the_remedy(what: str, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "set"
    run(config(folder), output)
    before = result(output)
    recording(folder, "s0", "u1", seed=99 if what == "audio" else 1, duration_s=0.45, text="another" if what == "text" else "text 1 of 0")
    code, said = run(config(folder), output)
    part = next(row["part"] for row in rows(output) if row["source_uri"].endswith("s0/u1.wav"))
    assert code is ExitCode.DONE and result(output) == before
    assert "1 utterances that are prepared have another text or recording now" in said and "s0/u1.wav" in said and str(record_path(output, part)) in said
    record_path(output, part).unlink()
    assert "another text or recording" not in run(config(folder), output)[1]
    run(config(folder), tmp_path / "new")
    contents = [{row["utt_id"]: (row["source_digest"], row["text"]) for row in rows(each)} for each in (output, tmp_path / "new")]
    assert contents[0] == contents[1] and check_dataset(output) == []


def test_a_corpus_that_only_looks_younger_is_not_called_changed(folder: Path, tmp_path: Path) -> None:
    run(config(folder), tmp_path / "set")
    for path in folder.rglob("*.wav"):
        path.touch()
    assert "another text or recording" not in run(config(folder), tmp_path / "set")[1]


@pytest.mark.parametrize("mistake", ["html", "empty text", "no text"])
def test_what_was_repaired_is_no_longer_counted(mistake: str, folder: Path, tmp_path: Path) -> None:
    settings, output = config(folder, max_quarantine_fraction=0.0), tmp_path / "set"
    path = recording(folder, "s0", "x", seed=50, text={"empty text": "", "no text": None}.get(mistake, "fine"))
    if mistake == "html":
        path.write_bytes(b"<html>")
    assert run(settings, output)[0] is ExitCode.TOO_MANY_QUARANTINED
    recording(folder, "s0", "x", seed=50, text="fine")
    assert run(settings, output)[0] is ExitCode.DONE
    summary = prepare.summarize(output)
    assert (summary.num_utterances, summary.num_quarantined, summary.reasons) == (13, 0, {})


def test_what_was_refused_twice_counts_once(folder: Path, tmp_path: Path) -> None:
    for content in (b"<html>", b"<html lang=en>"):
        recording(folder, "s0", "x", seed=50).write_bytes(content)
        run(config(folder), tmp_path / "set")
    assert len(quarantined(tmp_path / "set")) == 2 and prepare.summarize(tmp_path / "set").num_quarantined == 1


def twin(folder: Path, name: str, text: str) -> None:
    """A copy of a recording, first of all by its id."""
    shutil.copy(folder / "train" / "s1" / "u1.wav", folder / "train" / "s0" / f"{name}.wav")
    (folder / "train" / "s0" / f"{name}.txt").write_text(text)


def test_duplicates_of_an_earlier_run_are_taken_in_when_asked(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "set"
    twin(folder, "a", "the same sound")
    run(config(folder), output)
    assert [row["reason"] for row in quarantined(output)] == ["duplicate_audio"]
    before = result(output)
    run(config(folder), output)
    assert result(output) == before
    assert run(config(folder, duplicate_audio="keep", max_quarantine_fraction=0.0), output)[0] is ExitCode.DONE
    assert len(rows(output)) == 13 and check_dataset(output) == []


@pytest.mark.parametrize("text", ["", "<speak>hi</speak>", "x" * 3000])
def test_an_utterance_refused_for_its_text_owns_no_sound(text: str, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "set"
    twin(folder, "a", text)
    for _ in range(2):
        run(config(folder), output)
        assert len(rows(output)) == 12 and ["s0/a.wav" in row["path"] for row in quarantined(output)] == [True]


def test_the_copy_of_what_a_worker_refused_is_taken_in_by_the_next_run(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "set"
    twin(folder, "a", "日本")
    run(config(folder), output)
    assert {row["reason"] for row in quarantined(output)} == {"unknown_phone", "duplicate_audio"}
    run(config(folder), output)
    assert len(rows(output)) == 12 and prepare.summarize(output).reasons == {"unknown_phone": 1}


def test_a_mistyped_language_is_refused_before_anything_is_read(folder: Path, tmp_path: Path) -> None:
    settings = config(folder, phonemizer="espeak", corpus=CORPORA["folder"].Config(root=folder, language="xx-us"))
    with pytest.raises(UsageError, match=r"xx-us.*Did you mean 'es-us'.*12 of the utterances.*corpus\.language") as caught:
        run(settings, tmp_path / "set")
    assert caught.value.exit_code is ExitCode.USAGE and not list((tmp_path / "set" / "plan").iterdir())


def test_a_few_utterances_in_a_strange_language_go_to_quarantine(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "mixed"
    shutil.copytree(folder, root)
    odd = next(root.rglob("*.wav"))
    table = [{"path": str(path.relative_to(root)), "text": "one two"} | ({"language": "xx-us"} if path == odd else {}) for path in sorted(root.rglob("*.wav"))]
    (root / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table), encoding="utf-8")
    mixed = CORPORA["folder"].Config(root=root, table="table.jsonl")
    settings = config(root, phonemizer="espeak", corpus=mixed, max_quarantine_fraction=0.1)
    code, said = run(settings, tmp_path / "set")
    assert code is ExitCode.DONE and "unknown_language" in said


def test_the_log_lies_in_the_output_folder_and_has_the_traceback(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_job: PartJob, intake: Intake, *_rest: object) -> None:
        assert next(intake.parts()).part == 0
        error = TaskFailed("Part 1 failed. This is a bug; the log has the traceback.")
        error.add_note("what the worker saw")
        raise error

    monkeypatch.setattr(prepare, "_work", fail)
    with pytest.raises(TaskFailed):
        run(config(folder), tmp_path / "set")
    log = (tmp_path / "set" / "prepare.log").read_text()
    assert "Planning 12 new utterances" in log and "Traceback" in log and "what the worker saw" in log


@pytest.mark.parametrize(("number", "code", "word"), [(signal.SIGTERM, ExitCode.PREEMPTED, "Terminated"), (signal.SIGINT, ExitCode.INTERRUPTED, "Interrupted")])
def test_a_polite_signal_is_answered_and_logged(
    number: signal.Signals, code: ExitCode, word: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_part(2, monkeypatch, lambda: signal.raise_signal(number))
    found, said = run(config(folder), tmp_path / "set")
    assert found is code and len(committed_parts(tmp_path / "set")) == 2
    assert f"{word}. What is committed in" in said and f"warning {word}." in (tmp_path / "set" / "prepare.log").read_text()


def test_torch_keeps_its_threads(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, seen, encode = torch.get_num_threads(), set(), ToyCodec.encode

    def noting(self: ToyCodec, waveforms: Sequence[np.ndarray]) -> list[np.ndarray]:
        seen.add(torch.get_num_threads())
        return encode(self, waveforms)

    monkeypatch.setattr(ToyCodec, "encode", noting)
    torch.set_num_threads(3)
    try:
        run(config(folder), tmp_path / "set")
        assert seen == {1} and torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_every_kind_of_bad_text_is_cleaned_or_refused_and_stops_nothing(tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    texts = {
        "nul": "one\0 two",
        "bidi": "one \u202etwo\u202c",
        "emoji": "\N{GRINNING FACE}",
        "endless": "one " * 30_000,
        "espeak": "[[w'Vn]]",
        "ssml": "<speak>one</speak>",
        "plain": "one two",
    }
    for seed, (name, text) in enumerate(texts.items()):
        recording(root, "s0", name, seed=seed, text=None).with_suffix(".txt").write_text(text, encoding="utf-8")
    code, _ = run(config(root, phonemizer="espeak", max_quarantine_fraction=1.0), tmp_path / "set")
    assert code is ExitCode.DONE
    kept = {row["source_uri"].split("/")[-1].removesuffix(".wav"): row for row in rows(tmp_path / "set")}
    refused = {row["path"].split("/")[-1].removesuffix(".wav"): row["reason"] for row in quarantined(tmp_path / "set")}
    assert kept.keys() | refused.keys() == texts.keys() and not kept.keys() & refused.keys()
    expected = {"endless": "text_too_long", "espeak": "text_markup", "ssml": "text_markup"}
    assert {name: refused[name] for name in expected} == expected
    assert refused["emoji"].startswith("text_")
    assert kept["bidi"]["text_normalized"] == kept["plain"]["text_normalized"] == "one two"
