"""D3 in small: `benchmarks/corruption.py` with few faults."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


@pytest.mark.parametrize("seed", [1])
def test_no_damage_is_silent_and_what_is_whole_is_salvaged(seed: int, tmp_path: Path) -> None:
    from corruption import sweep

    for counts in sweep(tmp_path, num_flips=80, num_cuts=32, seed=seed):
        assert len(counts) == 8, "tar and HDF5 shards, and six other kinds of files"
        for kind, count in counts.items():
            assert count.faults > 0 and count.silent == 0, (kind, count.examples)
            assert count.salvaged >= 0.95 * count.undamaged
        assert counts["tar shard"].undamaged > 50 and counts["hdf5 shard"].undamaged > 50


def test_damage_that_nobody_looks_for_would_be_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The count itself can fail."""
    import corruption

    specimen, count = corruption.Specimen(tmp_path / "set", "tar"), corruption.Count()
    monkeypatch.setattr(corruption, "check_dataset", lambda folder: [])
    specimen.hit("quarantine", lambda data: data[:-1], count)
    assert count.silent == 1 and "the check found nothing" in count.examples[0]
