"""Recognisers: pocketsphinx on spoken digits, a Whisper of random weights through every step of CTranslate2."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.spoken import DIGITS, RATE, Spoken, join, spoken
from tests.tiny_whisper import save_tiny_whisper
from valle_data.errors import EnvironmentProblem, InputError, ReasonCode, UsageError
from valle_data.recognisers import RECOGNISERS, held
from valle_data.recognisers.base import Recogniser, RecogniserConfig, Transcript
from valle_data.recognisers.faster_whisper import FasterWhisperRecogniser
from valle_data.recognisers.pocketsphinx import PocketsphinxRecogniser

DIGIT_GRAMMAR = PocketsphinxRecogniser.Config(words=DIGITS)


@pytest.fixture(scope="module")
def held_out() -> tuple[Spoken, ...]:
    return tuple(one for voice in ("slt", "rms", "kal16") for one in spoken(voice, "heldout", 8))


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> FasterWhisperRecogniser.Config:
    folder = save_tiny_whisper(tmp_path_factory.mktemp("whisper"))
    return FasterWhisperRecogniser.Config(weights=folder, device="cpu", cpu_threads=1, beam_size=1)


def texts(outcomes: list[Transcript | InputError]) -> list[str]:
    assert all(isinstance(outcome, Transcript) for outcome in outcomes), outcomes
    return [outcome.text for outcome in outcomes if isinstance(outcome, Transcript)]


@pytest.mark.parametrize("name", RECOGNISERS)
def test_every_recogniser_keeps_the_contract(name: str) -> None:
    kind = RECOGNISERS[name]
    assert issubclass(kind, Recogniser) and issubclass(kind.Config, RecogniserConfig) and kind.Config().name == name
    assert 10 <= kind.max_duration_s <= 300 and json.dumps(kind.Config().options())
    assert hash(kind.Config()) == hash(kind.Config())


def test_one_model_is_held_for_a_configuration() -> None:
    assert held(PocketsphinxRecogniser.Config(words=DIGITS)) is held(DIGIT_GRAMMAR)


def test_pocketsphinx_reads_digits_by_a_grammar(held_out: tuple[Spoken, ...]) -> None:
    heard = texts(held(DIGIT_GRAMMAR).transcribe([one.samples for one in held_out], ["en-us"] * len(held_out)))
    pairs = [(one.text.split(), text.split()) for one, text in zip(held_out, heard, strict=True)]
    assert sum(said == understood for said, understood in pairs) >= 0.9 * len(pairs)
    assert all(set(understood) <= set(DIGITS) for _, understood in pairs)


def test_pocketsphinx_hears_the_same_in_any_company(held_out: tuple[Spoken, ...]) -> None:
    """Its adaptation to the speaker before would show here."""
    for config, waveforms in (
        (DIGIT_GRAMMAR, [one.samples for one in held_out[::3]]),
        (PocketsphinxRecogniser.Config(), [one.samples for one in held_out[7:9]]),
    ):
        recogniser = held(config)
        alone = [recogniser.transcribe([waveform], ["en"])[0] for waveform in waveforms]
        assert recogniser.transcribe(waveforms[::-1], ["en"] * len(waveforms))[::-1] == alone


def test_pocketsphinx_gives_words_their_times() -> None:
    recording = join(spoken("slt")[:2], [0.5, 1.0, 0.5])
    (transcript,) = held(DIGIT_GRAMMAR).transcribe([recording.samples], ["und"])
    assert isinstance(transcript, Transcript) and transcript.language == "en"
    assert transcript.text == " ".join(line.text for line in recording.lines) == " ".join(word.text for word in transcript.words)
    count = len(recording.lines[0].text.split())
    for line, words in zip(recording.lines, (transcript.words[:count], transcript.words[count:]), strict=True):
        assert words[0].start_s == pytest.approx(line.start_s, abs=0.1) and words[-1].end_s == pytest.approx(line.end_s, abs=0.15)
    assert transcript.confidence is not None and 0 < transcript.confidence <= 1


def test_an_expected_text_helps_and_unknown_words_in_it_do_not_hurt(held_out: tuple[Spoken, ...]) -> None:
    one = held_out[2]
    expected = f"xyzzyq seven seven {one.text} plugh nine"
    free, guided = (texts(held(PocketsphinxRecogniser.Config()).transcribe([one.samples], ["en"], hint))[0] for hint in (None, [expected]))
    assert guided == one.text != free
    assert texts(held(PocketsphinxRecogniser.Config()).transcribe([one.samples], ["en"], [""])) == [free], "nothing of the grammar stays behind"


@pytest.mark.parametrize("num_samples", [0, 1, RATE])
def test_pocketsphinx_hears_no_digit_in_silence(num_samples: int) -> None:
    assert texts(held(DIGIT_GRAMMAR).transcribe([np.zeros(num_samples, np.float32)], ["en"])) == [""]


def test_pocketsphinx_refuses_what_it_does_not_know() -> None:
    (outcome,) = held(DIGIT_GRAMMAR).transcribe([np.zeros(RATE, np.float32)], ["fr-fr"])
    assert isinstance(outcome, InputError) and outcome.reason is ReasonCode.UNKNOWN_LANGUAGE and "this is 'fr-fr'" in str(outcome)
    with pytest.raises(UsageError, match=r"pocketsphinx knows no pronunciation of \['xyzzyq'\]"):
        PocketsphinxRecogniser(PocketsphinxRecogniser.Config(grammar="( yes | xyzzyq )"))


def test_whisper_gives_every_field(whisper: FasterWhisperRecogniser.Config, held_out: tuple[Spoken, ...]) -> None:
    first, second, third = held(whisper).transcribe([one.samples for one in held_out[:3]], ["en-us", "und", "de"])
    assert isinstance(first, Transcript) and isinstance(second, Transcript) and isinstance(third, Transcript)
    assert first.language == "en-us" and third.language == "de" and len(second.language) in (2, 3)
    for transcript, one in zip((first, second, third), held_out, strict=False):
        assert transcript.text and transcript.words and transcript.text.split()[0] == transcript.words[0].text
        for value in (transcript.confidence, transcript.language_prob, transcript.no_speech_prob):
            assert value is not None and 0 < value < 1
        assert all(0 <= word.start_s <= word.end_s <= len(one.samples) / RATE for word in transcript.words)
    assert len({first.text, third.text}) == 2, "it listens"


def test_whisper_detects_the_language_it_finds_most_probable(whisper: FasterWhisperRecogniser.Config, held_out: tuple[Spoken, ...]) -> None:
    samples = held_out[0].samples
    (found,) = held(whisper).transcribe([samples], [""])
    assert isinstance(found, Transcript)
    others = held(whisper).transcribe([samples] * 3, ["en", "de", "ja"])
    assert all(isinstance(one, Transcript) and (one.language_prob or 0) <= (found.language_prob or 0) for one in others)
    assert held(whisper).transcribe([samples], [found.language]) == [found]


def test_whisper_gives_the_same_in_any_company_and_order(whisper: FasterWhisperRecogniser.Config, held_out: tuple[Spoken, ...]) -> None:
    waveforms = [one.samples for one in held_out[:4]]
    languages = ["en", "de", "en", "und"]
    alone = [held(whisper).transcribe([waveform], [language])[0] for waveform, language in zip(waveforms, languages, strict=True)]
    assert held(whisper).transcribe(waveforms, languages) == alone
    assert held(whisper).transcribe(waveforms[::-1], languages[::-1])[::-1] == alone
    batched = FasterWhisperRecogniser(whisper.model_copy(update={"batch_size": 3})).transcribe(waveforms, languages)
    assert texts(batched) == texts(alone), "numbers may differ in their last digits, which is why batch_size is no matter of speed alone"


def test_whisper_knows_languages_by_their_tags(whisper: FasterWhisperRecogniser.Config) -> None:
    silence = np.zeros(RATE, np.float32)
    tags = ["cmn-Hans", "nb", "iw", "pt_BR", "tlh", "xx"]
    outcomes = held(whisper).transcribe([silence] * len(tags), tags)
    assert [isinstance(one, Transcript) and one.language for one in outcomes[:4]] == tags[:4]
    for outcome, tag in zip(outcomes[4:], tags[4:], strict=True):
        assert isinstance(outcome, InputError) and outcome.reason is ReasonCode.UNKNOWN_LANGUAGE and f"does not know the language {tag!r}" in str(outcome)


def test_a_stamp_is_of_the_weights_and_not_of_where_they_lie(whisper: FasterWhisperRecogniser.Config, tmp_path: Path) -> None:
    same = whisper.model_copy(update={"weights": save_tiny_whisper(tmp_path / "same"), "model": "another name", "device": "auto"})
    other = whisper.model_copy(update={"weights": save_tiny_whisper(tmp_path / "other", seed=1)})
    assert same.stamp() == whisper.stamp() != other.stamp()
    (folder := save_tiny_whisper(tmp_path / "features")).joinpath("preprocessor_config.json").write_text('{"feature_size": 80, "hop_length": 80}')
    assert whisper.model_copy(update={"weights": folder}).stamp() != whisper.stamp()
    assert same.options() == whisper.options() == {"name": "faster_whisper", "compute_type": "default", "beam_size": 1, "batch_size": 1}
    assert PocketsphinxRecogniser.Config().options() != DIGIT_GRAMMAR.options()


def test_missing_weights_are_named_with_the_remedy(whisper: FasterWhisperRecogniser.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(EnvironmentProblem, match=r"has no model.bin, tokenizer.json. Convert yours with `ct2-transformers-converter"):
        FasterWhisperRecogniser(FasterWhisperRecogniser.Config(weights=tmp_path))
    with pytest.raises(UsageError, match=r"faster-whisper knows no model 'larg-v3'\. Did you mean 'large-v3'\?"):
        FasterWhisperRecogniser(FasterWhisperRecogniser.Config(model="larg-v3"))
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(EnvironmentProblem, match="The Whisper model 'tiny' is not in the cache and cannot be fetched: LocalEntryNotFoundError"):
        FasterWhisperRecogniser.Config(model="tiny").stamp()
