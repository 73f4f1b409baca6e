"""Reading recordings: what is read, and everything that must be refused with its reason. Files are written by soundfile or, for lies, by hand."""

import os
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from valle_data.audio import AudioLimits, probe, read_audio
from valle_data.audio_containers.mp3 import parse_mpeg_frame
from valle_data.audio_containers.ogg import ogg_checksum
from valle_data.errors import InputError, ReasonCode
from valle_data.records import AudioRef
from valle_data.source import Range, audio_digest, file_digest

RATE = 16000
FORMATS = {"wav": ("WAV", "PCM_16"), "flac": ("FLAC", "PCM_16"), "ogg": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS"), "mp3": ("MP3", "MPEG_LAYER_III")}
LIMITS = AudioLimits()


def tone(seconds: float = 0.5, rate: int = RATE, channels: int = 1) -> np.ndarray:
    """`[N, channels]`: a swept tone with noise, a different one on each channel."""
    time = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(0).standard_normal((len(time), channels)) * 0.01
    return (0.3 * np.sin(2 * np.pi * (200 + 300 * time[:, None]) * time[:, None] * np.arange(1, channels + 1)) + noise).astype(np.float32)


def write(path: Path, samples: np.ndarray | None = None, rate: int = RATE, kind: str = "wav") -> Path:
    container, subtype = FORMATS[kind]
    soundfile.write(str(path), tone(rate=rate) if samples is None else samples, rate, format=container, subtype=subtype)
    return path


def refusal(path: Path | str, limits: AudioLimits = LIMITS, **stretch: float) -> InputError:
    with pytest.raises(InputError) as caught:
        read_audio(AudioRef(str(path), **stretch), RATE, limits)  # type: ignore[arg-type]
    return caught.value


def wav_bytes(samples: bytes, channels: int = 1, rate: int = RATE, bits: int = 16, tag: int = 1, data_bytes: int | None = None, **lies: int) -> bytes:
    align = lies.get("align", channels * bits // 8)
    fmt = struct.pack("<HHIIHH", tag, channels, lies.get("shown_rate", rate), rate * align, align, bits)
    data = struct.pack("<4sI", b"data", len(samples) if data_bytes is None else data_bytes) + samples
    return struct.pack("<4sI4s4sI", b"RIFF", lies.get("riff_bytes", 4 + 24 + len(data)), b"WAVE", b"fmt ", 16) + fmt + data


PCM = (tone()[:, 0] * 32767).astype("<i2").tobytes()


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("channels", [1, 2])
def test_reads_each_container_whatever_its_name(tmp_path: Path, kind: str, channels: int) -> None:
    samples = tone(channels=channels)
    path = write(tmp_path / "misnamed.txt", samples, kind=kind)
    got = read_audio(AudioRef(str(path)), RATE, LIMITS)
    expected = samples.mean(axis=1)
    assert got.dtype == np.float32 and got.ndim == 1
    assert abs(len(got) - len(expected)) <= (0 if kind in ("wav", "flac", "ogg") else 1200)
    if kind in ("wav", "flac"):
        np.testing.assert_allclose(got, expected, atol=2 / 32768)
    else:
        length = min(len(got), len(expected))
        assert np.corrcoef(got[:length], expected[:length])[0, 1] > 0.9
    info = probe(str(path), LIMITS)
    assert (info.container, info.sample_rate_hz, info.num_channels, info.num_bytes) == ("ogg" if kind == "opus" else kind, RATE, channels, path.stat().st_size)
    assert info.duration_s == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 96000])
def test_resamples_like_soxr(tmp_path: Path, rate: int) -> None:
    path = write(tmp_path / "a.flac", rate=rate, kind="flac")
    decoded, _ = soundfile.read(str(path), dtype="float32")
    np.testing.assert_array_equal(read_audio(AudioRef(str(path)), 24000, LIMITS), np.clip(soxr.resample(decoded, rate, 24000, quality="HQ"), -1, 1))


def test_channel_and_stretch(tmp_path: Path) -> None:
    samples = tone(1.0, channels=2)
    path = str(write(tmp_path / "a.wav", samples))
    np.testing.assert_allclose(read_audio(AudioRef(path, channel=1), RATE, LIMITS), samples[:, 1], atol=2 / 32768)
    stretch = read_audio(AudioRef(path, start_s=0.25, duration_s=0.5), RATE, LIMITS)
    np.testing.assert_array_equal(stretch, read_audio(AudioRef(path), RATE, LIMITS)[4000:12000])
    assert refusal(path, channel=2).reason is ReasonCode.BAD_HEADER
    assert refusal(path, start_s=0.9, duration_s=0.5).reason is ReasonCode.TOO_SHORT
    assert "lies outside the recording of 1.000 s" in str(refusal(path, start_s=2.0))
    ogg = write(tmp_path / "a.ogg", samples, kind="ogg")
    assert "lies outside the recording of 1.000 s" in str(refusal(ogg, start_s=0.9, duration_s=0.5))


# --- row 1


@pytest.mark.parametrize(
    "content", [b"", b"R", b"<!DOCTYPE html><html><body>404</body></html>", bytes(5000), b"ID3", b"RIFF\0\0\0\0AVI ", b"#!AMR\n" * 9, b"\xff\xfb"]
)
def test_not_audio(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    error = refusal(path)
    assert error.reason is ReasonCode.NOT_AUDIO and repr(str(path)) in str(error)
    with pytest.raises(InputError, match="not_audio"):
        probe(str(path), LIMITS)


@given(st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
def test_arbitrary_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(content)
    assert refusal(path).reason in (ReasonCode.NOT_AUDIO, ReasonCode.TRUNCATED_AUDIO, ReasonCode.BAD_HEADER)


def test_random_bytes_are_not_audio(tmp_path: Path) -> None:
    for seed in range(50):
        (tmp_path / "a.wav").write_bytes(np.random.default_rng(seed).bytes(4000))
        assert refusal(tmp_path / "a.wav").reason is ReasonCode.NOT_AUDIO


@given(kind=st.sampled_from(["wav", "flac", "ogg", "mp3"]), edits=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
def test_damaged_files_give_a_waveform_or_a_reason(tmp_path: Path, kind: str, edits: list[tuple[float, int]]) -> None:
    """Never another exception; in FLAC and Ogg, whose structure has checksums, never other samples either."""
    path = tmp_path / f"a.{kind}"
    if not path.exists():
        write(path, kind=kind)
    content = bytearray(path.read_bytes())
    for place, byte in edits:
        content[int(place * len(content))] = byte
    damaged = tmp_path / "damaged"
    damaged.write_bytes(content)
    try:
        got = read_audio(AudioRef(str(damaged)), RATE, LIMITS)
    except InputError:
        return
    assert np.isfinite(got).all() and np.abs(got).max() <= 1
    if kind == "ogg":
        np.testing.assert_array_equal(got, read_audio(AudioRef(str(path)), RATE, LIMITS))


def test_directory_loop_pipe_and_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    (tmp_path / "dangling.wav").symlink_to("nowhere.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    for name, words in (
        ("folder.wav", "a directory"),
        ("loop.wav", "symbolic links"),
        ("dangling.wav", "No such file"),
        ("pipe.wav", "no regular file"),
        ("x" * 300, "too long"),
    ):
        error = refusal(tmp_path / name)
        assert error.reason is ReasonCode.NOT_AUDIO and words in str(error)
    assert "nowhere.wav" in str(refusal(tmp_path / "dangling.wav"))  # the real path
    assert refusal("a\0b.wav").reason is ReasonCode.NOT_AUDIO


def test_names_no_shell_would_like(tmp_path: Path) -> None:
    write(tmp_path / "a.wav")
    for name in (b"$(id).wav", b"-rf.wav", b"q\"'.wav", b"line\nbreak.wav", b"latin1-\xe9.wav", b"n" * 251 + b".wav"):
        path = os.path.join(os.fsencode(tmp_path), name)
        os.link(tmp_path / "a.wav", path)
        assert len(read_audio(AudioRef(os.fsdecode(path)), RATE, LIMITS)) == 8000
        Path(os.fsdecode(path)).unlink()
    broken = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"latin1-\xe9.wav"))
    Path(broken).write_bytes(b"no")
    str(refusal(broken)).encode()  # the message can be stored as UTF-8


# --- row 2


@pytest.mark.parametrize("kind", FORMATS)
def test_every_cut_is_found(tmp_path: Path, kind: str) -> None:
    whole = write(tmp_path / "whole", kind=kind).read_bytes()
    path = tmp_path / "cut"
    cuts = sorted({*range(0, 100, 3), *range(100, len(whole), max(len(whole) // 60, 1)), *range(len(whole) - 12, len(whole))})
    for cut in cuts:
        path.write_bytes(whole[:cut])
        error = refusal(path)
        early = (ReasonCode.NOT_AUDIO, ReasonCode.BAD_HEADER) if cut < 120 else ()
        assert error.reason in (ReasonCode.TRUNCATED_AUDIO, *early), (cut, str(error))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_cut_is_found_by_a_stretch_far_before_it(tmp_path: Path, kind: str) -> None:
    whole = write(tmp_path / "whole", tone(4.0), kind=kind).read_bytes()
    assert len(read_audio(AudioRef(str(tmp_path / "whole"), start_s=0.1, duration_s=0.5), RATE, LIMITS)) == 8000
    for cut in (len(whole) // 2, len(whole) * 9 // 10, len(whole) - 1):
        (tmp_path / "cut").write_bytes(whole[:cut])
        assert refusal(tmp_path / "cut", start_s=0.1, duration_s=0.5).reason is ReasonCode.TRUNCATED_AUDIO, cut


def test_cut_message_counts_frames(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[:-4000])
    assert "The header declares 8000 frames, the file holds 6000 frames." in str(refusal(tmp_path / "cut.wav"))
    assert refusal(tmp_path / "cut.wav", duration_s=0.1).reason is ReasonCode.TRUNCATED_AUDIO  # also for a stretch before the cut


def test_constant_bit_rate_mp3_cut_inside_a_frame(tmp_path: Path) -> None:
    """Without its information frame nothing tells how many frames there were; a cut inside a frame still shows."""
    soundfile.write(str(tmp_path / "a.mp3"), tone(2.0), RATE, bitrate_mode="CONSTANT", compression_level=0.3)
    whole = (tmp_path / "a.mp3").read_bytes()
    first = parse_mpeg_frame(whole[:4])
    assert first is not None
    plain = whole[first.num_bytes :]
    (tmp_path / "plain.mp3").write_bytes(plain)
    assert len(read_audio(AudioRef(str(tmp_path / "plain.mp3")), RATE, LIMITS)) > 30000
    (tmp_path / "cut.mp3").write_bytes(plain[:-10])
    assert refusal(tmp_path / "cut.mp3").reason is ReasonCode.TRUNCATED_AUDIO


def test_tags_around_mp3_frames_are_no_damage(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.mp3", kind="mp3").read_bytes()
    tagged = b"ID3\x04\0\0\0\0\0\x14" + bytes(20) + whole + b"TAG" + bytes(125)
    (tmp_path / "tagged.mp3").write_bytes(tagged)
    np.testing.assert_array_equal(read_audio(AudioRef(str(tmp_path / "tagged.mp3")), RATE, LIMITS), read_audio(AudioRef(str(tmp_path / "a.mp3")), RATE, LIMITS))


def test_flipped_ogg_page_is_found(tmp_path: Path) -> None:
    content = bytearray(write(tmp_path / "a.ogg", kind="ogg").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "a.ogg").write_bytes(content)
    assert "does not match its checksum" in str(refusal(tmp_path / "a.ogg"))


def test_ogg_checksum_is_the_published_one() -> None:
    """Bit by bit, as RFC 3533 describes it."""

    def slow(data: bytes) -> int:
        register = 0
        for byte in data:
            register ^= byte << 24
            for _ in range(8):
                register = ((register << 1) ^ (0x04C11DB7 if register & 0x80000000 else 0)) & 0xFFFFFFFF
        return register

    for data in (b"", b"\0", b"123456789", bytes(range(256))):
        assert ogg_checksum(data) == slow(data)


# --- row 3


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (wav_bytes(PCM, rate=0), "sample rate is 0 Hz"),
        (wav_bytes(PCM, shown_rate=192000), "sample rate is 192000 Hz: 32000 bytes per second of 2 bytes each make 16000 Hz"),
        (wav_bytes(PCM, rate=4000000), "sample rate is 4000000 Hz"),
        (wav_bytes(PCM, channels=255), "channels is 255"),
        (wav_bytes(PCM, channels=0), "block align is 0"),
        (wav_bytes(PCM, align=7), "block align is 7"),
        (wav_bytes(PCM, data_bytes=0xFFFFFFF0), "data size is 4294967280 bytes: the file has 16000"),
        (wav_bytes(PCM, data_bytes=0xFFFFFFFF, riff_bytes=0xFFFFFFFF), "export to a file"),
        (wav_bytes(PCM, tag=0x4444), "cannot be decoded"),
    ],
)
def test_lying_wav_headers(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    error = refusal(tmp_path / "a.wav")
    assert error.reason is ReasonCode.BAD_HEADER and words in str(error)


def flac_with(content: bytes, rate: int | None = None, frames: int | None = None) -> bytes:
    packed = int.from_bytes(content[18:26], "big")
    if rate is not None:
        packed = packed & ((1 << 44) - 1) | rate << 44
    if frames is not None:
        packed = packed & ~((1 << 36) - 1) | frames
    return content[:18] + packed.to_bytes(8, "big") + content[26:]


def test_lying_flac_headers(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.flac", kind="flac").read_bytes()
    for lie, reason in (
        (flac_with(whole, rate=0), ReasonCode.BAD_HEADER),
        (flac_with(whole, frames=0), ReasonCode.BAD_HEADER),
        (flac_with(whole, frames=(1 << 36) - 1), ReasonCode.TOO_LONG),
        (flac_with(whole, frames=9000), ReasonCode.TRUNCATED_AUDIO),
        (flac_with(whole, frames=7999), ReasonCode.BAD_HEADER),
        (flac_with(whole, frames=4000), ReasonCode.BAD_HEADER),
    ):
        (tmp_path / "lie.flac").write_bytes(lie)
        assert refusal(tmp_path / "lie.flac").reason is reason


@pytest.mark.parametrize("seconds", [0.2, 0.256, 4.0, 30.0])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_flac_file_that_declares_too_little_is_found_at_any_length(seconds: float, channels: int, tmp_path: Path) -> None:
    samples = tone(seconds, channels=channels)
    whole = write(tmp_path / "a.flac", samples, kind="flac").read_bytes()
    assert len(read_audio(AudioRef(str(tmp_path / "a.flac")), RATE, LIMITS)) == len(samples)
    (tmp_path / "less.flac").write_bytes(flac_with(whole, frames=len(samples) - 1))
    assert f"total samples is {len(samples) - 1}: the file goes on to sample {len(samples)}" in str(refusal(tmp_path / "less.flac"))
    (tmp_path / "tagged.flac").write_bytes(whole + b"TAG" + bytes(125))
    assert len(read_audio(AudioRef(str(tmp_path / "tagged.flac")), RATE, LIMITS)) == len(samples), "what is behind the frames is no frame"


# --- row 4


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros(0), ReasonCode.EMPTY_AUDIO),
        (np.ones(1), ReasonCode.EMPTY_AUDIO),
        (np.zeros(8000), ReasonCode.SILENT_AUDIO),
        (np.full(8000, 0.5), ReasonCode.SILENT_AUDIO),
        (np.ones(8000), ReasonCode.SILENT_AUDIO),
        (tone(0.05)[:, 0], ReasonCode.TOO_SHORT),
        (np.clip(tone()[:, 0] * 20, -1, 1), ReasonCode.CLIPPED_AUDIO),
        (tone()[:, 0] * 20, ReasonCode.CLIPPED_AUDIO),
        (np.where(np.arange(8000) == 7000, np.nan, 0.1), ReasonCode.NON_FINITE_AUDIO),
        (np.where(np.arange(8000) == 7000, -np.inf, 0.1), ReasonCode.NON_FINITE_AUDIO),
        (np.where(np.arange(8000) == 7000, 1e20, 0.1), ReasonCode.NON_FINITE_AUDIO),
        (tone()[:, 0] * 32768, ReasonCode.NON_FINITE_AUDIO),
    ],
)
def test_unusable_samples(tmp_path: Path, samples: np.ndarray, reason: ReasonCode) -> None:
    soundfile.write(str(tmp_path / "a.wav"), samples.astype(np.float32), RATE, subtype="FLOAT")
    assert refusal(tmp_path / "a.wav").reason is reason


def test_one_bad_channel_spoils_the_mix_but_not_the_other_channel(tmp_path: Path) -> None:
    samples = tone(channels=2)
    samples[:, 1] = np.nan
    soundfile.write(str(tmp_path / "a.wav"), samples, RATE, subtype="FLOAT")
    assert "frame 0 is nan" in str(refusal(tmp_path / "a.wav"))
    np.testing.assert_array_equal(read_audio(AudioRef(str(tmp_path / "a.wav"), channel=0), RATE, LIMITS), samples[:, 0])
    samples[:, 1] = np.sign(samples[:, 0])
    soundfile.write(str(tmp_path / "a.wav"), samples, RATE, subtype="FLOAT")
    assert refusal(tmp_path / "a.wav").reason is ReasonCode.CLIPPED_AUDIO


def test_limits_are_configurable(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav")
    assert "`max_duration_s`" in str(refusal(path, AudioLimits(max_duration_s=0.4)))
    assert refusal(path, AudioLimits(min_duration_s=0.6)).reason is ReasonCode.TOO_SHORT
    assert len(read_audio(AudioRef(str(path)), RATE, AudioLimits(min_duration_s=0.5, max_duration_s=0.5))) == 8000
    loud = np.clip(tone()[:, 0] * 20, -1, 1)
    soundfile.write(str(path), loud, RATE)
    assert len(read_audio(AudioRef(str(path)), RATE, AudioLimits(max_clipped_fraction=1.0))) == 8000


# --- row 5


def test_bomb_stops_at_the_limit(tmp_path: Path) -> None:
    """Silence whose length only decoding tells: 35 MB in some kilobytes. Read in a process whose memory is measured."""
    path = tmp_path / "bomb.ogg"
    with soundfile.SoundFile(str(path), "w", 48000, 2, "VORBIS", format="OGG") as file:
        for _ in range(90):  # one block of 90 s overflows libvorbis' stack
            file.write(np.zeros((48000, 2)))
    assert path.stat().st_size < 200_000
    assert "decodes to more than `max_decoded_bytes` = 1000000" in str(refusal(path, AudioLimits(max_decoded_bytes=1_000_000)))
    program = (
        "import sys, resource; from valle_data.audio import *; from valle_data.records import AudioRef\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: read_audio(AudioRef(sys.argv[1]), 24000, AudioLimits())\n"
        "except Exception as error: print(error.reason, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    reason, grown_kib = done.stdout.split()
    assert reason == "too_long" and int(grown_kib) < 100 * 1024


def test_huge_declared_length_allocates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(flac_with(write(tmp_path / "b.flac", kind="flac").read_bytes(), frames=(1 << 36) - 1))
    assert probe(str(path), LIMITS).num_frames == (1 << 36) - 1
    assert "`max_duration_s`" in str(refusal(path))


# --- a range of a file


def inside(folder: Path, content: bytes, before: bytes = b"RIFF\0\0\0\0WAVE" * 50, after: bytes = b"\xff\xfb\x90\x00OggS" * 50) -> AudioRef:
    """A recording in the middle of a file, with beginnings of others around it."""
    path = folder / "archive.bin"
    path.write_bytes(before + content + after)
    return AudioRef(str(path), offset=len(before), nbytes=len(content))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(("before", "after"), [(b"", b""), (b"x", b""), (b"RIFF\0\0\0\0WAVE" * 50, b"\xff\xfb\x90\x00OggS" * 50)])
def test_a_range_is_read_as_the_file_would_be(tmp_path: Path, kind: str, before: bytes, after: bytes) -> None:
    alone = write(tmp_path / "alone", tone(2.0, channels=2), kind=kind)
    ref = inside(tmp_path, alone.read_bytes(), before, after)
    assert probe(ref, LIMITS) == probe(str(alone), LIMITS) == probe(AudioRef(str(alone)), LIMITS)
    for stretch in ({}, {"channel": 1}, {"start_s": 0.5, "duration_s": 0.75}, {"start_s": 1.0}):
        expected = read_audio(replace(AudioRef(str(alone)), **stretch), RATE, LIMITS)
        np.testing.assert_array_equal(read_audio(replace(ref, **stretch), RATE, LIMITS), expected)
    assert audio_digest(ref) == file_digest(str(alone)) == audio_digest(replace(ref, start_s=0.5, channel=1))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_cut_range_is_found_though_its_file_goes_on(tmp_path: Path, kind: str) -> None:
    """Also where what follows is the very rest of the recording: it is not the range's."""
    whole = write(tmp_path / "alone", kind=kind).read_bytes()
    for cut in (len(whole) // 2, len(whole) * 9 // 10, len(whole) - 1):
        ref = inside(tmp_path, whole[:cut], after=whole[cut:])
        with pytest.raises(InputError) as caught:
            read_audio(ref, RATE, LIMITS)
        assert caught.value.reason is ReasonCode.TRUNCATED_AUDIO, (cut, str(caught.value))
        assert f"archive.bin' at byte {ref.offset}: " in str(caught.value)


def test_what_is_no_recording_in_a_range(tmp_path: Path) -> None:
    assert refusal_of(inside(tmp_path, b"<html>")).reason is ReasonCode.NOT_AUDIO
    ref = inside(tmp_path, write(tmp_path / "a.wav").read_bytes())
    size = os.path.getsize(ref.path)
    for offset, nbytes in ((0, size + 1), (size, 1), (-1, 5), (0, 0), (5, -1)):
        error = refusal_of(replace(ref, offset=offset, nbytes=nbytes))
        assert error.reason is ReasonCode.TRUNCATED_AUDIO and f"of a file that has {size}" in str(error)
        with pytest.raises(InputError, match="cut or replaced"):
            probe(replace(ref, offset=offset, nbytes=nbytes), LIMITS)


def refusal_of(ref: AudioRef) -> InputError:
    with pytest.raises(InputError) as caught:
        read_audio(ref, RATE, LIMITS)
    return caught.value


@pytest.mark.parametrize("kind", FORMATS)
def test_nothing_outside_of_a_range_is_read(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = inside(tmp_path, write(tmp_path / "alone", kind=kind).read_bytes())
    places: list[tuple[int, int]] = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda descriptor, count, place: places.append((place, place + count)) or pread(descriptor, count, place))
    read_audio(ref, RATE, LIMITS)
    audio_digest(ref)
    assert places and ref.offset is not None and ref.nbytes is not None
    assert min(start for start, _ in places) == ref.offset and max(end for _, end in places) == ref.offset + ref.nbytes


@pytest.mark.parametrize(("kind", "failing"), [("wav", 0), ("wav", 1), ("wav", 2), ("ogg", 0), ("flac", 1)])
def test_a_disk_that_fails_in_a_range_is_no_cut_recording(tmp_path: Path, kind: str, failing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """libsndfile takes a failed read for the end of the file."""
    ref = inside(tmp_path, write(tmp_path / "alone", tone(8.0), kind=kind).read_bytes())
    pread, count = os.pread, iter(range(10**6))

    def break_down(descriptor: int, nbytes: int, place: int) -> bytes:
        if next(count) >= failing:
            raise OSError(5, "Input/output error")
        return pread(descriptor, nbytes, place)

    monkeypatch.setattr(os, "pread", break_down)
    error = refusal_of(ref)
    assert error.reason is ReasonCode.STORAGE_FAILED and "Input/output error" in str(error)


def test_a_range_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(range(100)))
    with open(tmp_path / "a", "rb") as file:
        piece = Range(file, 10, 20)
        assert (piece.read(5), piece.tell(), piece.read(), piece.read(1)) == (bytes(range(10, 15)), 5, bytes(range(15, 30)), b"")
        assert (piece.seek(-3, os.SEEK_END), piece.read(9), piece.seek(500), piece.read(9)) == (17, bytes(range(27, 30)), 500, b"")
        with pytest.raises(ValueError, match="-1 was asked for"):
            piece.seek(-501, os.SEEK_CUR)


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3"])
def test_a_stretch_to_the_end_may_be_too_long_by_rounding(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / f"a.{kind}", tone(0.5), RATE, kind)
    frames = soundfile.info(path).frames
    start_s, duration_s = (100.5 + 1e-4) / RATE, (frames - 100.5 + 1e-4) / RATE  # each is rounded up
    found = read_audio(AudioRef(str(path), start_s, duration_s), RATE, LIMITS)
    assert len(found) == frames - 101
    two_decimals = read_audio(AudioRef(str(path), 0.0, frames / RATE + 0.005), RATE, LIMITS)
    assert len(two_decimals) == frames
    assert refusal(path, start_s=start_s, duration_s=duration_s + 0.011).reason is ReasonCode.TOO_SHORT
