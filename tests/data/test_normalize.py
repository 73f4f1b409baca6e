"""Text in: what comes out is speakable, plain and stable, and what cannot be is refused with its reason."""

import re
import unicodedata

import num2words
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from valle_data.errors import InputError, ReasonCode
from valle_data.text.normalize import normalize
from valle_data.text.numbers import LANGUAGES, MAX_DIGITS, speak_numbers


def reason(text: str, max_characters: int = 1000) -> ReasonCode:
    with pytest.raises(InputError) as caught:
        normalize(text, "en-us", max_characters)
    return caught.value.reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, world.", "Hello, world."),
        ("  two\t\nlines\r\n", "two lines"),
        ("cafe\u0301", "caf\u00e9"),
        ("a\u200bb\u00adc\u2060d\ufeff", "abcd"),
        ("left \u202eright\u202c \u2066x\u2069", "left right x"),
        ("nul\0 bell\x07 escape\x1b[31m", "nul bell escape 31m".replace("31", "thirty-one ")),
        ("fine 😀👍🏽 day 👨‍👩‍👧 🇩🇪 1️⃣", "fine day one"),
        ("don\u2019t \u201cquote\u201d wait\u2026", 'don\'t "quote" wait...'),
        ("a < b {c} [d] e_f ~ `g` *h*", "a b c d e f g h"),
        ("lone \ud800 surrogate", "lone surrogate"),
        ("\u4f60\u597d", "\u4f60\u597d"),
        ("x" * 1000, "x" * 1000),
    ],
)
def test_plain_text(text: str, expected: str) -> None:
    assert normalize(text, "en-us", 1000) == expected


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en-us", "42", "forty-two"),
        ("en", "1,234,567 and 3.14", "one million two hundred and thirty-four thousand five hundred and sixty-seven and three point one four"),
        ("en", "-5 to 007", "minus five to zero zero seven"),
        ("en", "the 21st, $5.50", "the twenty-first, five point five zero $"),
        ("en", "mp3 and B2B", "mp three and B two B"),
        ("en", "1" * 13, " ".join(["one"] * 13)),
        ("de-AT", "1.234,5", "eintausendzweihundertvierunddreißig Komma fünf"),
        ("fr", "1\u00a0234 et 80", "mille deux cent trente-quatre et quatre-vingts"),
        ("es", "21", "veintiuno"),
        ("it", "3,14", "tre virgola uno quattro"),
        ("pt-BR", "16", "dezesseis"),
        ("ru", "2", "два"),
        ("cs", "-5", "mínus pět"),
        ("ar", "٣", "ثلاثة"),
        ("en", "٣٤", "thirty-four"),
        ("xx", "5 x", "5 x"),
    ],
)
def test_numbers_are_spoken(language: str, text: str, expected: str) -> None:
    assert normalize(text, language, 1000) == expected


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_listed_language_speaks_every_kind_of_number(language: str) -> None:
    """num2words raises, returns nothing or does not return at all for some numbers of some languages; those listed here are safe."""
    assert LANGUAGES[language].converter in num2words.CONVERTER_CLASSES
    mark = LANGUAGES[language].mark
    for number in (
        "0",
        "7",
        "10",
        "11",
        "21",
        "99",
        "100",
        "101",
        "999",
        "1000",
        "2024",
        "123456",
        "-3",
        f"0{mark}05",
        "9" * MAX_DIGITS,
        "1" * (MAX_DIGITS + 1),
        "00",
    ):
        spoken = speak_numbers(number, language)
        assert spoken.strip() and not re.search(r"\d", spoken), (number, spoken)


def test_whole_numbers_are_num2words() -> None:
    for number in (0, 19, 345, 10_000, 999_999):
        assert normalize(str(number), "de", 1000) == num2words.num2words(number, lang="de")


@pytest.mark.parametrize(
    "text",
    [
        "<speak>hi</speak>",
        'say <break time="1s"/> this',
        "<b>bold",
        "<!-- x -->",
        "[[h@l'oU]]",
        "x [[",
        "[\u200b[x]\u200b]",
        "<\u200bb>",
        "< b>".replace(" ", "\0"),
    ],
)
def test_markup_is_refused(text: str) -> None:
    assert reason(text) is ReasonCode.TEXT_MARKUP


@pytest.mark.parametrize("text", ["", " \n", "😀", "\u200b", "...", "?!", "[]", "\ud83d"])
def test_nothing_to_say(text: str) -> None:
    assert reason(text) is ReasonCode.TEXT_EMPTY


def test_too_long() -> None:
    assert reason("a" * 1001) is ReasonCode.TEXT_TOO_LONG
    assert reason("9 " * 400) is ReasonCode.TEXT_TOO_LONG  # counted again after numbers became words
    assert normalize("9 " * 400, "en", 2000)
    with pytest.raises(InputError, match="at most 10 characters; this one has 11: 'hello world'"):
        normalize("hello world", "en", 10)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("unit", ["a", "<", "[", "<a", "1", "1,", "1.", "- ", "$1", "😀", "e\u0301", "\u0301", "9th ", "\u202e"])
def test_long_texts_of_any_kind_end(unit: str) -> None:
    """Quadratic work on 200,000 characters would take minutes."""
    try:
        normalize((unit * 200_000)[:200_000], "en", 10_000_000)
    except InputError as error:
        assert error.reason in (ReasonCode.TEXT_EMPTY, ReasonCode.TEXT_MARKUP)


SPOKEN_LANGUAGES = ["en-us", "de", "fr", "ru", "ja", "ka", "xx", ""]


@given(text=st.text(max_size=200), language=st.sampled_from(SPOKEN_LANGUAGES))
@example(text="1\u200b2", language="de")
@example(text="<" + "\u0338", language="en-us")
@example(text="1 234\u00a0567", language="fr")
@example(text="$1$1", language="en-us")
@settings(max_examples=400, deadline=None)
def test_result_is_plain_and_stable(text: str, language: str) -> None:
    try:
        result = normalize(text, language, 5000)
    except InputError as error:
        assert error.reason in (ReasonCode.TEXT_EMPTY, ReasonCode.TEXT_MARKUP, ReasonCode.TEXT_TOO_LONG)
        return
    assert result and result == result.strip() and "  " not in result
    assert unicodedata.is_normalized("NFC", result)
    assert not [letter for letter in result if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co", "Cn", "So", "Zl", "Zp")]
    assert "[[" not in result and "<" not in result
    assert normalize(result, language, 5000) == result
    result.encode()


@given(st.text(alphabet=st.sampled_from("0123456789.,-$ ٣ath½²"), max_size=30), st.sampled_from(sorted(LANGUAGES)))
@settings(max_examples=300, deadline=None)
def test_numbers_leave_no_digit(text: str, language: str) -> None:
    spoken = speak_numbers(text, language)
    assert not any(letter.isdecimal() for letter in spoken)
    assert speak_numbers(spoken, language) == spoken
