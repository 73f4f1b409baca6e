"""What becomes of a data set when plans are withdrawn, corpora are named otherwise, or most of what comes is refused."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipelines import planner, prepare
from pipelines.part import PartWorker
from pipelines.prepare import PrepareOptions
from tests.pipelines.test_prepare import quarantined, rows
from tests.prepare_dummies import config, corpus, recording, result, run
from tests.toy_codec import ToyCodec
from valle_data.corpora import CORPORA
from valle_data.errors import ExitCode, InputError, UsageError
from valle_data.shards.check import check_dataset
from valle_data.shards.commit import committed_parts
from valle_data.shards.plan import committed_numbers, plan_files, planned_part, withdraw

GIVEN = {"segment": {"method": "given"}, "max_quarantine_fraction": 1.0, "part_duration_s": 4.0}


def long_recording(folder: Path, name: str, *, count: int, seed: int = 0) -> Path:
    """`count` bursts of a second, 0.75 s apart, and where each is."""
    rng, path = np.random.default_rng(seed), folder / "g" / "s" / f"{name}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    bursts = [np.concatenate([rng.normal(0, 1e-5, 12_000), rng.normal(0, 0.1, 16_000)]) for _ in range(count)]
    soundfile.write(path, np.concatenate([*bursts, rng.normal(0, 1e-5, 12_000)]).astype(np.float32), 16_000)
    cues = [{"start": 0.7 + 1.75 * index, "end": 1.8 + 1.75 * index, "text": f"burst {index}"} for index in range(count)]
    path.with_suffix(".json").write_text(json.dumps(cues))
    return path


def take_back(output: Path, part: int) -> None:
    """As if the run had been killed before the part was committed, and its plan been withdrawn for another recording in it that changed."""
    withdraw(output, {part})
    assert part not in committed_numbers(output) and planned_part(output, part) is None


@pytest.mark.parametrize(("part", "part_duration_s"), [(0, 4.0), (1, 6.0), (1, 100.0), (2, 4.0)])
def test_pieces_of_a_long_recording_whose_plan_was_withdrawn_are_planned_again(part: int, part_duration_s: float, tmp_path: Path) -> None:
    folder, output = tmp_path / "corpus", tmp_path / "set"
    long_recording(folder, "long", count=8)
    long_recording(folder, "short", count=1, seed=1)
    settings = config(folder, **GIVEN, decode={"max_duration_s": 200})
    assert run(settings, output)[0] is ExitCode.DONE
    whole = sorted((row["utt_id"], row["text"], row["num_frames"]) for row in rows(output))
    assert len(whole) == 9 and committed_numbers(output) == {0, 1, 2}
    take_back(output, part)
    assert len(rows(output)) < 9
    assert run(settings.model_copy(update={"part_duration_s": part_duration_s}), output)[0] is ExitCode.DONE
    assert sorted((row["utt_id"], row["text"], row["num_frames"]) for row in rows(output)) == whole
    assert check_dataset(output) == []


def test_a_lost_plan_doubles_no_piece(tmp_path: Path) -> None:
    folder, output = tmp_path / "corpus", tmp_path / "set"
    long_recording(folder, "long", count=8)
    run(config(folder, **GIVEN), output)
    for file in plan_files(output):
        file.path.unlink()
    assert run(config(folder, **GIVEN), output)[0] is ExitCode.DONE
    assert len(rows(output)) == 8 and check_dataset(output) == []


def test_the_rest_of_a_recording_that_changed_meanwhile_is_refused(tmp_path: Path) -> None:
    folder, output = tmp_path / "corpus", tmp_path / "set"
    long_recording(folder, "long", count=8)
    run(config(folder, **GIVEN), output)
    take_back(output, 1)
    long_recording(folder, "long", count=8, seed=5)
    for _ in range(2):
        run(config(folder, **GIVEN), output)
        assert len(rows(output)) == 4
        assert [(row["reason"], "a part of it was prepared" in row["message"]) for row in quarantined(output)] == [("source_changed", True)]


def test_a_corpus_that_gets_another_label_is_not_prepared_twice(tmp_path: Path) -> None:
    first, second, output = corpus(tmp_path / "first"), tmp_path / "second", tmp_path / "set"
    recording(second, "s0", "u0", seed=77)
    assert run(config(first), output)[0] is ExitCode.DONE
    entries = [CORPORA["folder"].Config(root=root, label=root.name, language="en-us") for root in (first, second)]
    code, _ = run(config(first, corpus=None, corpora=entries), output)
    assert code is ExitCode.TOO_MANY_QUARANTINED and len(rows(output)) == 13
    refused = quarantined(output)
    assert {row["reason"] for row in refused} == {"duplicate_audio"} and len(refused) == 12
    assert all(f"which is utterance '{row['utt_id'].removeprefix('first-')}'" in row["message"] for row in refused)


def test_a_limit_counts_nothing_that_was_refused_before(tmp_path: Path) -> None:
    folder, output = tmp_path / "corpus", tmp_path / "set"
    for index in range(4):
        recording(folder, "a", f"u{index}", seed=index, text=None)
        recording(folder, "b", f"u{index}", seed=10 + index, text="hello")
    counts = []
    for _ in range(4):
        run(config(folder, max_quarantine_fraction=1.0), output, options=PrepareOptions(limit=3))
        counts.append((len(rows(output)), len(quarantined(output))))
    assert counts == [(0, 3), (2, 4), (4, 4), (4, 4)]


def test_parts_are_closed_when_nearly_all_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "REJECTIONS_PER_PART", 3)
    folder, output = tmp_path / "corpus", tmp_path / "set"
    for index in range(7):
        recording(folder, "a", f"u{index}", seed=index, text=None)
    recording(folder, "b", "good", seed=99)
    run(config(folder, max_quarantine_fraction=1.0), output)
    assert [(record.num_utterances, record.num_quarantined) for record in committed_parts(output)] == [(0, 3), (0, 3), (1, 1)]
    assert check_dataset(output) == []


def test_a_language_out_of_a_path_may_be_no_text(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/corpus/e\xff/s"
    os.makedirs(folder)
    with open(folder + b"/a.wav", "wb") as file:
        soundfile.write(file, np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32), 16_000, format="WAV")
    Path(os.fsdecode(folder), "a.txt").write_text("one two")
    corpus_of = {"name": "folder", "root": tmp_path / "corpus", "pattern": "{language}/{speaker}/*"}
    run(config(tmp_path, corpus=corpus_of), tmp_path / "set")
    assert [row["language"] for row in rows(tmp_path / "set")] == ["e\\xff"]


def test_segments_that_are_refused_are_held_against_all_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "FEW_UTTERANCES", 1)
    folder = tmp_path / "corpus"
    for index in range(4):
        cues = long_recording(folder, f"r{index}", count=4, seed=index).with_suffix(".json")
        if index == 0:
            cues.write_text(cues.read_text().replace("burst 1", "<b>burst</b>").replace("burst 2", "<b>burst</b>"))
    settings = config(folder, **{**GIVEN, "max_quarantine_fraction": 0.3, "part_duration_s": 10.0})
    code, said = run(settings, tmp_path / "set")
    assert code is ExitCode.DONE and "stopping here" not in said
    assert (len(rows(tmp_path / "set")), len(quarantined(tmp_path / "set"))) == (14, 2)


def test_a_run_that_stopped_early_does_not_end_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "FEW_UTTERANCES", 1)
    folder, output = corpus(tmp_path / "corpus"), tmp_path / "set"
    assert run(config(folder), output)[0] is ExitCode.DONE
    for index in range(3):
        recording(folder, "s3", f"u{index}", seed=50 + index, text="<b>markup</b>")
    recording(folder, "s4", "u0", seed=60, duration_s=1.0)
    for path in [*folder.glob("train/s0/*"), *folder.glob("train/s1/*")]:  # their utterances are prepared, and no longer listed
        path.unlink()
    stopped, done = run(config(folder, max_quarantine_fraction=0.2), output), run(config(folder, max_quarantine_fraction=0.2), output)
    assert stopped[0] is ExitCode.TOO_MANY_QUARANTINED and "stopping here" in stopped[1]
    assert done[0] is ExitCode.DONE and len(rows(output)) == 13


def test_a_configuration_may_change_until_a_part_is_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, output = corpus(tmp_path / "corpus"), tmp_path / "set"

    def stop(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(PartWorker, "run", stop)
        assert run(config(folder), output)[0] is ExitCode.INTERRUPTED
    assert plan_files(output) and not committed_numbers(output)
    salted = config(folder, codec=ToyCodec.Config(salt="other"))
    assert run(salted, output)[0] is ExitCode.DONE
    run(salted, tmp_path / "plain")
    assert result(output) == result(tmp_path / "plain")
    with pytest.raises(InputError, match="One folder never mixes two"):
        run(config(folder), output)


def test_a_file_is_no_folder_for_a_data_set(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for output in (tmp_path / "file", tmp_path / "file" / "set"):
        with pytest.raises(UsageError, match=r"A data set is a folder; .*/file is a file"):
            run(config(corpus(tmp_path / "corpus", speakers=1, each=1)), output)


def test_the_copy_of_a_long_recording_is_found_by_a_later_run(tmp_path: Path) -> None:
    folder, output = tmp_path / "corpus", tmp_path / "set"
    first = long_recording(folder, "long", count=8)
    run(config(folder, **GIVEN), output)
    for ending in (".wav", ".json"):
        (folder / "g" / "s" / f"again{ending}").write_bytes(first.with_suffix(ending).read_bytes())
    run(config(folder, **GIVEN), output)
    assert [row["reason"] for row in quarantined(output)] == ["duplicate_audio"] and len(rows(output)) == 8
