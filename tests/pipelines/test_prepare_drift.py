"""What would give other codes, phones or scores than a data set has is refused at the start, and both sides are named; what only changes the speed is not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.part import PartJob, make_tools
from pipelines.prepare_manifest import manifest_for
from tests.prepare_dummies import config, corpus, result, run
from tests.toy_codec import ToyCodec
from valle_data.errors import ExitCode, InputError, ReasonCode
from valle_data.stages.loudness import LoudnessStage

Drift = Callable[[pytest.MonkeyPatch], None]
WITH = {"loudness": {}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus(tmp_path_factory.mktemp("drift") / "corpus", speakers=1, each=2)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "stages decode, loudness, phonemize, quantize, this configuration has decode, phonemize, quantize"),
        (
            {**WITH, "fingerprint": {}},
            "this configuration has decode, fingerprint, loudness, phonemize, quantize|this configuration has decode, loudness, fing",
        ),
        ({"loudness": {"target_lufs": -23}}, r"`loudness\.target_lufs` None, this configuration has -23\.0"),
        ({**WITH, "codec": "mini"}, r"codec toy 24000 Hz.*, this configuration has mini 24000 Hz.*weights"),
        ({**WITH, "phonemize": {"max_characters": 100}}, r"`phonemize\.max_characters` 2000, this configuration has 100"),
    ],
    ids=["stage off", "stage on", "option", "codec", "text"],
)
def test_another_configuration_is_refused_with_both_sides(changes: dict[str, object], sentence: str, folder: Path, tmp_path: Path) -> None:
    run(config(folder, **WITH), tmp_path / "set")
    before = result(tmp_path / "set")
    with pytest.raises(InputError, match=sentence) as caught:
        run(config(folder, **changes), tmp_path / "set")
    assert caught.value.reason is ReasonCode.DATASET_MISMATCH and result(tmp_path / "set") == before


@pytest.mark.parametrize(
    ("drift", "sentence"),
    [
        (lambda patch: patch.setattr(LoudnessStage, "version", "99"), r"`loudness\.version` \d+, this configuration has 99"),
        (
            lambda patch: patch.setattr(LoudnessStage.Config, "stamp", lambda self: "weights 0123"),
            r"`loudness\.stamp` scipy.*, this configuration has weights 0123",
        ),
        (
            lambda patch: patch.setattr(LoudnessStage, "columns", {**LoudnessStage.columns, "more": "text"}),
            r"score columns .*gain_db \(float\), this configuration has .*more \(text\)",
        ),
    ],
    ids=["version", "weights", "columns"],
)
def test_another_program_is_refused_with_both_sides(drift: Drift, sentence: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(config(folder, **WITH), tmp_path / "set")
    before = result(tmp_path / "set")
    drift(monkeypatch)
    with pytest.raises(InputError, match=sentence) as caught:
        run(config(folder, **WITH), tmp_path / "set")
    assert caught.value.reason is ReasonCode.DATASET_MISMATCH and "choose another output folder" in str(caught.value)
    assert result(tmp_path / "set") == before


def test_what_only_changes_the_speed_is_no_other_configuration(folder: Path, tmp_path: Path) -> None:
    run(config(folder), tmp_path / "set")
    assert run(config(folder, decode={"time_limit_s": 7.0}), tmp_path / "set")[0] is ExitCode.DONE


def test_weights_that_change_during_a_run_stop_its_workers(folder: Path, tmp_path: Path) -> None:
    run(config(folder), tmp_path)
    settings = config(folder, codec=ToyCodec.Config(salt="other weights"))
    promised = manifest_for(config(folder), make_tools(config(folder)))
    job = PartJob(tmp_path, settings, promised.codec, promised.config_hash)
    with pytest.raises(InputError, match=r"The codec changed during the run: it was toy .*, it is toy") as caught:
        job.start()
    assert caught.value.reason is ReasonCode.DATASET_MISMATCH
