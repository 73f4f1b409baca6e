"""Many languages in one data set: engines, inventories, tags and scripts."""

import pytest

from tests.texts import BEGINNINGS_AND_ENDINGS, HOME, build, refused, sentences
from valle_data.errors import EnvironmentProblem, InputError, ReasonCode
from valle_data.text.engines import installed_engines
from valle_data.text.ipa import IPA
from valle_data.text.normalize import normalize
from valle_data.text.phonemizers import PHONEMIZERS
from valle_data.text.phonemizers.base import Phonemizer
from valle_data.text.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def multilingual() -> Phonemizer:
    return build("multilingual")


@pytest.fixture
def espeak() -> Phonemizer:
    return build("espeak")


@pytest.mark.parametrize("language", BEGINNINGS_AND_ENDINGS)
def test_two_hundred_sentences_of_a_language_stay_in_the_one_inventory(multilingual: Phonemizer, language: str) -> None:
    texts = [normalize(text, language, 500) for text in sentences(language)]
    assert len(texts) >= 200
    spoken_phones = multilingual.phonemize(texts, language)
    assert not [str(phones) for phones in spoken_phones if isinstance(phones, InputError)]
    assert len(set(spoken_phones)) == len(texts), "two sentences that differ sound different"
    vocabulary = Vocabulary(multilingual.symbols)
    assert all(vocabulary.encode(phones) for phones in spoken_phones if not isinstance(phones, InputError))


@pytest.mark.parametrize("language", BEGINNINGS_AND_ENDINGS)
def test_numbers_up_to_two_hundred_stay_in_the_inventory(multilingual: Phonemizer, language: str) -> None:
    said = multilingual.phonemize([normalize(str(number), language, 500) for number in range(201)], language)
    assert not [phones for phones in said if isinstance(phones, InputError)] and len(set(said)) == 201


def test_the_union_has_every_engine_in_the_order_of_the_table() -> None:
    made = build("multilingual")
    assert made.symbols[: len(IPA)] == IPA and len(set(made.symbols)) == len(made.symbols)
    for name in ("japanese", "mandarin", "korean"):
        assert set(build(name).symbols) <= set(made.symbols)
    config = PHONEMIZERS["multilingual"].Config
    spelled = PHONEMIZERS.build(config(engines={"ka": "characters", "ja": "espeak"}))
    assert spelled.symbols[: len(IPA)] == IPA and set(build("characters").symbols) <= set(spelled.symbols)
    assert spelled.symbols == PHONEMIZERS.build(config(engines={"ja": "espeak", "ka": "characters"})).symbols


@pytest.mark.parametrize(
    ("tag", "name"),
    [("ja-JP", "japanese"), ("zh_Hans_CN", "mandarin"), ("cmn", "mandarin"), ("zh-HK", "espeak"), ("yue", "espeak"), ("ko", "korean"), ("de-AT", "espeak")],
)
def test_each_language_goes_to_its_engine(tag: str, name: str) -> None:
    made = build("multilingual")
    assert made.engine(tag).config.name == name  # type: ignore[attr-defined]
    made.check_language(tag)


def test_engines_can_be_chosen_and_are_in_the_version() -> None:
    config = PHONEMIZERS["multilingual"].Config.model_validate({"engines": {"ja": "espeak", "zh": "espeak", "cmn": "espeak", "ko": "espeak"}})
    made = PHONEMIZERS.build(config)
    assert made.version == build("espeak").version and made.symbols == IPA
    assert "pyopenjtalk-plus" in build("multilingual").version and "pypinyin" in build("multilingual").version
    with pytest.raises(ValueError, match="is another phonemizer, not 'multilingual'"):
        PHONEMIZERS["multilingual"].Config.model_validate({"engines": {"ja": "multilingual"}})


@pytest.mark.parametrize("name", HOME)
def test_an_engine_of_one_language_refuses_others_and_slips(name: str) -> None:
    assert "choose `multilingual`" in str(refused(build(name), "test", "de"))
    assert refused(build(name), "test", f"{HOME[name]}-usss").reason is ReasonCode.UNKNOWN_LANGUAGE
    build(name).check_language(f"{HOME[name].upper()}-x-own")


def test_installed_engines_are_told_with_their_versions() -> None:
    engines = {engine.name: engine for engine in installed_engines()}
    assert list(engines) == list(PHONEMIZERS)
    assert all(engine.version and not engine.problem for engine in engines.values())
    assert int(engines["espeak"].speaks.split()[0]) > 100


def test_a_missing_package_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("valle_data.text.phonemizers.japanese.find_spec", lambda name: None)
    engines = {engine.name: engine for engine in installed_engines()}
    for name in ("japanese", "multilingual"):
        assert "pip install 'valle[ja]'" in engines[name].problem and not engines[name].version
    assert engines["korean"].version
    with pytest.raises(EnvironmentProblem, match="onnxruntime"):
        build("multilingual")
    without = PHONEMIZERS["multilingual"].Config.model_validate({"engines": {"ja": "espeak"}})
    assert PHONEMIZERS.build(without).engine("ja").config.name == "espeak"


def test_the_configuration_has_a_schema_and_goes_through_json() -> None:
    config = PHONEMIZERS["multilingual"].Config.model_validate({"engines": {"ka": {"name": "characters", "alphabet": "ქ"}, "ja": "espeak"}})
    assert PHONEMIZERS["multilingual"].Config.model_validate_json(config.model_dump_json()) == config
    assert "alphabet" in str(PHONEMIZERS["multilingual"].Config.model_json_schema())
