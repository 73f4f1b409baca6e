"""Fingerprints on real re-encodings of real recordings, and duplicates against a loop over all pairs."""

import subprocess
from pathlib import Path
from shutil import which

import numpy as np
import pytest
import soundfile
from scipy.fft import dctn

from tests.data.recordings import DIGITS, VOICES, digit_recordings, recordings_of, reencoded
from tests.data.stage_examples import TOOLS, speech_like, work_of
from valle_data.duplicates import find_duplicates
from valle_data.fingerprint import DIMENSION, SHAPE_DIMENSION, _cosines, audio_hash, fingerprint
from valle_data.sound import Sound
from valle_data.stages.base import Work
from valle_data.stages.fingerprint import FingerprintStage

CODECS = {
    "mp3": ("MP3", "MPEG_LAYER_III", 0.5),
    "small mp3": ("MP3", "MPEG_LAYER_III", 0.9),
    "vorbis": ("OGG", "VORBIS", 0.4),
    "small vorbis": ("OGG", "VORBIS", 0.9),
    "opus": ("OGG", "OPUS", 0.5),
}


def run(samples: np.ndarray, rate: int) -> Work:
    outcome = FingerprintStage(FingerprintStage.Config(), TOOLS).process([work_of(samples, rate)])[0]
    assert isinstance(outcome, Work)
    return outcome


def groups(sounds: list[tuple[np.ndarray, int]]) -> list[int]:
    """The group of each sound, as the stage and `find_duplicates` see it."""
    works = [run(*sound) for sound in sounds]
    vectors = np.stack([work.vectors.get("fingerprint", np.full(DIMENSION, np.nan, np.float32)) for work in works]).astype(np.float16)
    times = np.array([work.scores["active_s"] if work.scores["active_s"] is not None else np.nan for work in works], np.float64)
    return find_duplicates(vectors, times, [None if (name := work.scores["audio_hash"]) is None else str(name) for work in works]).groups.tolist()


@pytest.fixture(scope="module")
def originals() -> list[tuple[np.ndarray, int]]:
    return [(sound.samples, sound.sample_rate_hz) for sound in digit_recordings(6)]


def test_lossless_copies_have_one_hash(tmp_path: Path) -> None:
    sound = recordings_of("slt", 1)[0]
    pcm, rate = np.round(sound.samples * 32767).astype(np.int16), sound.sample_rate_hz
    hashes = set()
    for name in ("a.wav", "a.flac", "b.flac"):
        soundfile.write(tmp_path / name, pcm, rate)
        hashes.add(run(*soundfile.read(tmp_path / name, dtype="float32")).scores["audio_hash"])
    assert len(hashes) == 1
    pcm[1000] += 1
    assert audio_hash((pcm / 32768).astype(np.float32)) not in hashes


@pytest.mark.parametrize("codec", CODECS)
def test_lossy_copies_are_duplicates(codec: str, originals: list[tuple[np.ndarray, int]]) -> None:
    copies = [reencoded(Sound(*sound).at(24000), 24000, *CODECS[codec]) for sound in originals]
    assert all(run(*one).scores["audio_hash"] != run(*other).scores["audio_hash"] for one, other in zip(originals[:3], copies, strict=False))
    assert groups(originals + copies) == [*range(24), *range(24)]


@pytest.mark.parametrize("change", ["gain", "offset", "padding", "telephone", "noise", "rate"])
def test_changed_copies_are_duplicates(change: str, originals: list[tuple[np.ndarray, int]]) -> None:
    rng = np.random.default_rng(0)
    changes = {
        "gain": lambda samples, rate: (0.07 * samples, rate),
        "offset": lambda samples, rate: (samples + 0.05, rate),
        "padding": lambda samples, rate: (np.pad(samples, (rate // 3, rate // 7)), rate),
        "telephone": lambda samples, rate: (Sound(samples, rate).at(8000), 8000),
        "noise": lambda samples, rate: (samples + 0.01 * samples.std() * rng.standard_normal(len(samples)), rate),
        "rate": lambda samples, rate: (Sound(samples, rate).at(44100), 44100),
    }
    copies = [changes[change](*sound) for sound in originals]
    assert groups(originals + [(samples.astype(np.float32), rate) for samples, rate in copies]) == [*range(24), *range(24)]


def test_other_utterances_are_no_duplicates() -> None:
    """Some 120 digit strings of four voices, some of which several voices say. A voice that says one again says it identically, so once is enough."""
    texts = {path: path.with_suffix(".txt").read_text() for voice in VOICES for path in sorted((DIGITS / voice).glob("*.ogg"))[:32]}
    chosen = {(path.parent.name, text): path for path, text in texts.items()}
    assert len(chosen) >= 115 and len({text for _, text in chosen}) < len(chosen) < len(texts)
    assert groups([soundfile.read(path, dtype="float32") for path in chosen.values()]) == list(range(len(chosen)))


@pytest.mark.skipif(which("flite") is None or which("espeak-ng") is None, reason="needs the programs flite and espeak-ng")
def test_the_same_text_said_again_is_no_duplicate(tmp_path: Path) -> None:
    """By another voice, by the same voice somewhat slower, higher, or with another timbre at the very same times."""
    text = "she sells sea shells by the shore and then goes home again"
    takes = [["flite", "-voice", voice] for voice in ("slt", "rms", "awb", "kal16")]
    takes += [["flite", "-voice", "slt", "--setf", f"duration_stretch={stretch}"] for stretch in (1.03, 1.06)]
    takes += [["espeak-ng", "-v", voice] for voice in ("en-us", "en-us+m1", "en-us+m3", "en-us+f2", "en-gb")]
    takes += [["espeak-ng", "-v", "en-us", "-p", pitch] for pitch in ("30", "60")]
    sounds = []
    for index, take in enumerate(takes):
        path = tmp_path / f"{index}.wav"
        subprocess.run([*take, *(["-t", text, "-o", str(path)] if take[0] == "flite" else ["-w", str(path), text])], check=True, stderr=subprocess.DEVNULL)
        samples, rate = soundfile.read(path, dtype="float32")
        sounds.append((samples, rate))
    assert groups(sounds) == list(range(len(takes)))
    assert groups([*sounds[:2], reencoded(*sounds[0], *CODECS["mp3"])]) == [0, 1, 0]


@pytest.mark.parametrize("samples", [np.zeros(0), np.ones(1), np.zeros(16000), np.full(16000, 0.3), np.ones(400), np.eye(1, 16000)[0]], ids=len)
def test_what_does_not_sound_has_no_vector(samples: np.ndarray) -> None:
    done = run(samples.astype(np.float32), 16000)
    assert "fingerprint" not in done.vectors and done.scores["active_s"] is None
    assert (done.scores["audio_hash"] is None) == (len(samples) == 0)


@pytest.mark.parametrize("duration_s", [0.6, 1.0, 40.0])
def test_a_vector_is_two_unit_vectors(duration_s: float) -> None:
    found = fingerprint(speech_like(duration_s, 16000))
    assert found is not None and found.vector.shape == (DIMENSION,) == (256,) and found.active_s < duration_s
    for half in (found.vector[:SHAPE_DIMENSION], found.vector[SHAPE_DIMENSION:]):
        assert np.linalg.norm(half) == pytest.approx(1, abs=1e-5)


def test_a_long_sound_is_read_in_pieces_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = speech_like(3.0, 16000)
    whole = fingerprint(samples)
    monkeypatch.setattr("valle_data.fingerprint.CHUNK_FRAMES", 50)
    pieces = fingerprint(samples)
    assert whole is not None and pieces is not None and whole.active_s == pytest.approx(pieces.active_s, abs=1e-4)
    assert np.allclose(whole.vector, pieces.vector, atol=1e-4)


def test_the_cosine_transform_is_that_of_scipy() -> None:
    values = np.random.default_rng(0).standard_normal((12, 7))
    assert np.allclose(_cosines(12, 1, 9) @ values @ _cosines(7, 0, 4).T, dctn(values, norm="ortho")[1:9, :4])


def near_copies(count: int, copies: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fingerprints of `count` utterances and `copies` near copies of some, in random order, their times, and whose copy each is."""
    rng = np.random.default_rng(seed)
    halves = rng.standard_normal((count, 2, SHAPE_DIMENSION))
    truth = np.concatenate([np.arange(count), rng.integers(0, count, copies)])
    found = halves[truth]
    found = found / np.linalg.norm(found, axis=2, keepdims=True)
    found[count:] += 0.14 / np.sqrt(SHAPE_DIMENSION) * rng.standard_normal(found[count:].shape)
    found /= np.linalg.norm(found, axis=2, keepdims=True)
    times = rng.lognormal(1.5, 0.5, count)[truth] + rng.uniform(-0.004, 0.004, len(truth))
    order = rng.permutation(len(truth))
    return found.reshape(len(truth), DIMENSION)[order].astype(np.float16), times[order], truth[order]


def first_of_each(truth: np.ndarray) -> list[int]:
    return [int(np.flatnonzero(truth == one)[0]) for one in truth]


@pytest.mark.parametrize(("count", "copies"), [(0, 0), (1, 0), (1, 1), (40, 30), (3000, 1000)])
def test_duplicates_are_those_of_all_pairs(count: int, copies: int) -> None:
    vectors, times, truth = near_copies(count, copies, seed=count)
    found = find_duplicates(vectors, times, [None] * len(truth))
    assert found.groups.tolist() == first_of_each(truth)
    several = np.bincount(truth, minlength=count)[truth] > 1 if len(truth) else np.zeros(0, bool)
    assert (found.similarity[several] >= 0.9).all() and (found.similarity[~several] == 0).all() and (found.similarity <= 1).all()


def test_alike_but_longer_is_no_duplicate() -> None:
    vectors = np.repeat(near_copies(1, 0)[0], 4, axis=0)
    assert find_duplicates(vectors, np.array([3.0, 3.01, 3.1, np.nan]), [None] * 4).groups.tolist() == [0, 0, 2, 3]


def test_shape_and_pitch_must_both_agree() -> None:
    vectors, times, _ = near_copies(2, 0)
    mixed = np.concatenate([vectors[:1, :SHAPE_DIMENSION], vectors[1:, SHAPE_DIMENSION:]], axis=1)
    stacked = np.concatenate([vectors, mixed])
    assert find_duplicates(stacked, np.full(3, times[0]), [None] * 3).groups.tolist() == [0, 1, 2]


def test_equal_hashes_are_copies_and_copies_of_copies_one_group() -> None:
    vectors, _, _ = near_copies(3, 0)
    vectors[2] = vectors[1]
    times = np.array([1.0, 1.0, 1.0])
    assert find_duplicates(vectors, times, ["a", "b", "c"]).groups.tolist() == [0, 1, 1]
    found = find_duplicates(vectors, times, ["a", "a", "c"])
    assert found.groups.tolist() == [0, 0, 2]  # the second stands for nothing of its own
    found = find_duplicates(np.full((3, DIMENSION), np.nan), np.full(3, np.nan), ["x", None, "x"])
    assert found.groups.tolist() == [0, 1, 0] and found.similarity.tolist() == [1, 0, 1]


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(ValueError, match="1 vectors, 2 times and 1 hashes"):
        find_duplicates(np.zeros((1, DIMENSION)), np.zeros(2), [None])
    with pytest.raises(ValueError, match=r"\[n, 256\]; these have shape \[1, 3\]"):
        find_duplicates(np.zeros((1, 3)), np.zeros(1), [None])
