"""Where recordings are cut: quiet places, stretches whose readers agree, utterances from probabilities of speech."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.spoken import RATE, long_recording
from valle_data.audio import AudioLimits, read_sound
from valle_data.records import AudioRef
from valle_data.sound import Sound
from valle_data.speech.intervals import Interval, SpeechFrames, SpeechRules, padded, utterances
from valle_data.speech.quiet import SILENT_POWER, cut_point, split_long
from valle_data.speech.stretches import Stretch, own_range

FRAME_S = 0.032
WHOLE = Interval(0, 60)


def noise(duration_s: float, rate: int, seed: int = 0) -> np.ndarray:
    """`[N]` whose level changes every 50 ms."""
    rng = np.random.default_rng(seed)
    count = round(duration_s * rate)
    levels = rng.uniform(0.01, 0.3, count // (rate // 20) + 1)
    return (rng.standard_normal(count) * np.repeat(levels, rate // 20)[:count]).astype(np.float32)


def plainly_quietest(samples: np.ndarray, rate: int) -> float:
    """The obvious loop over the places of a frame of 100 ms, every 10 ms."""
    hop = rate // 100
    starts = range(0, len(samples) // hop * hop - 10 * hop + 1, hop)
    powers = [max(float(np.mean(samples[start : start + 10 * hop].astype(np.float64) ** 2)), SILENT_POWER) for start in starts]
    return (starts[powers.index(min(powers))] + 5 * hop) / rate


@pytest.mark.parametrize(("rate", "duration_s"), [(16000, 3.0), (22050, 1.37), (44100, 0.5), (8000, 0.1)])
def test_the_cut_is_where_a_plain_loop_finds_it(rate: int, duration_s: float) -> None:
    samples = noise(duration_s, rate)
    assert cut_point(samples, rate) == pytest.approx(plainly_quietest(samples, rate))


@pytest.mark.parametrize("num_samples", [0, 1, 1599])
def test_what_is_shorter_than_a_frame_is_cut_in_its_middle(num_samples: int) -> None:
    assert cut_point(np.ones(num_samples, np.float32), 16000) == num_samples / 32000


def test_of_equal_silences_the_first_is_taken_whatever_a_decoder_leaves_in_them() -> None:
    samples = np.ones(16000 * 3, np.float32)
    samples[16000:20000] = samples[32000:36000] = 0
    faint = samples + np.float32(1e-6) * noise(3.0, 16000)
    assert cut_point(samples, 16000) == cut_point(faint, 16000) == pytest.approx(1.05)


@pytest.mark.parametrize(("duration_s", "count"), [(0, 0), (1 / 16000, 1), (30.0, 1), (30.001, 2), (95.3, 4)])
def test_long_stretches_are_split_without_a_gap(duration_s: float, count: int) -> None:
    pieces = split_long(noise(duration_s, 16000), 16000, 30.0)
    assert len(pieces) >= count and all(end > start and end - start <= 30.0 for start, end in pieces)
    if pieces:
        assert pieces[0][0] == 0 and pieces[-1][1] == pytest.approx(duration_s)
        assert all(before[1] == after[0] for before, after in pairwise(pieces))
        assert len(pieces) == 1 or min(end - start for start, end in pieces) >= 7.5, "no crumbs"


def stretches(duration_s: float, count: int, margin_s: float) -> list[Stretch]:
    """As the planner lays them: equal pieces that reach into their neighbours, with times rounded to microseconds."""
    length_s = duration_s / count
    laid = []
    for index in range(count):
        begin_s, end_s = (margin_s if index else 0.0), (margin_s if index < count - 1 else 0.0)
        start_s = round(index * length_s - begin_s, 6)
        laid.append(Stretch(start_s, start_s + round(length_s + begin_s + end_s, 6), begin_s, end_s))
    return laid


def cut(sound: Sound, stretch: Stretch) -> Sound:
    """The samples that decoding the stretch gives."""
    first, count = round(stretch.start_s * sound.sample_rate_hz), round((stretch.end_s - stretch.start_s) * sound.sample_rate_hz)
    return Sound(sound.samples[first : first + count], sound.sample_rate_hz)


@settings(max_examples=40, deadline=None)
@given(duration_s=st.floats(60, 150), count=st.integers(2, 5), rate=st.sampled_from([8000, 11025, 22050]), margin_s=st.sampled_from([2.5, 4.0, 7.25]))
def test_neighbours_part_at_the_same_sample(duration_s: float, count: int, rate: int, margin_s: float) -> None:
    sound = Sound(noise(duration_s, rate), rate)
    own = [(stretch, own_range(cut(sound, stretch), stretch)) for stretch in stretches(duration_s, count, margin_s)]
    for (left, (_, end_s)), (right, (start_s, _)) in pairwise(own):
        boundary_s = right.start_s + right.begin_margin_s
        assert abs((left.start_s + end_s) - (right.start_s + start_s)) <= 1.01 / rate, "both stretches begin at a whole sample, half a sample away at most"
        assert abs(right.start_s + start_s - boundary_s) <= margin_s


@pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3", "wav"])
def test_neighbours_part_at_the_same_sample_of_any_container(suffix: str, tmp_path: Path) -> None:
    recording = long_recording(24)
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, recording.samples, RATE)
    laid = stretches(len(recording.samples) / RATE, 2, 6.0)
    limits = AudioLimits(max_duration_s=600)
    places = []
    for index, stretch in enumerate(laid):
        duration_s = stretch.end_s - stretch.start_s if index == 0 else None
        own = own_range(read_sound(AudioRef(str(path), stretch.start_s, duration_s), limits), stretch)
        places.append(stretch.start_s + own[1 - index])
    assert places[0] == pytest.approx(places[1], abs=1e-4)
    assert not any(line.start_s + 0.05 < places[0] < line.end_s - 0.05 for line in recording.lines), "nobody is cut short"


def test_a_stretch_without_margins_is_its_own() -> None:
    sound = Sound(noise(2.0, 8000), 8000)
    assert own_range(sound, Stretch(0, 2)) == (0, 2) and Stretch(0, 2).is_whole
    assert Stretch(10, 40, 5, 6).middle == (5, 24) and not Stretch(10, 40, 0, 6).is_whole


def test_a_margin_too_short_to_look_into_parts_at_the_boundary() -> None:
    sound = Sound(noise(10.0, 8000), 8000)
    assert own_range(sound, Stretch(100.3, 110.3, 0.5, 0.5)) == pytest.approx((0.5, 9.5))


def frames(*spoken: tuple[float, float], duration_s: float = 60.0) -> SpeechFrames:
    probability = np.zeros(round(duration_s / FRAME_S), np.float32)
    for start_s, end_s in spoken:
        probability[round(start_s / FRAME_S) : round(end_s / FRAME_S)] = 1
    return SpeechFrames(probability, FRAME_S)


def found(*spoken: tuple[float, float], own: Interval = WHOLE, **changes: float) -> list[tuple[float, float]]:
    rules = SpeechRules(**{"padding_s": 0.0, **changes})
    pieces = utterances(frames(*spoken), noise(60.0, 1000), 1000, rules, own)
    return [(round(piece.start_s, 1), round(piece.end_s, 1)) for piece in pieces]


def test_pauses_end_utterances_and_short_silences_do_not() -> None:
    assert found((1, 4), (4.3, 6), (7, 9)) == [(1, 6), (7, 9)]
    assert found((1, 4), (4.3, 6), (7, 9), pause_s=0.2) == [(1, 4), (4.3, 6), (7, 9)]
    assert found() == []


def test_short_ones_join_the_nearer_neighbour_or_are_left_out() -> None:
    assert found((1, 4), (5, 5.5), (6.4, 9)) == [(1, 4), (5, 9)], "the second pause is the shorter one"
    assert found((1, 4), (5, 5.5), (6.6, 9)) == [(1, 5.5), (6.6, 9)]
    assert found((1, 4), (10, 10.5), (20, 24)) == [(1, 4), (20, 24)]
    assert found((1, 4), (4.95, 5), (20, 24)) == [(1, 4), (20, 24)], "a click is no speech"
    assert found((1, 20.5), (21, 21.5)) == [(1, 20.5)], "the two together would be too long"


def test_a_monologue_is_cut_where_it_is_quiet_and_loses_nothing() -> None:
    samples = noise(60.0, 1000)
    samples[17_000:17_200] = samples[31_000:31_200] = 0
    pieces = utterances(frames((2, 58)), samples, 1000, SpeechRules(padding_s=0), WHOLE)
    assert [piece.end_s for piece in pieces[:2]] == pytest.approx([17.1, 31.1], abs=0.06)
    assert pieces[0].start_s == pytest.approx(2, abs=FRAME_S) and pieces[-1].end_s == pytest.approx(58, abs=FRAME_S)
    assert all(before.end_s == after.start_s for before, after in pairwise(pieces))


def test_padding_stops_half_way_to_the_neighbour_and_at_the_ends() -> None:
    pieces = padded([Interval(0.05, 2), Interval(2.1, 4), Interval(8, 9.9)], 0.25, Interval(0, 10))
    assert [(piece.start_s, piece.end_s) for piece in pieces] == [(0, 2.05), (2.05, 4.25), (7.75, 10)]
    assert padded([], 0.25, Interval(0, 10)) == []


def test_what_a_neighbour_deals_with_is_clipped() -> None:
    assert found((1, 4), (8, 12), (14, 16), own=Interval(10, 14.05)) == [(10, 12)], "50 ms of the last is a click"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1, width=32), max_size=1500), st.floats(0, 10), st.floats(20, 50))
def test_utterances_keep_the_rules_whatever_the_probabilities(values: list[float], start_s: float, end_s: float) -> None:
    rules, own = SpeechRules(), Interval(start_s, end_s)
    pieces = utterances(SpeechFrames(np.asarray(values, np.float32), FRAME_S), noise(50.0, 1000), 1000, rules, own)
    assert all(start_s <= piece.start_s < piece.end_s <= end_s for piece in pieces)
    assert all(before.end_s <= after.start_s + 1e-9 for before, after in pairwise(pieces))
    assert all(rules.min_duration_s <= piece.duration_s <= rules.max_duration_s + 1e-9 for piece in pieces)


def test_lengths_that_leave_no_room_are_refused() -> None:
    with pytest.raises(ValidationError, match="max_duration_s must be at least 4 x min_duration_s"):
        SpeechRules(min_duration_s=6)


def test_the_share_of_speech() -> None:
    spoken = frames((1, 2), duration_s=4.0)
    assert spoken.ratio(0.5, start_s=0, end_s=4) == pytest.approx(0.25, abs=0.01)
    assert spoken.ratio(0.5, start_s=1.1, end_s=1.9) == 1 and replace(spoken, probability=np.zeros(0, np.float32)).ratio(0.5, start_s=0, end_s=1) == 0
