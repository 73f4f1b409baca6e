"""What every phonemizer of the table owes, and the characters' own ways."""

import pickle
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.texts import build, home, refused, sentences, spoken
from valle_data.errors import InputError, ReasonCode
from valle_data.text.normalize import normalize
from valle_data.text.phonemizers import PHONEMIZERS
from valle_data.text.phonemizers.base import Phonemizer
from valle_data.text.vocabulary import Vocabulary


@pytest.fixture(params=list(PHONEMIZERS))
def phonemizer(request: pytest.FixtureRequest) -> Phonemizer:
    return build(request.param)


def test_inventory_is_one_code_point_each_and_none_twice(phonemizer: Phonemizer) -> None:
    assert all(len(symbol) == 1 for symbol in phonemizer.symbols)
    assert len(Vocabulary(phonemizer.symbols)) == len(set(phonemizer.symbols))
    assert {" ", ".", ",", "?", "!", ";", ":"} <= set(phonemizer.symbols)


def test_phones_of_plain_sentences_are_in_the_inventory(phonemizer: Phonemizer) -> None:
    vocabulary = Vocabulary(phonemizer.symbols)
    for phones in phonemizer.phonemize(sentences(home(phonemizer)), home(phonemizer)):
        assert not isinstance(phones, InputError) and vocabulary.encode(phones)
        assert phones[0] != " " and phones[-1] != " " and "  " not in "".join(phones)


def test_no_texts_no_phones(phonemizer: Phonemizer) -> None:
    assert phonemizer.phonemize([], home(phonemizer)) == []


def test_a_text_alone_gives_what_it_gives_in_any_company(phonemizer: Phonemizer) -> None:
    language = home(phonemizer)
    texts = [*random.Random(1).sample(sentences(language), 20), *(['What (is this, he said; and: "why?', "one"] if language == "en" else []), "..."]
    together = phonemizer.phonemize(texts, language)
    order = list(range(len(texts)))
    random.Random(0).shuffle(order)
    for index in order:
        alone = phonemizer.phonemize([texts[index]], language)[0]
        assert str(alone) == str(together[index])


def test_pickled_phonemizer_speaks_the_same(phonemizer: Phonemizer) -> None:
    copy = pickle.loads(pickle.dumps(phonemizer))  # noqa: S301 - our own bytes
    texts = sentences(home(phonemizer))[:3]
    assert copy.phonemize(texts, home(phonemizer)) == phonemizer.phonemize(texts, home(phonemizer))
    assert copy.version == phonemizer.version and copy.symbols == phonemizer.symbols


def test_one_bad_text_leaves_the_others(phonemizer: Phonemizer) -> None:
    first, last = sentences(home(phonemizer))[:2]
    good, bad, other = phonemizer.phonemize([first, "?!", last], home(phonemizer))
    assert isinstance(bad, InputError) and bad.reason is ReasonCode.TEXT_UNSPEAKABLE
    assert not isinstance(good, InputError) and not isinstance(other, InputError)


NATIVE_LETTERS = st.sampled_from("aZéßñ '.,!?-0123年日一々ーっんアァヴ〇你不行長한독값ㅋ々。、「」（）…")


@given(st.text(max_size=80) | st.text(NATIVE_LETTERS, max_size=40), st.sampled_from(["en-us", "de", "fr", "ja", "zh", "ko"]))
@settings(max_examples=120, deadline=None)
def test_normalised_text_gives_known_phones_or_a_reason(text: str, language: str) -> None:
    try:
        plain = normalize(text, language, 1000)
    except InputError:
        return
    for name in ("multilingual", "espeak", "characters"):
        made = build(name)
        (phones,) = made.phonemize([plain], language)
        assert isinstance(phones, InputError) or set(phones) <= set(made.symbols)


# --- characters


def test_characters_are_lower_case_and_decomposed() -> None:
    made = PHONEMIZERS["characters"](PHONEMIZERS["characters"].Config())
    assert made.phonemize(["Äpfel, ÉTÉ!", "Йод"], "any") == [tuple("a\u0308pfel, e\u0301te\u0301!"), tuple("и\u0306од")]
    made.check_language("whatever")
    error = refused(made, "საქართველო", "ka")
    assert error.reason is ReasonCode.UNKNOWN_PHONE and "`phonemizer.alphabet`" in str(error)


def test_characters_take_a_further_alphabet() -> None:
    config = PHONEMIZERS["characters"].Config(alphabet="საქრთველო ა")
    made = PHONEMIZERS["characters"](config)
    assert spoken(made, "საქართველო", "ka") == "საქართველო"
    assert made.symbols[: len(made.symbols) - 9] == PHONEMIZERS["characters"](PHONEMIZERS["characters"].Config()).symbols
