"""Quality scores against sounds whose noise, clipping, bandwidth and silence are known, and the adapters of models on models made here."""

import sys
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import soundfile
import soxr
import torch

from tests.data.recordings import digit_recordings, reencoded
from tests.data.stage_examples import TOOLS, speech_like, work_of
from valle_data import registry
from valle_data.acoustics import activity, bandwidth, clipped_fraction
from valle_data.errors import EnvironmentProblem
from valle_data.quality_models import QUALITY_MODELS
from valle_data.quality_models.dnsmos import POLYNOMIALS, Dnsmos, windows
from valle_data.quality_models.utmos import Utmos
from valle_data.sound import Sound
from valle_data.stages.base import Work
from valle_data.stages.quality import MEASURED, QualityStage, measure


def run(work: Work, **options: object) -> Work:
    outcome = QualityStage(QualityStage.Config.model_validate(options), TOOLS).process([work])[0]
    assert isinstance(outcome, Work)
    return outcome


def noise(count: int, colour: str, seed: int) -> np.ndarray:
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(count))
    frequency = np.fft.rfftfreq(count, 1 / 16000)
    shape = np.where(frequency >= 80, (80 / np.maximum(frequency, 80)) ** 0.5, 0) if colour == "pink" else np.ones(len(frequency))
    samples = np.fft.irfft(spectrum * shape, count)
    return samples / samples.std()


@pytest.mark.parametrize("colour", ["white", "pink"])
@pytest.mark.parametrize("snr_db", [5, 10, 20, 30])
def test_snr_of_speech_in_noise(snr_db: float, colour: str) -> None:
    """12 recordings of four voices with pauses of 0.3 s around them: the median within 1.2 dB from 10 dB on, 2.5 dB at 5 dB, where weak sounds drown."""
    found = []
    for index, recording in enumerate(digit_recordings(3)):
        clean = np.pad(recording.at(16000), 4800)
        heard = activity(clean, 16000)
        assert heard is not None
        noisy = clean + 10 ** (-snr_db / 20) * np.sqrt(heard.powers[heard.is_speech].mean()) * noise(len(clean), colour, index)
        measured = activity(noisy.astype(np.float32), 16000)
        assert measured is not None and measured.snr_db() is not None
        found.append(measured.snr_db() - snr_db)
    assert abs(np.median(found)) <= (1.2 if snr_db >= 10 else 2.5) and np.abs(found).max() <= (3.0 if snr_db >= 10 else 4.5), found


@pytest.mark.parametrize("kind", ["silence", "noise", "offset"])
def test_where_nobody_speaks(kind: str) -> None:
    samples = {"silence": np.zeros(16000), "noise": 0.05 * noise(16000, "white", 1), "offset": np.full(16000, 0.3)}[kind].astype(np.float32)
    scores = measure(Sound(samples, 16000))
    assert scores["speech_ratio"] == 0 and scores["snr_db"] is None and scores["silence_begin_s"] is None and scores["silence_end_s"] is None
    assert scores["dc_offset"] == pytest.approx(0.3 if kind == "offset" else 0, abs=0.003)


@pytest.mark.parametrize(("begin_s", "end_s"), [(0.0, 0.0), (0.5, 0.0), (0.26, 1.1)])
def test_silence_and_speech_are_told_apart(begin_s: float, end_s: float) -> None:
    for recording in digit_recordings(1):
        samples = recording.at(16000)
        alone, padded = measure(Sound(samples, 16000)), measure(Sound(np.pad(samples, (round(begin_s * 16000), round(end_s * 16000))), 16000))
        assert alone["silence_begin_s"] is not None and padded["silence_begin_s"] == pytest.approx(alone["silence_begin_s"] + begin_s, abs=0.05)
        assert alone["silence_end_s"] is not None and padded["silence_end_s"] == pytest.approx(alone["silence_end_s"] + end_s, abs=0.05)
        seconds = len(samples) / 16000
        assert alone["speech_ratio"] is not None
        assert padded["speech_ratio"] == pytest.approx(alone["speech_ratio"] * seconds / (seconds + begin_s + end_s), abs=0.03)


def test_a_click_is_no_speech() -> None:
    samples = np.pad(speech_like(1.0, 16000), (16000, 0))
    samples[8000:8320] = 0.9
    assert measure(Sound(samples, 16000))["silence_begin_s"] == pytest.approx(1.05, abs=0.1)


def test_clipping_is_found_after_the_gain_was_lowered() -> None:
    samples = speech_like(1.0, 24000)
    assert clipped_fraction(samples) == 0
    clipped = np.clip(8 * samples, -1, 1)
    expected = float((np.abs(8 * samples) >= 1).mean())
    assert expected > 0.01 and clipped_fraction(clipped) == pytest.approx(expected, rel=0.02)
    assert clipped_fraction(0.2 * clipped) == pytest.approx(expected, rel=0.25)
    pcm = np.round(0.3 * clipped * 32767).astype(np.int16) / np.float32(32768)
    assert clipped_fraction(pcm) == pytest.approx(expected, rel=0.25)


@pytest.mark.parametrize("frequency_hz", [60, 440, 5000])
def test_a_sine_is_not_clipped(frequency_hz: float) -> None:
    samples = 0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(24000) / 24000)
    assert clipped_fraction(samples.astype(np.float32)) == 0
    assert clipped_fraction(np.zeros(0, np.float32)) is None and clipped_fraction(np.zeros(1, np.float32)) == 0


@pytest.mark.parametrize("rate", [24000, 44100])
def test_telephone_speech_shows_its_four_kilohertz(rate: int) -> None:
    for recording in digit_recordings(2):
        telephone = Sound(recording.at(8000), 8000).at(rate)
        pcm = (np.round(telephone * 32767) / 32768).astype(np.float32)
        for samples in (telephone, pcm):
            assert 3700 <= (bandwidth(samples, rate) or 0) <= 4200
        assert (bandwidth(recording.at(rate), rate) or 0) >= 6500


def test_a_low_pass_of_mp3_shows() -> None:
    wide = speech_like(2.0, 44100) + 0.01 * noise(88200, "white", 0).astype(np.float32)
    assert (bandwidth(wide, 44100) or 0) >= 21_500
    for level, least, most in ((0.5, 15_000, 18_500), (0.9, 6_000, 9_000)):
        lossy, rate = reencoded(wide, 44100, "MP3", "MPEG_LAYER_III", level)
        assert rate == 44100 and least <= (bandwidth(lossy, rate) or 0) <= most


def test_a_click_does_not_widen_the_band() -> None:
    samples = soxr.resample(speech_like(3.0, 8000), 8000, 24000)
    samples[30_000] = 1.0
    assert (bandwidth(samples, 24000) or 0) <= 4200


@pytest.mark.parametrize("num_samples", [0, 1, 2, 100, 3000])
def test_what_is_too_short_has_nulls(num_samples: int) -> None:
    scores = run(work_of(speech_like(1.0, 16000)[:num_samples], 16000)).scores
    assert set(scores) == set(QualityStage.columns)
    assert all(value is None or (isinstance(value, float) and np.isfinite(value)) for value in scores.values())
    assert scores["snr_db"] is None and scores["speech_ratio"] is None and scores["utmos"] is None
    assert (scores["bandwidth_hz"] is None) == (num_samples < 512)


def test_scores_do_not_depend_on_the_company() -> None:
    works = [work_of(speech_like(0.5 + 0.5 * index, 24000, seed=index), 24000) for index in range(4)]
    stage = QualityStage(QualityStage.Config(), TOOLS)
    for one, work in zip(stage.process(works), works, strict=True):
        assert isinstance(one, Work) and one.scores == run(work).scores
        assert all(one.scores[name] is not None for name in MEASURED)


def test_every_model_has_its_columns() -> None:
    assert {column for model in QUALITY_MODELS.values() for column in model.columns} == set(QualityStage.columns) - set(MEASURED)


def field(number: int, value: int | bytes) -> bytes:
    """One field of a protocol buffer."""
    return varint(number << 3) + varint(value) if isinstance(value, int) else varint(number << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def tiny_dnsmos(path: Path) -> Path:
    """An ONNX file with the inputs and outputs of sig_bak_ovr.onnx, whose outputs are the maximum, the mean and the minimum of the window."""
    shape = b"".join(field(1, field(1, size)) for size in (1, 144160))
    source = field(1, b"input_1") + field(2, field(1, field(1, 1) + field(2, shape)))
    target = field(1, b"Identity") + field(2, field(1, field(1, 1) + field(2, field(1, field(1, 1)) + field(1, field(1, 3)))))
    axes = field(1, b"axes") + field(8, 1) + field(20, 7)
    nodes = [field(1, b"input_1") + field(2, op.encode()) + field(4, op.encode()) + field(5, axes) for op in ("ReduceMax", "ReduceMean", "ReduceMin")]
    joined = b"".join(field(1, op) for op in (b"ReduceMax", b"ReduceMean", b"ReduceMin"))
    nodes.append(joined + field(2, b"Identity") + field(4, b"Concat") + field(5, field(1, b"axis") + field(3, 1) + field(20, 2)))
    graph = b"".join(field(1, node) for node in nodes) + field(2, b"tiny") + field(11, source) + field(12, target)
    path.write_bytes(field(1, 8) + field(8, field(1, b"") + field(2, 13)) + field(7, graph))
    return path


@pytest.mark.parametrize(("duration_s", "count"), [(0.5, 7), (9.01, 1), (10.5, 1), (12.2, 3), (4.6, 1), (5.6, 2)])
def test_dnsmos_windows(duration_s: float, count: int) -> None:
    """As the challenge's own script counts them: int(floor(seconds) - 9.01) + 1 of the sound after doubling."""
    samples = np.arange(round(duration_s * 16000), dtype=np.float32)
    found = windows(samples)
    assert len(found) == count and all(len(window) == 144160 for window in found)
    assert all(window[0] == (index * 16000) % len(samples) for index, window in enumerate(found))


def test_dnsmos_runs_an_onnx_session(tmp_path: Path) -> None:
    weights = tiny_dnsmos(tmp_path / "sig_bak_ovr.onnx")
    work = work_of(speech_like(12.2, 16000), 16000)
    done = run(work, models=[{"name": "dnsmos", "weights": str(weights)}])
    parts = windows(work.heard().samples)
    raw = {"dnsmos_sig": [w.max() for w in parts], "dnsmos_bak": [w.mean() for w in parts], "dnsmos_ovrl": [w.min() for w in parts]}
    for name, (a, b, c) in POLYNOMIALS.items():
        assert done.scores[name] == pytest.approx(np.mean([a * x * x + b * x + c for x in raw[name]]), abs=1e-5)
    assert done.scores["utmos"] is None


class MeanSquare(torch.nn.Module):
    def forward(self, pcm: torch.Tensor) -> torch.Tensor:
        assert pcm.dtype == torch.int16 and pcm.dim() == 2
        return pcm.float().div(32768).square().mean(dim=1)


def test_utmos_runs_a_torchscript_program(tmp_path: Path) -> None:
    torch.jit.script(MeanSquare()).save(str(tmp_path / "utmos.jit"))
    work = work_of(speech_like(1.0, 16000), 16000)
    done = run(work, models=[{"name": "utmos", "weights": str(tmp_path / "utmos.jit")}])
    assert done.scores["utmos"] == pytest.approx(float(np.mean(work.heard().samples ** 2)), rel=1e-3)


def test_the_stamp_knows_the_weights_and_not_their_place(tmp_path: Path) -> None:
    configs = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        configs.append(QualityStage.Config.model_validate({"models": [{"name": "dnsmos", "weights": str(tiny_dnsmos(tmp_path / folder / "x.onnx"))}]}))
    assert configs[0].stamp() == configs[1].stamp() and configs[0].options() == configs[1].options() == {"models": [{"name": "dnsmos"}]}
    (tmp_path / "b" / "x.onnx").write_bytes(b"other")
    assert configs[0].stamp() != configs[1].stamp() and QualityStage.Config().options() == {"models": []}


def test_missing_weights_are_refused_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EnvironmentProblem, match=r"needs the file sig_bak_ovr.onnx .* is no file. Download it and name it as `weights`"):
        Dnsmos(Dnsmos.Config(weights=tmp_path / "none.onnx"))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(EnvironmentProblem, match=r"torchmetrics/DNSMOS/DNSMOS/sig_bak_ovr.onnx' is no file"):
        Dnsmos.Config().stamp()
    with pytest.raises(EnvironmentProblem, match=r"needs a file as `weights`; .*none\.jit' is none\. Correct the path"):
        Utmos(Utmos.Config(weights=tmp_path / "none.jit"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EnvironmentProblem, match=r"hf download balacoon/utmos utmos\.jit"):
        Utmos(Utmos.Config())


def test_a_missing_package_is_an_error_when_it_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "valle_data.quality_models.dnsmos")
    registry._resolve.cache_clear()
    with pytest.raises(EnvironmentProblem, match=r"needs the package 'onnxruntime'.* pip install 'valle\[speech\]'"):
        QUALITY_MODELS["dnsmos"]


def test_a_stereo_file_on_disk_comes_out_the_same(tmp_path: Path) -> None:
    """The scores of a file, written and read back as 24-bit, are those of the samples in memory to four digits."""
    samples = speech_like(1.2, 24000)
    soundfile.write(tmp_path / "a.wav", samples, 24000, subtype="PCM_24")
    read, rate = soundfile.read(tmp_path / "a.wav", dtype="float32")
    for name, value in measure(Sound(read, rate)).items():
        assert value == pytest.approx(measure(Sound(samples, rate))[name], rel=1e-3, abs=1e-6), name
