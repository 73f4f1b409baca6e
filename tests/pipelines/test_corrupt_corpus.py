"""T16 in small: a corpus with one file of every kind that no corpus should hold; `benchmarks/faulty_corpus.py` measures a larger one."""

import sys
from pathlib import Path

import pytest

from valle_data.dataset import Dataset
from valle_data.decoder_process import DecoderProcess

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
NUM_GOOD = 12


def test_every_fault_has_its_reason_and_no_good_recording_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from faulty_corpus import make_corpus, run
    from faulty_files import KEPT, KINDS

    import tests.toy_codec  # noqa: F401 - puts its codec into the table

    monkeypatch.setattr(DecoderProcess, "module", "tests.troublesome")
    clean, faulty = make_corpus(tmp_path / "clean", NUM_GOOD, 0), make_corpus(tmp_path / "faulty", NUM_GOOD, 1)
    assert len(faulty.expected) == len(KINDS) + 4 > 45
    without = run(clean, tmp_path / "set-clean", codec="toy")
    outcome = run(faulty, tmp_path / "set", codec="toy")
    assert outcome.wrong(faulty) == []
    assert len(without.codes) == NUM_GOOD and without.codes.items() <= outcome.codes.items()
    num_kept = list(faulty.expected.values()).count(KEPT)
    assert len(outcome.codes) == NUM_GOOD + num_kept and len(Dataset.open(tmp_path / "set")) == len(outcome.codes)
    assert sorted(path for path in outcome.found if path not in faulty.expected and "/zz/" in path) == [], "nothing is there that was not put there"
