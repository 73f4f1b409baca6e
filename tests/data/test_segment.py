"""The stage `segment` on long recordings whose content is known, by every method."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from tests.data.stage_examples import TOOLS, work_of
from tests.spoken import DIGITS, RATE, LongRecording, join, long_recording, spoken
from valle_data.audio import AudioLimits, read_sound
from valle_data.errors import InputError, ReasonCode
from valle_data.recognisers.pocketsphinx import PocketsphinxRecogniser
from valle_data.records import AudioRef
from valle_data.segmenters import SEGMENTERS
from valle_data.segmenters.base import Segmenter, SegmenterConfig
from valle_data.segmenters.silero import speech_frames
from valle_data.shards.base import SAFE_ID
from valle_data.sound import Sound
from valle_data.stages.base import Work
from valle_data.stages.segment import SegmentStage

HEARING = ("silero", "energy")
TOLERANCE_S = 0.3
"""Between where a detector hears a word begin or end and where its samples pass -40 dB, with 0.1 s of padding."""
ALIGNED = {"name": "aligned", "recogniser": "pocketsphinx"}


@pytest.fixture(scope="module")
def recording() -> LongRecording:
    return long_recording()


def stage(method: Any = "silero", **options: Any) -> SegmentStage:
    return SegmentStage(SegmentStage.Config(method=method, **options), TOOLS)


def work(samples: np.ndarray, *, text: str = "", extra: Mapping[str, str] | None = None, path: str = "u0.wav") -> Work:
    made = work_of(samples, RATE, text=text)
    utterance = replace(made.utterance, extra=extra or {}, audio=AudioRef(path))
    return replace(made, utterance=utterance, planned=replace(made.planned, utterance=utterance))


def segments(outcome: Any) -> Sequence[Work]:
    assert not isinstance(outcome, InputError), outcome
    return [outcome] if isinstance(outcome, Work) else outcome


def places(works: Sequence[Work], first_s: float = 0.0) -> list[tuple[float, float]]:
    return [(w.utterance.audio.start_s - first_s, w.utterance.audio.start_s + (w.utterance.audio.duration_s or 0) - first_s) for w in works]


def refused(outcome: Any, reason: ReasonCode) -> str:
    assert isinstance(outcome, InputError) and outcome.reason is reason, outcome
    return str(outcome)


@pytest.mark.parametrize("name", SEGMENTERS)
def test_every_segmenter_keeps_the_contract(name: str) -> None:
    kind = SEGMENTERS[name]
    assert issubclass(kind, Segmenter) and issubclass(kind.Config, SegmenterConfig)
    config = kind.Config() if name != "aligned" else kind.Config(recogniser="pocketsphinx")
    assert config.name == name and json.dumps(config.options()) and isinstance(config.stamp(), str)
    assert hash(config) == hash(type(config)(**config.model_dump()))


@pytest.mark.parametrize("method", HEARING)
def test_the_lines_of_a_long_recording_are_found(method: str, recording: LongRecording) -> None:
    found = segments(stage(method).process([work(recording.samples)])[0])
    assert len(found) == len(recording.lines)
    for (start_s, end_s), line in zip(places(found), recording.lines, strict=True):
        assert line.start_s - TOLERANCE_S < start_s < line.start_s + 0.1 and line.end_s - 0.15 < end_s < line.end_s + TOLERANCE_S
    spoken_s = sum(line.end_s - line.start_s for line in recording.lines)
    for one in found:
        assert 0.5 < one.scores["vad_speech_ratio"] <= 1 and one.scores["aligned_share"] is None and one.utterance.text == ""
        assert one.scores["segmented_share"] == pytest.approx(spoken_s / (len(recording.samples) / RATE), abs=0.1)


def test_segments_have_stable_ids_and_are_what_decoding_their_place_gives(recording: LongRecording, tmp_path: Path) -> None:
    path = str(tmp_path / "talk.flac")
    soundfile.write(path, recording.samples, RATE)
    limits = AudioLimits(max_duration_s=600)
    whole = replace(work(recording.samples, path=path), sound=read_sound(AudioRef(path), limits))
    others = [work(np.zeros(RATE, np.float32)), work(spoken("awb")[0].samples), whole]
    alone, among = segments(stage().process([whole])[0]), segments(stage().process(others)[2])
    assert [(w.utterance, w.scores) for w in alone] == [(w.utterance, w.scores) for w in among], "whatever else is in the list"
    assert len({w.utterance.id for w in alone}) == len(alone)
    for one in alone:
        assert SAFE_ID.fullmatch(one.utterance.id) and len(one.utterance.id) <= 90
        assert one.planned is whole.planned and one.utterance.speaker == whole.utterance.speaker
        decoded = read_sound(one.utterance.audio, limits)
        np.testing.assert_array_equal(decoded.samples, one.heard().samples)
        assert one.duration_s == pytest.approx(one.utterance.audio.duration_s, abs=1e-4)


def test_segments_of_a_stretch_are_placed_in_the_file_and_keep_its_channel(recording: LongRecording) -> None:
    made = work(recording.samples)
    shifted = replace(made, utterance=replace(made.utterance, audio=AudioRef("a.tar", 100.25, len(recording.samples) / RATE, 1, 512, 9000)))
    found, plain = segments(stage().process([shifted])[0]), segments(stage().process([made])[0])
    assert np.array(places(found, 100.25)) == pytest.approx(np.array(places(plain)), abs=0.001)
    assert all((a.channel, a.offset, a.nbytes) == (1, 512, 9000) for a in (one.utterance.audio for one in found))
    assert {one.utterance.id for one in found}.isdisjoint(one.utterance.id for one in plain)


def test_levels_are_the_segments_own(recording: LongRecording) -> None:
    made = work(recording.samples).scored(rms_dbfs=-99.0, peak_dbfs=-99.0)
    assert all(-40 < one.scores["rms_dbfs"] < one.scores["peak_dbfs"] <= 0 for one in segments(stage().process([made])[0]))


def test_what_another_data_set_cut_is_taken_over(recording: LongRecording) -> None:
    made = work(recording.samples).scored(rms_dbfs=-99.0, peak_dbfs=-99.0)
    one = segments(stage().process([made])[0])[0]
    coded = replace(one, codes=np.zeros((1, 2), np.uint16), phones=("a",)).coded()
    assert stage().restore(replace(made, utterance=one.utterance), coded).scores == one.scores


@pytest.mark.parametrize("method", HEARING)
@pytest.mark.parametrize("num_samples", [0, 1, 511, 5 * RATE])
def test_where_nobody_speaks_there_is_no_utterance(method: str, num_samples: int) -> None:
    faint = (1e-4 * np.random.default_rng(0).standard_normal(num_samples)).astype(np.float32)
    message = refused(stage(method).process([work(faint)])[0], ReasonCode.NO_SPEECH)
    assert f"in {num_samples / RATE:.1f} s of this one none was found" in message


@pytest.mark.parametrize("method", HEARING)
def test_speech_that_touches_both_ends_is_whole(method: str) -> None:
    samples = join(spoken("slt")[:1], [0.0, 0.0]).samples
    (one,) = segments(stage(method).process([work(samples)])[0])
    start_s, end_s = places([one])[0]
    assert start_s < 0.15 and end_s > len(samples) / RATE - 0.15 and end_s <= len(samples) / RATE


@pytest.mark.parametrize("method", HEARING)
def test_a_monologue_is_cut_between_words_and_loses_nothing(method: str) -> None:
    monologue = join([*spoken("slt"), *spoken("rms")], [0.3] + [0.12] * 23 + [0.3])
    found = segments(stage({"name": method, "max_duration_s": 8.0}).process([work(monologue.samples)])[0])
    assert len(found) >= 5 and all(one.duration_s <= 8 for one in found)
    assert all(after[0] - before[1] < 0.25 for before, after in pairwise(places(found)))
    inside = [cut for _, cut in places(found)[:-1] for line in monologue.lines if line.start_s + 0.1 < cut < line.end_s - 0.1]
    assert len(inside) <= len(found) // 2, "most cuts fall between lines; a line has pauses of its own"


@pytest.mark.parametrize("method", HEARING)
def test_stretches_give_the_segments_of_the_whole_and_no_word_twice(method: str) -> None:
    recording = long_recording(30)
    whole = segments(stage(method).process([work(recording.samples)])[0])
    duration_s, count, margin_s = len(recording.samples) / RATE, 3, 5.0
    found: list[Work] = []
    for index in range(count):
        begin_s, end_s = (margin_s if index else 0.0), (margin_s if index < count - 1 else 0.0)
        start_s = round(index * duration_s / count - begin_s, 6)
        length_s = round(duration_s / count + begin_s + end_s, 6)
        piece = Sound(recording.samples[round(start_s * RATE) : round((start_s + length_s) * RATE)], RATE)
        made = work(piece.samples)
        audio = AudioRef("u0.wav", start_s, length_s if index < count - 1 else None)
        planned = replace(made.planned, begin_margin_s=begin_s, end_margin_s=end_s)
        found += segments(stage(method).process([replace(made, planned=planned, utterance=replace(made.utterance, audio=audio))])[0])
    assert len(found) == len(whole) == 30
    assert np.array(places(found)) == pytest.approx(np.array(places(whole)), abs=0.1)
    assert all(before[1] <= after[0] for before, after in pairwise(places(found)))


def test_a_recording_with_a_transcript_is_trimmed_and_keeps_its_id(recording: LongRecording) -> None:
    made = work(join(spoken("slt")[:2], [1.5, 1.2, 2.0]).samples, text="all of it")
    (one,) = segments(stage().process([made])[0])
    start_s, end_s = places([one])[0]
    assert (one.utterance.id, one.utterance.text) == ("u0", "all of it") and one.scores["segmented_share"] is None
    assert 1.2 < start_s < 1.6 and end_s < made.duration_s - 1.5
    message = refused(stage(max_whole_s=20).process([work(recording.samples, text="a book")])[0], ReasonCode.TOO_LONG)
    assert "A recording with a transcript is not cut" in message and "at most 20 s long" in message


def test_a_stretch_of_a_recording_with_a_transcript_is_refused() -> None:
    made = work(spoken("slt")[0].samples, text="a book")
    stretch = replace(made, planned=replace(made.planned, end_margin_s=0.2))
    refused(stage().process([stretch])[0], ReasonCode.TOO_LONG)


def test_silero_hears_what_its_own_package_hears(recording: LongRecording) -> None:
    threads = torch.get_num_threads()
    from silero_vad import load_silero_vad  # sets the number of threads

    torch.set_num_threads(threads)
    samples = recording.samples[: 12 * RATE + 100]
    with torch.no_grad():
        theirs = load_silero_vad().audio_forward(torch.from_numpy(samples)[None], RATE)[0].numpy()
    ours = speech_frames(samples).probability
    np.testing.assert_allclose(ours, theirs, atol=2e-3)
    assert ours.max() > 0.95 and ours.min() < 0.05


def test_silero_is_used_without_its_package_which_would_set_threads() -> None:
    program = "import sys, numpy as n, valle_data.segmenters.silero as s; assert len(s.speech_frames(n.zeros(600, n.float32)).probability) == 2; "
    subprocess.run([sys.executable, "-c", program + "assert not {'silero_vad', 'torch'} & set(sys.modules)"], check=True)


# By given timestamps.


def rows(recording: LongRecording, **more: Any) -> str:
    return json.dumps([{"start": line.start_s, "end": line.end_s, "text": line.text, **more} for line in recording.lines])


def test_given_timestamps_are_followed_with_their_texts(recording: LongRecording) -> None:
    made = work(recording.samples, extra={"segments": rows(recording, speaker="ann", language="en-gb"), "kept": "x"})
    found = segments(stage("given").process([made])[0])
    assert [one.utterance.text for one in found] == [line.text for line in recording.lines]
    assert np.array(places(found)) == pytest.approx(np.array([(line.start_s, line.end_s) for line in recording.lines]), abs=0.001)
    assert {(one.utterance.speaker, one.utterance.language) for one in found} == {("ann", "en-gb")}
    assert {tuple(one.utterance.extra.items()) for one in found} == {(("kept", "x"),)} and found[0].scores["vad_speech_ratio"] is None


def test_given_timestamps_are_found_beside_the_file(recording: LongRecording, tmp_path: Path) -> None:
    (tmp_path / "talk.json").write_text(rows(recording), encoding="utf-8")
    made = work(recording.samples, path=str(tmp_path / "talk.wav"))
    assert len(segments(stage("given").process([made])[0])) == len(recording.lines)
    (tmp_path / "talk.json").write_text('[{"start": 2, "end": 1}]', encoding="utf-8")
    refused(stage("given").process([made])[0], ReasonCode.BAD_TIMESTAMPS)


def test_timestamps_of_another_recording_are_refused(recording: LongRecording) -> None:
    made = work(recording.samples[: 10 * RATE], extra={"segments": rows(recording)})
    assert "what is read of the recording ends at 10 s" in refused(stage("given").process([made])[0], ReasonCode.BAD_TIMESTAMPS)


def test_rounded_timestamps_may_overhang_and_impossible_lengths_are_left_out() -> None:
    extra = {"segments": json.dumps([{"start": 0, "end": 0.1}, {"start": 1, "end": 2}, {"start": 4, "end": 5.4}, {"start": 0, "end": 39}])}
    made = work(np.ones(5 * RATE, np.float32), extra=extra)
    found = segments(stage("given").process([made])[0])
    assert places(found) == [(1, 2), (4, 5)] and found[0].scores["segmented_share"] == pytest.approx(0.4)


def test_stretches_share_out_given_timestamps_by_their_middles(recording: LongRecording) -> None:
    made = work(recording.samples, extra={"segments": rows(recording)})
    middle_s, margin_s, end_s = 12.0, 5.0, len(recording.samples) / RATE
    found: list[Work] = []
    for first_s, last_s, margins in ((0.0, middle_s + margin_s, (0.0, margin_s)), (middle_s - margin_s, end_s, (margin_s, 0.0))):
        sound = Sound(recording.samples[round(first_s * RATE) : round(last_s * RATE)], RATE)
        planned = replace(made.planned, begin_margin_s=margins[0], end_margin_s=margins[1])
        utterance = replace(made.utterance, audio=AudioRef("u0.wav", first_s, last_s - first_s))
        found += segments(stage("given").process([replace(made, sound=sound, duration_s=sound.duration_s, planned=planned, utterance=utterance)])[0])
    assert [one.utterance.text for one in found] == [line.text for line in recording.lines]


def test_without_timestamps_another_method_or_none(recording: LongRecording) -> None:
    long, short = work(recording.samples), work(recording.samples[: 3 * RATE])
    assert "nothing to segment it by" in refused(stage("given", max_whole_s=5).process([long])[0], ReasonCode.TOO_LONG)
    assert stage("given", max_whole_s=5).process([short])[0] is short
    assert len(segments(stage("given", otherwise="silero").process([long])[0])) == len(recording.lines)


# By a given text, laid along what pocketsphinx hears.


def test_a_given_stretch_without_a_sample_is_no_segment() -> None:
    rows = [{"start": 1.0, "end": 1.00001, "text": "nothing"}, {"start": 2.0, "end": 2.005, "text": "next to nothing"}]
    made = work(np.full(3 * RATE, 0.1, np.float32), extra={"segments": json.dumps(rows)})
    method = {"name": "given", "min_duration_s": 0}
    assert [(one.utterance.text, one.duration_s) for one in segments(stage(method).process([made])[0])] == [("next to nothing", 0.005)]
    made = work(np.full(3 * RATE, 0.1, np.float32), extra={"segments": json.dumps(rows[:1])})
    refused(stage(method).process([made])[0], ReasonCode.NO_SPEECH)


def test_a_book_is_laid_along_its_recording(recording: LongRecording) -> None:
    found = segments(stage(ALIGNED).process([work(recording.samples, text=recording.text)])[0])
    assert " ".join(one.utterance.text for one in found) == recording.text, "all of it, capitals and stops kept"
    lines = iter(recording.lines)
    for one, (start_s, end_s) in zip(found, places(found), strict=True):
        said = [next(lines) for _ in range(one.utterance.text.count("."))]
        assert start_s == pytest.approx(said[0].start_s, abs=TOLERANCE_S) and end_s == pytest.approx(said[-1].end_s, abs=TOLERANCE_S)
        assert one.scores["aligned_share"] > 0.8 and one.scores["vad_speech_ratio"] > 0.4


def test_what_is_not_read_and_what_is_not_written_is_in_no_utterance(recording: LongRecording) -> None:
    lines = list(recording.lines)
    written = [*lines[:5], *lines[7:]]
    text = " ".join(
        [*(f"{line.text.capitalize()}." for line in written[:8]), "Nobody reads these seven words aloud today.", *(f"{w.text}." for w in written[8:])]
    )
    found = segments(stage(ALIGNED).process([work(recording.samples, text=text)])[0])
    covered = " ".join(one.utterance.text for one in found)
    assert "Nobody" not in covered and sum(line.text in covered.lower() for line in written) >= len(written) - 2
    skipped = [(line.start_s + line.end_s) / 2 for line in lines[5:7]]
    assert not any(start_s < middle < end_s for start_s, end_s in places(found) for middle in skipped)


def test_a_text_of_another_recording_is_refused(recording: LongRecording) -> None:
    book = "It was a bright cold day in April, and the clocks were striking thirteen. " * 3
    message = refused(stage(ALIGNED).process([work(recording.samples, text=book)])[0], ReasonCode.TEXT_NOT_ALIGNED)
    assert "The text begins 'It was a bright cold day" in message and "Do they belong together?" in message


def test_aligning_wants_a_text_a_language_and_speech(recording: LongRecording) -> None:
    german = work(recording.samples, text="eins zwei drei")
    german = replace(german, utterance=replace(german.utterance, language="de"))
    assert "pocketsphinx understands English" in refused(stage(ALIGNED).process([german])[0], ReasonCode.UNKNOWN_LANGUAGE)
    refused(stage(ALIGNED).process([work(np.zeros(RATE * 2, np.float32), text="one")])[0], ReasonCode.NO_SPEECH)
    assert len(segments(stage(ALIGNED, otherwise="silero").process([work(recording.samples)])[0])) == len(recording.lines)


def test_a_configuration_says_all_that_decides_its_segments() -> None:
    first, second = SegmentStage.Config(), SegmentStage.Config(method={"name": "silero", "pause_s": 0.5})
    assert first.options() != second.options() and "weights" in first.stamp()
    aligned = SegmentStage.Config(method={"name": "aligned", "recogniser": {"name": "pocketsphinx", "words": DIGITS}}, otherwise="energy")
    assert PocketsphinxRecogniser.Config().stamp() in aligned.stamp()
    assert aligned.options()["method"]["recogniser"]["words"] == list(DIGITS)
