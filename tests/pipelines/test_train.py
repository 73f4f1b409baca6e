"""`valle train` through its command line, on real recordings: it trains, resumes exactly, and refuses what does not fit."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pipelines.cli import main
from tests.conftest import ROOT

CONFIG = str(ROOT / "configs/train/debug.yaml")
STEPS = 12
FAST = [
    "engine.precision=fp32",
    "engine.threads=1",
    "engine.device=cpu",
    "sampler.max_positions=400",
    f"loop.max_steps={STEPS}",
    "loop.log_every_steps=1",
    "loop.checkpoint_every_steps=2",
    "loop.validate_every_steps=4",
    "loop.samples_every_steps=0",
]


def command(digits: Path, run: Path, *overrides: str) -> list[str]:
    return ["train", CONFIG, f"dataset={digits}", *FAST, *overrides, "-o", str(run)]


def start(digits: Path, run: Path, *overrides: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "pipelines", *command(digits, run, *overrides)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def end_state(run: Path) -> dict[str, torch.Tensor]:
    folder = run / f"checkpoints/step-{STEPS:09d}"
    return {**load_file(folder / "model.safetensors"), **load_file(folder / "optimizer.safetensors")}


def assert_same_end(a: Path, b: Path) -> None:
    first, second = end_state(a), end_state(b)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert (a / f"checkpoints/step-{STEPS:09d}/state.json").read_text() == (b / f"checkpoints/step-{STEPS:09d}/state.json").read_text()


@pytest.fixture(scope="module")
def undisturbed(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("train") / "undisturbed"
    assert main(command(digits, run)) == 0
    return run


def test_a_run_folder_describes_itself(digits: Path, undisturbed: Path) -> None:
    environment = json.loads((undisturbed / "environment.json").read_text())
    assert environment["data_fingerprint"] and environment["codec"].startswith("mini 24000 Hz")
    assert f"max_steps: {STEPS}" in (undisturbed / "train.yaml").read_text()
    assert main(["config", "validate", str(undisturbed / "train.yaml"), "--kind", "train"]) == 0
    steps = sorted(path.name for path in (undisturbed / "checkpoints").iterdir())
    assert steps == [f"step-{step:09d}" for step in (8, 10, 12)]
    kinds = [json.loads(line)["kind"] for line in (undisturbed / "metrics.jsonl").read_text().splitlines()]
    assert kinds.count("train") == STEPS and kinds.count("validation") == 3


def test_the_same_command_again_has_nothing_left_to_do(digits: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main(command(digits, run, "loop.max_steps=2")) == 0
    before = {path: path.stat().st_mtime_ns for path in (run / "checkpoints").rglob("*") if path.is_file()}
    assert main(command(digits, run, "loop.max_steps=2")) == 0
    assert before == {path: path.stat().st_mtime_ns for path in (run / "checkpoints").rglob("*") if path.is_file()}


def kill_until_done(digits: Path, run: Path, kills: int, seed: int) -> int:
    """Kill -9 the command at random moments, from start-up to the last save, then let it finish; returns how many kills hit."""
    rng, hits, metrics = random.Random(seed), 0, run / "metrics.jsonl"
    for _ in range(kills):
        process, begin = start(digits, run), time.monotonic()
        target = rng.randint(0, 3)  # lines beyond what was there: 0 dies while it still starts
        had = len(metrics.read_bytes().splitlines()) if metrics.exists() else 0
        while process.poll() is None and time.monotonic() - begin < 120:
            now = len(metrics.read_bytes().splitlines()) if metrics.exists() else 0
            if now >= had + target and (target or time.monotonic() - begin > rng.uniform(0, 8)):
                time.sleep(rng.uniform(0, 0.1))
                process.kill()
                break
            time.sleep(0.005)
        hits += process.wait() == -signal.SIGKILL
    assert main(command(digits, run)) == 0
    return hits


def test_killed_and_resumed_equals_undisturbed_bit_for_bit(digits: Path, undisturbed: Path, tmp_path: Path) -> None:
    assert kill_until_done(digits, tmp_path / "run", kills=2, seed=1) >= 1
    assert_same_end(undisturbed, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_kills(digits: Path, undisturbed: Path, tmp_path: Path) -> None:
    hits, seed = 0, 0
    while hits < 20:
        hits += kill_until_done(digits, tmp_path / f"run{seed}", kills=6, seed=seed)
        assert_same_end(undisturbed, tmp_path / f"run{seed}")
        seed += 1


def test_sigterm_saves_and_exits_75(digits: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start(digits, run, "loop.checkpoint_every_steps=0", "loop.max_steps=100000")
    while not (run / "metrics.jsonl").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 75
    assert len(list((run / "checkpoints").iterdir())) == 1


def test_a_second_run_in_the_folder_is_refused(digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    process = start(digits, run, "loop.max_steps=100000")
    try:
        while not (run / "metrics.jsonl").exists():
            assert process.poll() is None
            time.sleep(0.02)
        assert main(command(digits, run)) == 1
    finally:
        process.kill()
        process.wait()
    message = capsys.readouterr().err
    assert "output_locked" in message and str(process.pid) in message


def test_another_model_is_refused_and_both_are_named(digits: Path, undisturbed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(digits, undisturbed, "model.architecture={name: llama, width: 32, depth: 2, heads: 2, feedforward: 64}")) == 1
    message = capsys.readouterr().err
    assert "checkpoint_mismatch" in message and '"width":64' in message and '"width":32' in message


def test_another_sampler_is_refused(digits: Path, undisturbed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(digits, undisturbed, "sampler.ar_fraction=0.9", "loop.max_steps=20")) == 1
    assert "another sampler configuration" in capsys.readouterr().err


def test_a_broken_newest_checkpoint_is_named_and_the_one_before_it_used(digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert main(command(digits, run)) == 0
    weights = run / f"checkpoints/step-{STEPS:09d}/model.safetensors"
    good = weights.read_bytes()
    weights.write_bytes(good[:-10])
    assert main(command(digits, run)) == 0
    output = capsys.readouterr().out
    assert "passed over" in output and f"step-{STEPS:09d}: model.safetensors has {len(good) - 10} bytes" in output
    assert weights.read_bytes() == good


def test_a_data_set_that_is_none_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(tmp_path / "nothing", tmp_path / "run")) == 1
    assert "not a prepared data set" in capsys.readouterr().err


def test_damaged_codes_stop_training_with_their_shard_and_utterance(digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import shutil

    damaged = tmp_path / "damaged"
    shutil.copytree(digits, damaged)
    for shard in (damaged / "shards").glob("*.tar"):
        data = bytearray(shard.read_bytes())
        for header in np.flatnonzero(np.frombuffer(bytes(data[: len(data) // 512 * 512]), np.uint8).reshape(-1, 512)[:, 257] == ord("u"))[::2]:
            data[int(header) * 512 + 512 + 200] ^= 1
        shard.write_bytes(data)
    assert main(command(damaged, tmp_path / "run")) == 1
    message = capsys.readouterr().err
    assert "corrupt_shard" in message and "should have crc32" in message


def test_samples_are_written_from_fixed_texts(digits: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main(command(digits, run, "loop.max_steps=2", "loop.samples_every_steps=1")) == 0
    assert sorted(path.name for path in (run / "samples").iterdir()) == ["recording-0.wav", "recording-1.wav", "step-000000001", "step-000000002"]
    assert os.path.getsize(run / "samples/recording-0.wav") > 10_000
