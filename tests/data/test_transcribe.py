"""The stage `transcribe`: texts for those who have none, error rates for those who have, and texts nobody should believe."""

import re
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.stage_examples import TOOLS, work_of
from tests.spoken import DIGITS, RATE, join, spoken
from tests.tiny_whisper import save_tiny_whisper
from valle_data.errors import InputError, ReasonCode
from valle_data.recognisers.base import Recogniser, Transcript, Word
from valle_data.speech.judging import character_error_rate, compression_ratio, for_scoring, longest_repetition
from valle_data.speech.suspicion import SuspicionRules, suspicion
from valle_data.stages.base import Work
from valle_data.stages.transcribe import TranscribeStage

HEARS_DIGITS = {"name": "pocketsphinx", "words": DIGITS}


def stage(recogniser: Any = HEARS_DIGITS, **options: Any) -> TranscribeStage:
    return TranscribeStage(TranscribeStage.Config(recogniser=recogniser, **options), TOOLS)


def works(texts: Sequence[str]) -> list[Work]:
    return [work_of(one.samples, RATE, name=f"u{index}", text=text) for index, (one, text) in enumerate(zip(spoken("slt"), texts, strict=False))]


def kept(outcome: Any) -> Work:
    assert isinstance(outcome, Work), outcome
    return outcome


class Scripted(Recogniser):
    """Stands in for a recogniser that is wrong in a chosen way."""

    max_duration_s = 30.0

    def __init__(self, *answers: Transcript | InputError) -> None:
        self.answers, self.asked = list(answers), list[float]()

    def transcribe(self, waveforms: Sequence[np.ndarray], languages: Sequence[str], expected: Sequence[str] | None = None) -> list[Transcript | InputError]:
        self.asked += [len(waveform) / RATE for waveform in waveforms]
        return [self.answers.pop(0) for _ in waveforms]


def scripted(*answers: Transcript | InputError, **options: Any) -> TranscribeStage:
    made = stage(**options)
    made.recogniser = Scripted(*answers)
    return made


def test_what_has_no_text_gets_one_and_what_has_is_checked() -> None:
    said = [one.text for one in spoken("slt")[:4]]
    written = ["", said[1], said[2].replace(said[2].split()[0], "hello", 1), f"{said[3].capitalize()}!"]
    outcomes = [kept(outcome) for outcome in stage().process(works(written))]
    assert [one.utterance.text for one in outcomes] == [said[0], *written[1:]]
    assert [one.scores["asr_text"] for one in outcomes] == said
    assert outcomes[0].scores["cer"] is None and outcomes[1].scores["cer"] == 0 and outcomes[3].scores["cer"] == 0, "case and marks are no errors"
    assert 0 < (outcomes[2].scores["cer"] or 0) < 0.5
    for one, text in zip(outcomes, [said[0], *written[1:]], strict=True):
        assert one.scores["characters_per_second"] == pytest.approx(len(text) / one.duration_s)
        assert set(one.scores) == set(TranscribeStage.columns) and one.scores["asr_suspect"] is None
        assert one.scores["asr_language"] == "en" and 0 < one.scores["asr_confidence"] <= 1


@pytest.mark.parametrize(("use", "expected"), [("missing", ["heard", "given"]), ("always", ["heard", "heard"]), ("never", [None, "given"])])
def test_when_the_recognised_text_is_used(use: str, expected: list[str | None]) -> None:
    said = [one.text for one in spoken("slt")[:2]]
    outcomes = stage(use=use).process(works(["", "a given text"]))
    for outcome, which, heard, written in zip(outcomes, expected, said, ["", "a given text"], strict=True):
        if which is None:
            assert isinstance(outcome, InputError) and outcome.reason is ReasonCode.MISSING_TEXT and "`transcribe.use: never`" in str(outcome)
        else:
            assert kept(outcome).utterance.text == (heard if which == "heard" else written)
    assert kept(outcomes[1]).scores["cer"] is not None, "a given transcript is compared even where it is replaced"


def test_without_a_check_only_what_has_no_text_is_heard() -> None:
    made = scripted(Transcript("one two three four", "en"), check=False)
    outcomes = [kept(outcome) for outcome in made.process(works(["given", "", "given"]))]
    assert [one.utterance.text for one in outcomes] == ["given", "one two three four", "given"]
    assert "cer" not in outcomes[0].scores and outcomes[0].scores["characters_per_second"]


def test_an_unknown_language_is_found_out_even_without_a_check() -> None:
    made = scripted(Transcript("one two", "fr"), check=False)
    work = works(["given"])[0]
    one = kept(made.process([replace(work, utterance=replace(work.utterance, language="und"))])[0])
    assert (one.utterance.text, one.utterance.language) == ("given", "fr")


def test_what_another_data_set_heard_is_taken_over() -> None:
    work = works([""])[0]
    work = replace(work, utterance=replace(work.utterance, language="und"))
    heard = kept(stage().process([work])[0])
    made = replace(heard, codes=np.zeros((1, 2), np.uint16), phones=("a",)).coded()
    restored = stage().restore(work, made)
    assert (restored.utterance, restored.scores) == (heard.utterance, heard.scores)


def test_what_becomes_of_one_does_not_depend_on_the_others() -> None:
    some = works(["", "a text", "", ""])
    together = [(kept(one).utterance, kept(one).scores) for one in stage().process(some)]
    alone = [(kept(one).utterance, kept(one).scores) for work in some[::-1] for one in stage().process([work])][::-1]
    assert together == alone


def test_a_long_utterance_is_heard_in_chunks_cut_between_words() -> None:
    recording = join(spoken("slt"), [0.3] * 13)
    work = work_of(recording.samples, RATE, text="")
    one = kept(stage(max_chunk_s=6.0, rules={"max_compression_ratio": 5}).process([work])[0])
    assert len(recording.samples) / RATE > 18 and one.utterance.text == " ".join(line.text for line in recording.lines)


def test_chunks_are_joined_with_times_averages_and_one_language() -> None:
    silence = np.zeros(45 * RATE, np.float32)
    first = Transcript("one two", "en", (Word("one", 0.0, 1.0), Word("two", 1.0, 2.0)), 0.5, 0.9, 0.1)
    made = scripted(first, Transcript("drei vier fünf sechs", "de", (Word("drei", 0.5, 1.0),), 0.8, None, 0.3), rules={"min_speech_ratio": 0})
    one = kept(made.process([work_of(silence, RATE, text="", language="und")])[0])
    longest, rest = made.recogniser.asked  # pyright: ignore[reportAttributeAccessIssue]
    assert longest <= 30 and longest + rest == pytest.approx(45)
    assert one.utterance.text == "one two drei vier fünf sechs" and one.utterance.language == "de"
    assert one.scores["asr_confidence"] == pytest.approx((0.5 * longest + 0.8 * rest) / 45) and one.scores["asr_language_prob"] == 0.9


def test_chunks_of_a_language_without_spaces_are_joined_without_one() -> None:
    made = scripted(Transcript("今日は良い", "ja"), Transcript("天気です", "ja"), rules={"min_speech_ratio": 0, "min_characters_per_second": 0})
    silence = np.zeros(45 * RATE, np.float32)
    assert kept(made.process([work_of(silence, RATE, text="", language="ja")])[0]).utterance.text == "今日は良い天気です"


def test_a_language_that_nobody_knew_is_the_recognised_one() -> None:
    outcomes = stage().process(
        [replace(work, utterance=replace(work.utterance, language=tag)) for work, tag in zip(works(["", ""]), ["und", "en-gb"], strict=True)]
    )
    assert [kept(one).utterance.language for one in outcomes] == ["en", "en-gb"]


def test_a_language_the_recogniser_does_not_know_loses_only_what_has_no_text() -> None:
    german = [replace(work, utterance=replace(work.utterance, language="de")) for work in works(["", "eins zwei"])]
    refused, other = stage().process(german)
    assert isinstance(refused, InputError) and refused.reason is ReasonCode.UNKNOWN_LANGUAGE
    assert kept(other).utterance.text == "eins zwei" and kept(other).scores.get("cer") is None


@pytest.mark.parametrize("num_samples", [0, 1, RATE])
def test_silence_without_a_text_is_no_speech_and_with_one_is_left_to_its_scores(num_samples: int) -> None:
    silent = np.zeros(num_samples, np.float32)
    empty, other = stage().process([work_of(silent, RATE, name="a", text=""), work_of(silent, RATE, name="b", text="one two")])
    assert isinstance(empty, InputError) and empty.reason in (ReasonCode.NO_SPEECH, ReasonCode.MISSING_TEXT)
    assert kept(other).utterance.text == "one two" and kept(other).scores.get("cer") in (None, 1.0)


# What recognisers invent (row 10 of the faults).


@pytest.fixture(scope="module")
def babbler(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A Whisper with random weights: it says two hundred words whatever it hears."""
    return {"name": "faster_whisper", "weights": save_tiny_whisper(tmp_path_factory.mktemp("babbler")), "device": "cpu", "cpu_threads": 1, "beam_size": 1}


def test_words_for_silence_and_words_nobody_can_say_so_fast_go_to_quarantine(babbler: dict[str, Any]) -> None:
    silent, spoken_one = work_of(np.zeros(2 * RATE, np.float32), RATE, name="silent", text=""), works([""])[0]
    made = stage(babbler, rules={"max_compression_ratio": 100, "max_repetitions": 100})
    on_silence, too_fast = made.process([silent, spoken_one])
    assert isinstance(on_silence, InputError) and on_silence.reason is ReasonCode.ASR_SUSPECT
    assert "speech fills 0.00 of the recording, `min_speech_ratio` is 0.1" in str(on_silence) and "`transcribe.suspects: mark`" in str(on_silence)
    assert isinstance(too_fast, InputError) and re.search(r"\d+\.\d characters a second, `max_characters_per_second` is 30", str(too_fast))


def test_suspects_are_marked_instead_where_that_is_asked_for(babbler: dict[str, Any]) -> None:
    one = kept(stage(babbler, suspects="mark").process(works([""]))[0])
    assert one.scores["asr_suspect"] in ("loop", "too_fast") and one.utterance.text == one.scores["asr_text"]


def test_a_given_text_stays_whatever_was_heard(babbler: dict[str, Any]) -> None:
    one = kept(stage(babbler).process(works(["one two three"]))[0])
    assert one.utterance.text == "one two three" and one.scores["asr_suspect"] and one.scores["cer"] > 1


def test_the_stage_only_looks_for_speech_where_no_other_stage_has() -> None:
    heard = Transcript("one two three four", "en", (), 0.9)
    noisy = works(["", ""])
    low = [noisy[0].scored(vad_speech_ratio=0.05), noisy[1]]
    suspect, fine = scripted(heard, heard).process(low)
    assert isinstance(suspect, InputError) and "speech fills 0.05" in str(suspect)
    assert kept(fine).scores["asr_suspect"] is None, "silero hears that somebody speaks"


CASES = [
    ("thank you " * 6, {}, "loop"),
    ("you you you you you", {}, "loop"),
    ("thank you so much for watching and see you next time. " * 5, {}, "loop"),
    ("no no no, I said: no", {}, None),
    ("ha ha ha ha, that was good", {}, None),
    ("a plain sentence with nothing wrong", {}, None),
    ("a plain sentence with nothing wrong", {"speech_ratio": 0.05}, "text_on_silence"),
    ("a plain sentence with nothing wrong", {"no_speech_prob": 0.9, "confidence": 0.2}, "text_on_silence"),
    ("a plain sentence with nothing wrong", {"no_speech_prob": 0.9, "confidence": 0.8}, None),
    ("a plain sentence with nothing wrong", {"duration_s": 0.5}, "too_fast"),
    ("a plain sentence with nothing wrong", {"duration_s": 0.0}, "too_fast"),
    ("yes", {"duration_s": 20.0}, "too_slow"),
    ("", {"speech_ratio": 0.0}, None),
]


@pytest.mark.parametrize(("text", "circumstances", "expected"), CASES, ids=[f"{text[:20]}{more}" for text, more, _ in CASES])
def test_what_is_suspect(text: str, circumstances: dict[str, float], expected: str | None) -> None:
    more = {"duration_s": 4.0, "speech_ratio": 0.8, **circumstances}
    if len(text) > 100:
        more["duration_s"] = 20.0
    transcript = Transcript(text, "en", (), more.pop("confidence", 0.9), None, more.pop("no_speech_prob", 0.01))
    doubt = suspicion(transcript, rules=SuspicionRules(), **more)
    assert (doubt.name if doubt else None) == expected


def test_low_confidence_is_suspect_where_a_bound_is_set() -> None:
    transcript = Transcript("one two three", "en", (), 0.3)
    assert suspicion(transcript, duration_s=2.0, speech_ratio=1.0, rules=SuspicionRules()) is None
    doubt = suspicion(transcript, duration_s=2.0, speech_ratio=1.0, rules=SuspicionRules(min_confidence=0.5))
    assert doubt is not None and doubt.name == "low_confidence" and doubt.why == "confidence 0.30, `min_confidence` is 0.5"


# Scores.


def test_texts_are_compared_as_they_sound() -> None:
    assert for_scoring("It's 42 — “really” [noise] (laughs) <i>GOOD</i>!", "en") == "its forty two really good"
    assert for_scoring("今日は、 良い 天気。", "ja") == "今日は良い天気" and for_scoring("Größe STRASSE", "de") == "grösse strasse"
    assert for_scoring("", "en") == for_scoring("?!", "xx") == ""


@pytest.mark.parametrize(
    ("written", "spoken", "language"),
    [
        ("Dr. Smith paid $5 on the 1st of May.", "doctor smith paid five dollars on the first of may", "en-us"),
        ("5 € am 3.5.2024", "fünf euro am dritten mai zweitausendvierundzwanzig", "de"),
        ("2024年", "二零二四年", "zh"),
    ],
)
def test_what_a_recogniser_writes_in_figures_is_no_error(written: str, spoken: str, language: str) -> None:
    assert character_error_rate(spoken, written, language) == character_error_rate(written, spoken, language) == 0


RATES = [("one two", "one two", 0), ("abcd", "abxd", 0.25), ("abcd", "", 1), ("ab", "abcdef", 2), ("?", "one", None), ("3", "three", 0)]


@pytest.mark.parametrize(("reference", "heard", "expected"), RATES)
def test_character_error_rates(reference: str, heard: str, expected: float | None) -> None:
    assert character_error_rate(reference, heard, "en-us") == expected


def plain_distance(one: str, other: str) -> int:
    """Wagner and Fischer's table."""
    row = list(range(len(other) + 1))
    for index, letter in enumerate(one, start=1):
        previous, row[0] = row[0], index
        for place, against in enumerate(other, start=1):
            previous, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, previous + (letter != against))
    return row[-1]


@given(st.text("abc", min_size=1, max_size=12), st.text("abc", max_size=12))
def test_the_error_rate_is_the_edit_distance(reference: str, heard: str) -> None:
    assert character_error_rate(reference, heard, "en") == plain_distance(reference, heard) / len(reference)


def plain_repetitions(words: list[str]) -> int:
    """The obvious count: every phrase at every place, as long as it goes on."""
    best = int(bool(words))
    for size in range(1, 13):
        for start in range(len(words) - size + 1):
            count = 1
            while words[start + count * size : start + (count + 1) * size] == words[start : start + size]:
                count += 1
            best = max(best, count)
    return best


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=30))
def test_repetitions_are_those_of_the_obvious_count(words: list[str]) -> None:
    assert longest_repetition(" ".join(words), "en") == plain_repetitions(words)


def test_letters_repeat_where_words_are_not_between_spaces() -> None:
    assert longest_repetition("ありがとうございます。" * 6, "ja") == 6 and longest_repetition("", "ja") == 0


def test_compression_is_zlib() -> None:
    text = "so it goes " * 20
    assert compression_ratio(text) == len(text) / len(zlib.compress(text.encode())) > 2.4 and compression_ratio("") == 0


def test_a_configuration_says_all_that_decides_its_texts(tmp_path: Path) -> None:
    first = TranscribeStage.Config(recogniser=HEARS_DIGITS)
    assert "pocketsphinx" in first.stamp() and "silero" in first.stamp()
    assert "silero" not in TranscribeStage.Config(recogniser=HEARS_DIGITS, rules={"min_speech_ratio": 0}).stamp()
    assert first.options() != TranscribeStage.Config(recogniser="pocketsphinx").options()
    weights = save_tiny_whisper(tmp_path / "w")
    quick, plain = ({"name": "faster_whisper", "weights": weights, "cpu_threads": threads} for threads in (4, 1))
    assert TranscribeStage.Config(recogniser=quick).options() == TranscribeStage.Config(recogniser=plain).options()
