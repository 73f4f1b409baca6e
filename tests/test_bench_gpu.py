"""`make bench-gpu` in small, on a CPU, on a machine that lacks what a machine with a GPU may lack."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ABSENT = "phonemizer espeakng_loader soundfile soxr num2words pyarrow xxhash tensorboard torchaudio encodec ray deepspeed h5py webdataset".split()
HIDE = f"""
from importlib.machinery import PathFinder
find = PathFinder.find_spec
def find_what_is_here(name, path=None, target=None):
    return None if name.partition(".")[0] in {ABSENT} else find(name, path, target)
PathFinder.find_spec = staticmethod(find_what_is_here)
"""
sys.path.insert(0, str(ROOT / "benchmarks"))


@pytest.fixture(scope="module")
def bare_machine(tmp_path_factory) -> dict[str, str]:
    """The environment of interpreters that find none of `ABSENT`."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text(HIDE, encoding="utf-8")
    return {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "benchmarks/gpu.py", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)


def test_the_bare_machine_is_bare(bare_machine):
    for name in ("pyarrow", "soundfile"):
        result = subprocess.run([sys.executable, "-c", f"import {name}"], env=bare_machine, capture_output=True, text=True)
        assert f"No module named '{name}'" in result.stderr


@pytest.mark.timeout(1800)
def test_every_section_runs_and_is_recorded(bare_machine, tmp_path):
    result = run(bare_machine, "--device", "cpu", "--tiny", "--minutes", "12", "--out", str(tmp_path))
    assert result.returncode == 0, result.stdout + result.stderr
    raw = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    assert [section["state"] for section in raw["sections"]] == ["done"] * 5
    figures = raw["figures"]
    assert {"S1", "S2", "S4", "S5", "S6", "S8", "S10", "parity"} <= {figure["number"] for figure in figures}
    assert all(figure["reached"] for figure in figures if figure["number"] == "parity")
    assert all(figure["reached"] is None for figure in figures if figure["number"] != "parity"), "goals of speed are not for a CPU"
    assert all(value > 0 for figure in figures if figure["number"] != "parity" for value in figure["ours"])
    for number in ("S1", "S2", "S4", "S5", "S8"):
        compared = next(figure for figure in figures if figure["number"] == number)
        assert len(compared["ours"]) == len(compared["peer"]) == len(compared["times_better"]) >= 1
    record = (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert "the figures mean nothing" in record
    assert "| S8 | useful training positions/s |" in record


@pytest.mark.timeout(1800)
def test_without_a_cuda_device_it_says_so(bare_machine, tmp_path):
    result = run(bare_machine, "--out", str(tmp_path))
    assert result.returncode == 4
    assert result.stderr.strip() == "This benchmark needs a CUDA device, and torch finds none here. To see that the program runs, add: --device cpu --tiny"
    assert not list(tmp_path.iterdir())


def test_a_section_without_time_is_skipped_and_one_that_hangs_is_stopped(tmp_path, capsys):
    import gpu

    class Never:
        """Children of which none ends in time."""

        def run(self, _target, _arguments, limit_s):
            assert limit_s >= gpu.SMALLEST_SHARE_S
            return None

    hung = gpu.measure_all(gpu.Options("cpu", True, 60.0, ("parity", "training"), tmp_path), Never(), tmp_path / "x")
    assert [ending.state.partition(" after")[0] for ending in hung] == ["stopped", "stopped"] and not any(ending.failed for ending in hung)
    skipped = gpu.measure_all(gpu.Options("cpu", True, 0.05, ("parity", "training"), tmp_path), Never(), tmp_path / "x")
    assert [ending.state for ending in skipped] == ["skipped: the 0.05 minutes are used up"] * 2
    assert "parity: skipped" in capsys.readouterr().out


def test_a_missing_package_is_named(tmp_path, capsys, monkeypatch):
    import gpu

    monkeypatch.setattr(gpu, "NEEDED", ("json", "no_such_package"))
    assert gpu.main(["--out", str(tmp_path)]) == 4
    assert "needs the package 'no_such_package'" in capsys.readouterr().err


def test_a_goal_needs_all_its_parts():
    from gpu_report import Figure, Goal

    goal = Goal(times_better=2, at_least=10)
    assert goal.reached(10, 2.0) and not goal.reached(9, 2.0) and not goal.reached(10, 1.9) and not goal.reached(10, None)
    assert str(goal) == ">= 2x, >= 10" and str(Goal()) == "-"
    slower = Figure("S4", "", "s", (2.0, 4.0), "peer", (1.0, 1.0), more_is_better=False, goal=Goal(times_better=1))
    assert slower.times_better == (0.5, 0.25) and slower.reached is False
    assert Figure("S4", "", "s", (2.0,), judged=False, goal=Goal(at_most=1)).reached is None


def test_what_a_killed_section_wrote_is_kept(tmp_path):
    from gpu_report import Figure, Goal, Notebook

    notebook = Notebook(tmp_path / "lines")
    assert notebook.read().figures == ()
    figure = Figure("S1", "x", "/s", (1.0,), "peer", (0.5,), goal=Goal(times_better=2))
    notebook.figure(figure)
    notebook.fact("device", "d")
    with notebook.path.open("a") as file:
        file.write('["figure", {"numb')
    assert notebook.read().figures == (figure,) and notebook.read().facts == {"device": "d"}


def test_the_corpus_law():
    """Pinned from the law's own program: speaker 3, utterance 5, seed 0."""
    from gpu_corpus import SPACE, utterance

    codes, phones = utterance(0, 3, 5)
    symbols = " abdefhijklmnopstuvwzæðŋɐɑɔəɚɛɡɪɹɾʃʊʌʒθˈː"
    assert symbols.index(" ") == SPACE
    text = "".join(symbols[phone] for phone in phones)
    assert hashlib.sha256(codes.T.tobytes() + text.encode()).hexdigest()[:16] == "27ab66b181d94e92"
    assert codes.shape == (8, 419)
