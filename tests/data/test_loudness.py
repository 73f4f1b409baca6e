"""Loudness: the numbers of BS.1770-4, pyloudnorm as a peer, and a gain that never clips."""

from dataclasses import replace

import numpy as np
import pyloudnorm
import pytest
from scipy.signal import freqz

from tests.data.stage_examples import TOOLS, speech_like, work_of
from valle_data.loudness import decibel, integrated_loudness, k_weighting, true_peak, wanted_gain
from valle_data.sound import Sound
from valle_data.stages.base import Work
from valle_data.stages.loudness import LoudnessStage

RATES = [8000, 16000, 22050, 24000, 44100, 48000]


def sine(frequency_hz: float, duration_s: float, rate: int, *, dbfs: float = 0.0, phase: float = 0.0) -> np.ndarray:
    time = np.arange(round(duration_s * rate)) / rate
    return (10 ** (dbfs / 20) * np.sin(2 * np.pi * frequency_hz * time + phase)).astype(np.float32)


def run(samples: np.ndarray, rate: int, **options: float) -> Work:
    outcome = LoudnessStage(LoudnessStage.Config(**options), TOOLS).process([work_of(samples, rate)])[0]
    assert isinstance(outcome, Work)
    return outcome


def test_the_filters_at_48_khz_are_those_of_the_standard() -> None:
    shelf, cut = k_weighting(48000)
    assert shelf.numerator == pytest.approx((1.53512485958697, -2.69169618940638, 1.19839281085285), abs=1e-9)  # table 1
    assert shelf.denominator == pytest.approx((1.0, -1.69065929318241, 0.73248077421585), abs=1e-9)
    assert cut.numerator == (1.0, -2.0, 1.0)  # table 2
    assert cut.denominator == pytest.approx((1.0, -1.99004745483398, 0.99007225036621), abs=1e-9)


@pytest.mark.parametrize("rate", RATES)
def test_a_full_scale_sine_reads_minus_3_01(rate: int) -> None:
    """The calibration of BS.1770-4, annex 1: 997 Hz at 0 dBFS in one channel. The bilinear transform costs 0.1 dB at low rates."""
    assert integrated_loudness(sine(997, 3.0, rate), rate) == pytest.approx(-3.01, abs=0.02 if rate >= 44100 else 0.1)


@pytest.mark.parametrize("rate", RATES)
def test_weighting_is_the_same_at_every_rate(rate: int) -> None:
    frequencies = np.array([30.0, 100.0, 500.0, 1000.0, 2000.0, 3000.0])
    gains = []
    for at in (48000, rate):
        response = np.ones(len(frequencies), complex)
        for biquad in k_weighting(at):
            response *= freqz(biquad.numerator, biquad.denominator, worN=frequencies, fs=at)[1]
        gains.append(20 * np.log10(np.abs(response)))
    assert np.abs(gains[0] - gains[1]).max() < (0.7 if rate == 8000 else 0.2)


def test_quiet_stretches_are_gated() -> None:
    """EBU TECH 3341, case 3: 10 s at -36, 60 s at -23, 10 s at -36 dBFS read -23 (1 kHz, here in one channel: 3 dB less); case 4 adds -72."""
    parts = [sine(1000, duration_s, 48000, dbfs=dbfs) for duration_s, dbfs in ((10, -72), (10, -36), (60, -23), (10, -36), (10, -72))]
    assert integrated_loudness(np.concatenate(parts), 48000) == pytest.approx(-26.0, abs=0.1)
    assert integrated_loudness(np.concatenate(parts[1:4]), 48000) == pytest.approx(-26.0, abs=0.1)


@pytest.mark.parametrize("rate", [16000, 24000, 44100, 48000])
@pytest.mark.parametrize("duration_s", [0.4, 0.75, 3.0, 9.33])
def test_a_peer_agrees(rate: int, duration_s: float) -> None:
    samples = speech_like(duration_s, rate, seed=3)
    meter = pyloudnorm.Meter(rate, filter_class="DeMan")
    assert integrated_loudness(samples, rate) == pytest.approx(meter.integrated_loudness(samples.astype(np.float64)), abs=0.15)


@pytest.mark.parametrize("num_samples", [0, 1, 2, 100, 1599])
def test_what_is_too_short_has_no_loudness(num_samples: int) -> None:
    assert integrated_loudness(speech_like(1.0, 16000)[:num_samples], 16000) is None


def test_a_short_sound_is_one_block() -> None:
    long, short = sine(1000, 2.0, 16000, dbfs=-20), sine(1000, 0.1, 16000, dbfs=-20)
    assert integrated_loudness(short, 16000) == pytest.approx(integrated_loudness(long, 16000), abs=0.2)


def test_silence_has_no_loudness() -> None:
    assert integrated_loudness(np.zeros(16000, np.float32), 16000) is None
    assert integrated_loudness(sine(1000, 1.0, 16000, dbfs=-80), 16000) is None


@pytest.mark.parametrize("rate", [48000, 96000])
def test_true_peak_lies_between_the_samples(rate: int) -> None:
    """A quarter of the rate at 45 degrees: every sample is at -3.01 dBFS, the signal reaches 0 (BS.1770-4, annex 2, attachment 1)."""
    samples = sine(rate / 4, 0.5, rate, phase=np.pi / 4)[4800:-4800]
    fade = np.minimum(1, np.minimum(np.arange(len(samples)), np.arange(len(samples))[::-1]) / 4800)
    assert decibel(float(np.abs(samples).max())) == pytest.approx(-3.01, abs=0.01)
    assert decibel(true_peak((samples * fade).astype(np.float32), rate)) == pytest.approx(0.0, abs=0.1)
    assert true_peak(samples, 192000) == np.abs(samples).max()


@pytest.mark.parametrize(("num_samples", "peak"), [(0, 0.0), (1, 0.25), (2, 0.25)])
def test_true_peak_of_next_to_nothing(num_samples: int, peak: float) -> None:
    assert true_peak(np.full(num_samples, 0.25, np.float32), 16000) == pytest.approx(peak, abs=0.1)
    assert decibel(0.0) is None


def test_the_true_peak_keeps_a_gain_down() -> None:
    limits = {"target_lufs": -16.0, "max_true_peak_dbfs": -1.0, "max_gain_db": 30.0}
    assert wanted_gain(-20.0, -12.0, **limits) == 4.0
    assert wanted_gain(-20.0, -3.0, **limits) == 2.0
    assert wanted_gain(-60.0, -50.0, **limits) == 30.0
    assert wanted_gain(-10.0, 0.0, **limits) == -6.0


def test_only_measured_unless_asked() -> None:
    samples = speech_like(1.5, 24000)
    done = run(samples, 24000)
    assert done.heard().samples is samples and done.scores["gain_db"] is None
    assert done.scores["loudness_lufs"] == integrated_loudness(samples, 24000) and set(done.scores) == set(LoudnessStage.columns)


@pytest.mark.parametrize("target_lufs", [-35.0, -23.0, -8.0])
def test_a_target_is_reached_or_the_peak_is(target_lufs: float) -> None:
    done = run(speech_like(1.5, 24000), 24000, target_lufs=target_lufs)
    sound, gain_db = done.heard(), done.scores["gain_db"]
    reached, peak_dbfs = integrated_loudness(sound.samples, 24000), decibel(true_peak(sound.samples, 24000))
    assert reached is not None and peak_dbfs is not None and isinstance(gain_db, float)
    assert peak_dbfs <= -0.99
    assert reached == pytest.approx(target_lufs, abs=0.01) or peak_dbfs == pytest.approx(-1.0, abs=0.01)
    assert reached == pytest.approx(done.scores["loudness_lufs"] + gain_db, abs=0.01)
    assert float(np.abs(sound.at(16000)).max()) < 1


@pytest.mark.parametrize("num_samples", [0, 1, 10])
def test_nothing_to_measure_gives_nulls_and_leaves_the_sound(num_samples: int) -> None:
    samples = np.zeros(num_samples, np.float32)
    done = run(samples, 16000, target_lufs=-23.0)
    assert done.scores == {"loudness_lufs": None, "true_peak_dbfs": None, "gain_db": None} and done.heard().samples is samples


def test_scores_do_not_depend_on_the_company() -> None:
    stage = LoudnessStage(LoudnessStage.Config(target_lufs=-20.0), TOOLS)
    works = [replace(work_of(speech_like(0.3 + 0.4 * index, 16000, seed=index), 16000)) for index in range(5)]
    together, alone = stage.process(works), [stage.process([work])[0] for work in works]
    for one, other in zip(together, alone, strict=True):
        assert isinstance(one, Work) and isinstance(other, Work)
        assert one.scores == other.scores and (one.heard().samples == other.heard().samples).all()


def test_a_cut_of_a_recording_is_measured_on_its_own() -> None:
    whole = Sound(speech_like(3.0, 24000), 24000)
    piece = whole.cut(1.0, 2.5)
    done = run(piece.samples, 24000, target_lufs=-30.0)
    assert done.scores["loudness_lufs"] == integrated_loudness(whole.samples[24000:60000], 24000)
