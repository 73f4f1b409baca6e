"""`valle prepare` from a folder of recordings to a checked data set."""

import json
import os
import shutil
import unicodedata
from pathlib import Path

import pyarrow as pa
import pytest

from tests.prepare_dummies import config, corpus, recording, result, run
from tests.toy_codec import ToyCodec
from valle_data.audio import AudioLimits
from valle_data.errors import ExitCode, InputError, ReasonCode, UsageError
from valle_data.shards import lock
from valle_data.shards.check import check_dataset
from valle_data.shards.commit import committed_parts, read_part_index, read_quarantine
from valle_data.shards.index import printable
from valle_data.shards.manifest import DatasetManifest
from valle_data.shards.tar import decode_codes, read_member
from valle_data.text.phonemizers.characters import CharacterPhonemizer


def rows(output: Path) -> list[dict]:
    return pa.concat_tables([read_part_index(output, record) for record in committed_parts(output)]).to_pylist()


def quarantined(output: Path) -> list[dict]:
    return pa.concat_tables([read_quarantine(output, record) for record in committed_parts(output)]).to_pylist()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return corpus(tmp_path / "corpus")


def test_a_corpus_becomes_a_whole_data_set(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "set"
    code, said = run(config(folder), output)
    assert code is ExitCode.DONE and '"utterances"' in said
    assert check_dataset(output) == []
    found = rows(output)
    assert len(found) == 12 and len({row["utt_id"] for row in found}) == 12
    assert {row["speaker"] for row in found} == {"s0", "s1", "s2"} and {row["group"] for row in found} == {"train"}
    for row in found:
        codes = decode_codes(read_member(output / "shards" / row["shard"], row["offset"], row["nbytes"], row["crc32"]))
        assert codes.shape == (2, row["num_frames"]) and "".join(row["phones"]) == row["text_normalized"]
        assert row["sample_rate_hz"] == 16000 and -25 < row["rms_dbfs"] < -15
    manifest = DatasetManifest.load(output)
    assert manifest.codec == ToyCodec(ToyCodec.Config()).spec
    assert manifest.phonemizer.name == "characters" and set("".join(row["text_normalized"] for row in found)) <= set(manifest.vocabulary.symbols)
    assert (output / "prepare.yaml").read_text().count("part_duration_s: 1.0") == 1
    assert not (output / lock.NAME).exists()


def test_parts_are_planned_by_speaker_and_duration(folder: Path, tmp_path: Path) -> None:
    run(config(folder), tmp_path / "set")
    records = committed_parts(tmp_path / "set")
    assert [record.part for record in records] == list(range(len(records))) and len(records) > 3
    assert all(record.duration_s < 1.0 + 0.6 for record in records)
    found = rows(tmp_path / "set")
    assert [row["speaker"] for row in sorted(found, key=lambda row: row["part"])] == ["s0"] * 4 + ["s1"] * 4 + ["s2"] * 4


def test_workers_do_not_change_a_byte(folder: Path, tmp_path: Path) -> None:
    run(config(folder), tmp_path / "none")
    run(config(folder), tmp_path / "three", workers=3)
    assert result(tmp_path / "none") == result(tmp_path / "three")


def test_running_again_changes_nothing(folder: Path, tmp_path: Path) -> None:
    recording(folder, "s9", "bad", seed=1, text=None)
    settings = config(folder, max_quarantine_fraction=1.0)
    run(settings, tmp_path / "set")
    before = result(tmp_path / "set")
    assert run(settings, tmp_path / "set")[0] is ExitCode.DONE
    assert result(tmp_path / "set") == before


def test_what_is_added_is_appended(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "set"
    run(config(folder), output)
    before, num_parts = result(output), len(committed_parts(output))
    recording(folder, "s0", "a-new-one", seed=77)
    recording(folder, "s7", "u0", seed=78)
    assert run(config(folder), output)[0] is ExitCode.DONE
    after = result(output)
    assert {name: after[name] for name in before} == before
    new = read_part_index(output, committed_parts(output)[num_parts])
    assert sorted(new["speaker"].to_pylist()) == ["s0", "s7"] and len(rows(output)) == 14
    assert check_dataset(output) == []


def test_bad_recordings_go_to_quarantine_with_a_reason_and_stop_nothing(folder: Path, tmp_path: Path) -> None:
    recording(folder, "bad", "no-text", seed=10, text=None)
    recording(folder, "bad", "empty-text", seed=11, text="  ")
    recording(folder, "bad", "markup", seed=12, text="<speak>hi</speak>")
    recording(folder, "bad", "short", seed=13, duration_s=0.01)
    recording(folder, "bad", "html", seed=14).write_bytes(b"<html>")
    cut = recording(folder, "bad", "cut", seed=15)
    cut.write_bytes(cut.read_bytes()[:4000])
    shutil.copy(folder / "train" / "s1" / "u1.wav", folder / "train" / "s2" / "twin.wav")
    (folder / "train" / "s2" / "twin.txt").write_text("the same sound")
    output = tmp_path / "set"
    code, said = run(config(folder), output)
    assert code is ExitCode.TOO_MANY_QUARANTINED and "max_quarantine_fraction" in said
    assert len(rows(output)) == 12 and check_dataset(output) == []
    reasons = {Path(row["path"]).stem: row["reason"] for row in quarantined(output)}
    assert reasons == {
        "no-text": "missing_text",
        "empty-text": "missing_text",
        "markup": "text_markup",
        "short": "too_short",
        "html": "not_audio",
        "cut": "truncated_audio",
        "twin": "duplicate_audio",
    }
    assert "truncated_audio" in said
    assert run(config(folder, max_quarantine_fraction=0.5), output)[0] is ExitCode.DONE
    assert len(quarantined(output)) == 7


def test_duplicates_are_kept_when_asked(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "train" / "s1", folder / "train" / "s5")
    assert run(config(folder, duplicate_audio="keep"), tmp_path / "set")[0] is ExitCode.DONE
    assert len(rows(tmp_path / "set")) == 16


def test_a_duplicate_of_an_earlier_run_is_found(folder: Path, tmp_path: Path) -> None:
    run(config(folder), tmp_path / "set")
    shutil.copy(folder / "train" / "s1" / "u1.wav", folder / "train" / "s2" / "twin.wav")
    (folder / "train" / "s2" / "twin.txt").write_text("the same sound")
    run(config(folder), tmp_path / "set")
    assert [row["reason"] for row in quarantined(tmp_path / "set")] == ["duplicate_audio"]
    assert "u1.wav" in quarantined(tmp_path / "set")[0]["message"]


@pytest.mark.parametrize("mistake", ["html", "text", "no text"])
def test_what_was_repaired_is_tried_again(mistake: str, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "set"
    path = recording(folder, "s0", "x", seed=50, text={"text": "", "no text": None}.get(mistake, "fine"))
    if mistake == "html":
        path.write_bytes(b"<html>")
    run(config(folder), output)
    assert len(rows(output)) == 12
    recording(folder, "s0", "x", seed=50, text="fine")
    assert run(config(folder, max_quarantine_fraction=0.5), output)[0] is ExitCode.DONE
    assert len(rows(output)) == 13 and check_dataset(output) == []


ODD_NAMES = ["it's $(id) `x`", "-rf", "new\nline", "dots.in.the.stem", "ü" * 100, os.fsdecode(b"latin-\xfc")]


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_odd_names_get_an_id_and_keep_their_path(name: str, tmp_path: Path) -> None:
    recording(tmp_path / "corpus", name, name, seed=1)
    recording(tmp_path / "corpus", name, name + " bad", seed=2).write_bytes(b"")
    run(config(tmp_path / "corpus"), tmp_path / "set")
    assert check_dataset(tmp_path / "set") == []
    (good,), (bad,) = rows(tmp_path / "set"), quarantined(tmp_path / "set")
    assert good["source_uri"].endswith(f"/{printable(name)}.wav") and bad["path"].endswith(f"/{printable(name)} bad.wav")
    assert good["speaker"] == unicodedata.normalize("NFC", printable(name))


def test_paths_that_do_not_fit_the_pattern_are_named_and_counted_once(folder: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copy(folder / "train" / "s0" / "u0.wav", folder / f"{name}.wav")
    settings = config(folder, max_quarantine_fraction=0.5)
    _, said = run(settings, tmp_path / "set")
    assert "2 of the corpus go to quarantine with unmatched_path" in said and "{group}/{speaker}/{utterance}.{ext}" in said
    shutil.copy(folder / "train" / "s0" / "u0.wav", folder / "c.wav")
    run(settings, tmp_path / "set")
    assert sorted(Path(row["path"]).name for row in quarantined(tmp_path / "set")) == ["a.wav", "b.wav", "c.wav"]


def test_nothing_but_bad_recordings(tmp_path: Path) -> None:
    recording(tmp_path / "corpus", "s", "u", seed=1).write_bytes(b"")
    assert run(config(tmp_path / "corpus"), tmp_path / "set")[0] is ExitCode.TOO_MANY_QUARANTINED
    records = committed_parts(tmp_path / "set")
    assert [(record.num_utterances, record.num_quarantined) for record in records] == [(0, 1)]
    assert check_dataset(tmp_path / "set") == []


def test_an_empty_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    with pytest.raises((UsageError, InputError), match=r"no recordings|no audio|no utterance"):
        run(config(tmp_path / "corpus"), tmp_path / "set")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"codec": ToyCodec.Config(salt="other weights")}, r"codec toy 24000 Hz.*weights e3b0c44298fc, this configuration has toy 24000 Hz.*weights 53959f"),
        ({"phonemizer": CharacterPhonemizer.Config(alphabet="ა")}, "vocabulary .*, this configuration has "),
        ({"decode": AudioLimits(max_duration_s=5)}, r"`decode\.max_duration_s` 60\.0, this configuration has 5\.0"),
    ],
    ids=["codec", "phonemizer", "decode"],
)
def test_a_folder_never_mixes_two_configurations(changes: dict[str, object], sentence: str, folder: Path, tmp_path: Path) -> None:
    run(config(folder), tmp_path / "set")
    before = result(tmp_path / "set")
    with pytest.raises(InputError, match=sentence) as caught:
        run(config(folder, **changes), tmp_path / "set")
    assert caught.value.reason is ReasonCode.DATASET_MISMATCH and "choose another output folder" in str(caught.value)
    assert result(tmp_path / "set") == before


def test_where_weights_lie_does_not_matter(folder: Path, tmp_path: Path) -> None:
    for weights in (None, tmp_path / "a", tmp_path / "b"):
        assert run(config(folder, codec=ToyCodec.Config(weights=weights)), tmp_path / "set")[0] is ExitCode.DONE


def test_parts_without_a_manifest_are_refused(folder: Path, tmp_path: Path) -> None:
    run(config(folder), tmp_path / "set")
    (tmp_path / "set" / "dataset.json").unlink()
    with pytest.raises(InputError, match=r"holds committed parts but no dataset\.json"):
        run(config(folder), tmp_path / "set")


def test_part_duration_may_change_between_runs(folder: Path, tmp_path: Path) -> None:
    run(config(folder), tmp_path / "set")
    recording(folder, "s8", "u0", seed=81)
    assert run(config(folder, part_duration_s=100.0), tmp_path / "set")[0] is ExitCode.DONE
    assert len(rows(tmp_path / "set")) == 13


def test_a_lost_plan_doubles_nothing(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "set"
    run(config(folder), output)
    shutil.rmtree(output / "plan")
    assert run(config(folder), output)[0] is ExitCode.DONE
    recording(folder, "s8", "u0", seed=81)
    assert run(config(folder), output)[0] is ExitCode.DONE
    assert len(rows(output)) == 13 and check_dataset(output) == []


def test_a_folder_in_use_is_refused(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "set"
    output.mkdir()
    with lock.hold(output, take_over=False, note=print), pytest.raises(InputError, match="is being written by pid") as caught:
        run(config(folder), output)
    assert caught.value.reason is ReasonCode.OUTPUT_LOCKED
    assert run(config(folder), output)[0] is ExitCode.DONE


def test_a_damaged_commit_record_is_named(folder: Path, tmp_path: Path) -> None:
    run(config(folder), tmp_path / "set")
    before = result(tmp_path / "set")
    path = tmp_path / "set" / "shards" / "part-000001.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "num_frames": 1}))
    with pytest.raises(InputError, match=r"part-000001\.json does not match its checksum"):
        run(config(folder), tmp_path / "set")
    path.unlink()
    assert run(config(folder), tmp_path / "set")[0] is ExitCode.DONE
    assert result(tmp_path / "set") == before
