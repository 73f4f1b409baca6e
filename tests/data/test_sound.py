"""Sounds: resampled once, cut without a trace of what was asked before."""

import pickle

import numpy as np
import pytest
import soxr

from valle_data.sound import Sound


def tone(num_samples: int, rate: int) -> Sound:
    return Sound(np.sin(np.arange(num_samples) * 0.05).astype(np.float32), rate)


@pytest.mark.parametrize("num_samples", [0, 1, 2, 22_050])
def test_at_is_soxr(num_samples: int) -> None:
    sound = tone(num_samples, 22_050)
    expected = soxr.resample(sound.samples, 22_050, 16_000, quality="HQ") if num_samples else sound.samples
    np.testing.assert_array_equal(sound.at(16_000), np.clip(expected, -1, 1))
    assert sound.at(16_000) is sound.at(16_000), "resampled once"
    np.testing.assert_array_equal(sound.at(22_050), sound.samples)


def test_a_piece_does_not_depend_on_what_was_asked_before() -> None:
    asked, fresh = tone(48_000, 48_000), tone(48_000, 48_000)
    asked.at(16_000), asked.at(24_000)
    for start_s, end_s in [(0, 1), (0.25, 0.5), (0.9, 2.0), (0.5, 0.5)]:
        before, after = asked.cut(start_s, end_s), fresh.cut(start_s, end_s)
        np.testing.assert_array_equal(before.at(16_000), after.at(16_000))
        np.testing.assert_array_equal(before.samples, asked.samples[round(start_s * 48_000) : round(end_s * 48_000)])
        np.testing.assert_array_equal(before.at(24_000), asked.at(24_000)[round(start_s * 24_000) : round(end_s * 24_000)])


def test_a_piece_of_a_piece_is_a_piece_of_the_whole() -> None:
    sound = tone(48_000, 48_000)
    np.testing.assert_array_equal(sound.cut(0.2, 0.8).cut(0.1, 0.3).at(16_000), sound.cut(0.30000000000000004, 0.5).at(16_000))
    assert sound.cut(0.2, 0.4).cut(0.1, 5).duration_s == pytest.approx(0.1), "never beyond its own end"


def test_resampling_never_leaves_the_range() -> None:
    square = Sound(np.sign(np.sin(np.arange(8000) * 0.3)).astype(np.float32), 8000)
    assert np.abs(square.at(24_000)).max() <= 1


def test_a_sound_travels_without_copies_that_can_be_made_again() -> None:
    samples = np.random.default_rng(1).normal(0, 0.1, 48000).astype(np.float32)
    whole = Sound(samples, 16000)
    whole.at(24000), whole.at(8000)
    pieces = [whole.cut(0.1, 1.0), whole.cut(0.5, 3.0).cut(0.3337, 1.1), whole.cut(2.9, 2.9), whole]
    data = pickle.dumps(pieces)
    assert len(data) < samples.nbytes * 1.1
    for before, after in zip(pieces, pickle.loads(data), strict=True):
        assert np.array_equal(before.samples, after.samples) and after.sample_rate_hz == 16000 and after.duration_s == before.duration_s
        assert np.array_equal(before.at(24000), after.at(24000))
        assert np.array_equal(before.cut(0.05, 0.2).at(8000), after.cut(0.05, 0.2).at(8000))
