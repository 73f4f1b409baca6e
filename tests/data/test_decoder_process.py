"""Decoding in a child process: the same sounds, and only the file at fault is lost."""

import gc
import os
import signal
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

from tests.troublesome import TroublesomeDecoder
from valle_data.audio import AudioLimits, probe, read_sound
from valle_data.decoder_process import DecoderProcess
from valle_data.errors import InputError, ReasonCode
from valle_data.records import AudioRef

LIMITS = AudioLimits()
MINUTE = AudioLimits(max_duration_s=7200)


def noise(path: Path, duration_s: float = 0.5) -> Path:
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, round(duration_s * 16000)), 16000)
    return path


@pytest.fixture(scope="module")
def decoder() -> DecoderProcess:
    return DecoderProcess(LIMITS)


@pytest.mark.parametrize("stretch", [{}, {"start_s": 0.1, "duration_s": 0.25}])
@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_sounds_are_those_of_this_process(decoder: DecoderProcess, suffix: str, stretch: dict[str, float], tmp_path: Path) -> None:
    ref = AudioRef(str(noise(tmp_path / f"a.{suffix}")), **stretch)
    ours, theirs = read_sound(ref, LIMITS), decoder.read(ref, 10)
    assert theirs.sample_rate_hz == 16000 and np.array_equal(theirs.samples, ours.samples) and theirs.samples.flags.writeable
    assert decoder.probe(ref, 10) == probe(ref, LIMITS)


@pytest.mark.parametrize("content", [b"", b"<html>"])
def test_refusals_are_those_of_this_process(decoder: DecoderProcess, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(InputError) as ours:
        read_sound(AudioRef(str(tmp_path / "a.wav")), LIMITS)
    with pytest.raises(InputError) as theirs:
        decoder.read(AudioRef(str(tmp_path / "a.wav")), 10)
    assert str(theirs.value) == str(ours.value) and theirs.value.reason is ReasonCode.NOT_AUDIO


@pytest.mark.parametrize(
    ("name", "reason", "words"),
    [
        ("segv", ReasonCode.DECODER_CRASHED, r"segv\.wav': The decoder ended with signal 11 \(SIGSEGV\)"),
        ("stop", ReasonCode.DECODER_TIMEOUT, r"stop\.wav': Decoding takes at most 2 s \(`decode\.time_limit_s`"),
        ("swell", ReasonCode.DECODER_CRASHED, r"swell\.wav': The decoder wanted more memory than `decode\.max_decoded_bytes`"),
    ],
)
def test_a_file_that_breaks_the_decoder_is_lost_alone(name: str, reason: ReasonCode, words: str, tmp_path: Path) -> None:
    decoder = TroublesomeDecoder(LIMITS)
    bad, good = noise(tmp_path / f"{name}.wav"), noise(tmp_path / "good.wav")
    before = decoder.read(AudioRef(str(good)), 10).samples
    with pytest.raises(InputError, match=words) as caught:
        decoder.read(AudioRef(str(bad)), 2 if name == "stop" else 60)
    assert caught.value.reason is reason
    assert np.array_equal(decoder.read(AudioRef(str(good)), 10).samples, before)


def test_a_header_that_breaks_the_decoder_is_lost_alone(tmp_path: Path) -> None:
    decoder = TroublesomeDecoder(LIMITS)
    with pytest.raises(InputError, match="SIGSEGV"):
        decoder.probe(AudioRef(str(noise(tmp_path / "header-segv.wav"))), 2)
    assert decoder.probe(AudioRef(str(noise(tmp_path / "good.wav"))), 2).num_frames == 8000


def test_a_child_that_somebody_else_killed_costs_no_file(decoder: DecoderProcess, tmp_path: Path) -> None:
    ref, killed = AudioRef(str(noise(tmp_path / "a.wav"))), decoder.pid
    os.kill(killed, signal.SIGKILL)
    assert len(decoder.read(ref, 10).samples) == 8000 and decoder.pid != killed


def test_a_bomb_stops_at_its_limit_in_little_memory(tmp_path: Path) -> None:
    """Ten minutes of 8 channels of silence: little on the disk, 0.9 GB decoded, and no more memory than the limit."""
    bomb = tmp_path / "bomb.flac"
    with soundfile.SoundFile(bomb, "w", 48000, 8, "PCM_16") as file:
        for _ in range(600):
            file.write(np.zeros((48000, 8), dtype=np.int16))
    decoder = DecoderProcess(MINUTE)
    with pytest.raises(InputError, match="max_decoded_bytes") as caught:
        decoder.read(AudioRef(str(bomb)), 60)
    assert caught.value.reason is ReasonCode.TOO_LONG
    status = Path(f"/proc/{decoder.pid}/status").read_text()
    peak_kilobytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    assert 10_000 < peak_kilobytes < 1_000_000


def test_the_child_goes_with_its_owner(tmp_path: Path) -> None:
    owner = DecoderProcess(LIMITS)
    child = psutil.Process(owner.pid)
    del owner
    gc.collect()
    deadline = time.monotonic() + 10
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
