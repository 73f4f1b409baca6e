"""T16 in small: a corpus with one file of every kind that no corpus should hold; `benchmarks/faulty_corpus.py` measures a larger one."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from pipelines.prepare_state import summarize
from tests.prepare_dummies import config, corpus, recording
from tests.prepare_dummies import run as run_prepare
from valle_data.dataset import Dataset
from valle_data.decoder_process import DecoderProcess
from valle_data.errors import ExitCode, InputError, ReasonCode

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
NUM_GOOD = 12


def test_every_fault_has_its_reason_and_no_good_recording_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from faulty_corpus import make_corpus, run
    from faulty_files import KEPT, MAKERS

    import tests.toy_codec  # noqa: F401 - puts its codec into the table

    monkeypatch.setattr(DecoderProcess, "module", "tests.troublesome")
    clean, faulty = make_corpus(tmp_path / "clean", NUM_GOOD, 0), make_corpus(tmp_path / "faulty", NUM_GOOD, 1)
    assert len(faulty.expected) == len(MAKERS) + 2 > 45
    without = run(clean, tmp_path / "set-clean", codec="toy")
    outcome = run(faulty, tmp_path / "set", codec="toy")
    assert outcome.wrong(faulty) == []
    assert len(without.codes) == NUM_GOOD and without.codes.items() <= outcome.codes.items()
    num_kept = list(faulty.expected.values()).count(KEPT)
    assert len(outcome.codes) == NUM_GOOD + num_kept and len(Dataset.open(tmp_path / "set")) == len(outcome.codes)
    assert sorted(path for path in outcome.found if path not in faulty.expected and "/zz/" in path) == [], "nothing is there that was not put there"


def test_two_files_of_one_id_stop_before_any_work_and_both_are_named(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "corpus", speakers=1, each=2)
    shutil.copy(folder / "train/s0/u1.wav", folder / "train/s0/u1.flac")
    with pytest.raises(InputError, match=r"s0/u1\.flac' and '.*s0/u1\.wav' would both be utterance 'train_s0_u1-.*Rename one of them") as caught:
        run_prepare(config(folder), tmp_path / "set")
    assert caught.value.reason is ReasonCode.DUPLICATE_ID and caught.value.exit_code is ExitCode.RUN_FAILED
    assert not list((tmp_path / "set/shards").iterdir()) and not list((tmp_path / "set/plan").iterdir())
    (folder / "train/s0/u1.flac").unlink()
    assert run_prepare(config(folder), tmp_path / "set")[0] is ExitCode.DONE


def test_a_name_that_is_no_utf_8_behind_a_refusal_ends_nothing(tmp_path: Path) -> None:
    """What is prepared later than it was refused is no longer counted, whatever its name."""
    folder = corpus(tmp_path / "corpus", speakers=1, each=1)
    name = os.fsdecode(b"caf\xe9")
    recording(folder, "s0", name, seed=5).write_bytes(b"<html>")
    settings = config(folder, max_quarantine_fraction=0.6)
    run_prepare(settings, tmp_path / "set")
    assert summarize(tmp_path / "set").reasons == {"not_audio": 1}
    recording(folder, "s0", name, seed=5)
    assert run_prepare(settings, tmp_path / "set")[0] is ExitCode.DONE
    assert summarize(tmp_path / "set").reasons == {} and len(Dataset.open(tmp_path / "set")) == 2
