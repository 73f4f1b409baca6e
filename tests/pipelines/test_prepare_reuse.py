"""What another data set has is not made again, and comes out as if it had been."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipelines.prepare import PrepareOptions
from tests.pipelines.test_prepare import rows
from tests.pipelines.test_prepare_changes import long_recording
from tests.prepare_dummies import config, corpus, recording, result, run
from tests.toy_codec import ToyCodec
from valle_data.errors import ExitCode
from valle_data.shards.check import check_dataset
from valle_data.stages import STAGES
from valle_data.stages.base import Outcome, Work


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return corpus(tmp_path / "corpus")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many utterances each stage was asked for."""
    counts = dict.fromkeys(STAGES, 0)

    def watch(name: str) -> None:
        real = STAGES[name].process

        def process(self: object, works: Sequence[Work]) -> list[Outcome]:
            counts[name] += len(works)
            return real(self, works)

        monkeypatch.setattr(STAGES[name], "process", process)

    for name in ("decode", "segment", "quality", "phonemize", "quantize"):
        watch(name)
    return counts


def take(settings: object, output: Path, *donors: Path, workers: int = 0) -> None:
    assert run(settings, output, options=PrepareOptions(reuse=donors), workers=workers)[0] is ExitCode.DONE  # pyright: ignore[reportArgumentType]


def shards(output: Path) -> dict[str, bytes]:
    return {name: data for name, data in result(output).items() if name.startswith(("shards/", "vectors/", "quarantine/"))}


def test_another_phonemizer_does_not_redo_the_codec(folder: Path, tmp_path: Path, asked: dict[str, int]) -> None:
    run(config(folder), tmp_path / "old")
    espeak = config(folder, phonemizer="espeak")
    run(espeak, tmp_path / "plain")
    asked.update(dict.fromkeys(asked, 0))
    take(espeak, tmp_path / "new", tmp_path / "old")
    assert (asked["decode"], asked["quantize"], asked["phonemize"]) == (0, 0, 12)
    assert shards(tmp_path / "new") == shards(tmp_path / "plain") and check_dataset(tmp_path / "new") == []


def test_another_codec_does_not_redo_the_phones(folder: Path, tmp_path: Path, asked: dict[str, int]) -> None:
    run(config(folder), tmp_path / "old")
    asked.update(dict.fromkeys(asked, 0))
    salted = config(folder, codec=ToyCodec.Config(salt="other"))
    take(salted, tmp_path / "new", tmp_path / "old")
    assert (asked["decode"], asked["quantize"], asked["phonemize"]) == (12, 12, 0)
    run(salted, tmp_path / "plain")
    assert shards(tmp_path / "new") == shards(tmp_path / "plain")


def test_one_more_score_hears_the_sound_and_redoes_nothing_else(folder: Path, tmp_path: Path, asked: dict[str, int]) -> None:
    run(config(folder), tmp_path / "old")
    asked.update(dict.fromkeys(asked, 0))
    scored = config(folder, quality=True)
    take(scored, tmp_path / "new", tmp_path / "old", workers=0)
    assert (asked["decode"], asked["quality"], asked["quantize"], asked["phonemize"]) == (12, 12, 0, 0)
    run(scored, tmp_path / "plain")
    assert shards(tmp_path / "new") == shards(tmp_path / "plain")


def test_other_texts_and_other_sounds_are_made_anew(folder: Path, tmp_path: Path, asked: dict[str, int]) -> None:
    run(config(folder), tmp_path / "old")
    recording(folder, "s0", "u1", seed=1, duration_s=0.45, text="another text")
    recording(folder, "s1", "u2", seed=99, duration_s=0.5, text="text 2 of 1")
    recording(folder, "s2", "new", seed=55, duration_s=0.5, text="a new one")
    asked.update(dict.fromkeys(asked, 0))
    take(config(folder), tmp_path / "new", tmp_path / "old")
    assert (asked["decode"], asked["quantize"], asked["phonemize"]) == (2, 2, 3)
    run(config(folder), tmp_path / "plain")
    assert shards(tmp_path / "new") == shards(tmp_path / "plain")


def test_several_data_sets_give_and_workers_may_be_many(folder: Path, tmp_path: Path) -> None:
    run(config(folder), tmp_path / "one", options=PrepareOptions(limit=5))
    run(config(folder, part_duration_s=3.0), tmp_path / "two")
    take(config(folder), tmp_path / "new", tmp_path / "one", tmp_path / "two", workers=2)
    run(config(folder), tmp_path / "plain")
    assert result(tmp_path / "new") == result(tmp_path / "plain"), "nothing tells that it was taken over"


def test_segments_are_taken_over_unless_one_of_them_was_refused(tmp_path: Path, asked: dict[str, int]) -> None:
    rng = np.random.default_rng(0)
    folder = tmp_path / "long"
    for index in range(3):
        (folder / "g" / "s").mkdir(parents=True, exist_ok=True)
        burst, pause = rng.normal(0, 0.1, 16_000), rng.normal(0, 1e-5, 12_000)
        sound = np.concatenate([pause, burst, pause, burst * 0.7, pause, burst * 0.5, pause]).astype(np.float32)
        soundfile.write(folder / "g" / "s" / f"r{index}.wav", sound, 16_000)
        cues = [{"start": 0.7 + 1.75 * number, "end": 1.8 + 1.75 * number, "text": text} for number, text in enumerate(("one", "two", "three"))]
        if index == 2:
            cues[1]["text"] = "<b>two</b>"
        (folder / "g" / "s" / f"r{index}.json").write_text(str(cues).replace("'", '"'))
    given = {"segment": {"method": "given"}, "max_quarantine_fraction": 1.0, "part_duration_s": 60.0}
    run(config(folder, **given), tmp_path / "old")
    assert len(rows(tmp_path / "old")) == 8
    asked.update(dict.fromkeys(asked, 0))
    espeak = config(folder, phonemizer="espeak", **given)
    take(espeak, tmp_path / "new", tmp_path / "old")
    assert (asked["decode"], asked["segment"], asked["quantize"]) == (1, 1, 0)
    run(espeak, tmp_path / "plain")
    assert shards(tmp_path / "new") == shards(tmp_path / "plain")


def test_segments_have_the_speaker_that_the_corpus_names_now(tmp_path: Path, asked: dict[str, int]) -> None:
    folder, given = tmp_path / "long", {"segment": {"method": "given"}, "part_duration_s": 60.0}
    cues = long_recording(folder, "r0", count=3).with_suffix(".json")
    cues.write_text(cues.read_text().replace('"burst 1"', '"burst 1", "speaker": "guest"'))
    run(config(folder, **given), tmp_path / "old")
    renamed = config(folder, **given, corpus={"name": "folder", "root": folder, "language": "en-us", "pattern": "{speaker}/{group}/*"})
    asked.update(dict.fromkeys(asked, 0))
    take(renamed, tmp_path / "new", tmp_path / "old")
    assert (asked["decode"], asked["segment"]) == (0, 0) and [row["speaker"] for row in rows(tmp_path / "new")] == ["g", "guest", "g"]
    run(renamed, tmp_path / "plain")
    assert shards(tmp_path / "new") == shards(tmp_path / "plain")


def test_a_language_that_was_told_in_the_end_is_not_taken_for_one_that_was_given(tmp_path: Path) -> None:
    folder = tmp_path / "long"
    cues = long_recording(folder, "r0", count=2).with_suffix(".json")
    cues.write_text(cues.read_text().replace("burst 0", "Das ist ein schönes Haus").replace("burst 1", "Guten Morgen, wie geht es"))
    given = {"segment": {"method": "given"}, "part_duration_s": 60.0, "max_quarantine_fraction": 1.0, "phonemizer": "espeak"}
    corpora = {"corpus": {"name": "folder", "root": folder, "language": "und"}}
    run(config(folder, **given, **corpora, language={"languages": ["de", "en"]}), tmp_path / "old")
    narrow = config(folder, **given, **corpora, language={"languages": ["nl", "en"]})
    take(narrow, tmp_path / "new", tmp_path / "old")
    run(narrow, tmp_path / "plain")
    assert [row["language"] for row in rows(tmp_path / "old")] == ["de", "de"]
    assert shards(tmp_path / "new") == shards(tmp_path / "plain")


def test_what_was_refused_and_then_made_is_given_to_a_folder_of_any_name(folder: Path, tmp_path: Path, asked: dict[str, int]) -> None:
    soundfile.write(folder / "train" / "s0" / "u0.wav", np.zeros(6400), 16_000)
    run(config(folder), tmp_path / "old")
    recording(folder, "s0", "u0", seed=0, duration_s=0.4, text="text 0 of 0")
    run(config(folder), tmp_path / "old")
    assert len(rows(tmp_path / "old")) == 12
    asked.update(dict.fromkeys(asked, 0))
    take(config(folder), tmp_path / "n%41e?w#", tmp_path / "old")
    assert (asked["decode"], asked["phonemize"]) == (0, 0)
