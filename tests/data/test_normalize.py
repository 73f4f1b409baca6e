"""Text in: what comes out is speakable, plain and stable, and what cannot be is refused with its reason."""

import re
import unicodedata

import num2words
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.speech_texts import WORDS
from valle_data.errors import InputError, ReasonCode
from valle_data.text.hanzi_numbers import spell_digits, spell_hanzi
from valle_data.text.normalize import normalize
from valle_data.text.numbers import LANGUAGES, MAX_DIGITS, speak_numbers
from valle_data.text.readings import READINGS
from valle_data.text.readings.base import Reading


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
        ("Ｆｕｌｌ　ｗｉｄｔｈ（ＡＢＣ）", "Full width(ABC)"),
        ("ﾊﾟﾋﾟ｡", "パピ。"),
        ("你好，世界！", "你好、世界！"),
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
        ("en", "the 21st, $5.50", "the twenty-first, five dollars and fifty cents"),
        ("zh", "-10010, 3.14, 12, 100000500", "负 一万零一十, 三 点 一 四, 十二, 一亿零五百"),
        ("ja", "123円", "百二十三円"),
        ("sv", "$5, 10:30", "fem $, tio trettio"),
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
    assert LANGUAGES[language].converter in {*num2words.CONVERTER_CLASSES, "hanzi"}
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
        "＜ｂ＞wide",
        "［［h@］］",
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


SPOKEN_LANGUAGES = ["en-us", "en-gb", "de", "fr", "es", "it", "ru", "ja", "zh", "ko", "ka", "xx", ""]


PIECES = st.sampled_from(
    (
        "1 2 21 05 2024 1999 12 30 : . , / - % $ € ¥ ° °C km km/h St. No. Dr. etc. z.B. u.a. 1er 2e 3º ª th st am pm Uhr h May Mai in "
        "年 月 日 人 个 명 시 & § # ( )"
    ).split()
    + [" "] * 12
)


@given(text=st.text(max_size=200) | st.lists(PIECES, max_size=30).map("".join), language=st.sampled_from(SPOKEN_LANGUAGES))
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


# --- what a language says for its written forms


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "Dr. Smith of St. John St. etc.", "Doctor Smith of Saint John Street et cetera."),
        ("en", "5/3/2024 and 2024-05-03", "May third, twenty twenty-four and May third, twenty twenty-four"),
        ("en-GB", "5/3/2024", "March fifth, twenty twenty-four"),
        ("en", "May 3, 2024, in 1999", "May third, twenty twenty-four, in nineteen ninety-nine"),
        ("en", "10:30 am, 9:00, 7:05 p.m.", "ten thirty A M, nine o'clock, seven oh five P M"),
        ("en", "10:30:15, 3:5", "ten thirty fifteen, three five"),
        ("en", "$1, $0.99, £3.01", "one dollar, ninety-nine cents, three pounds and one penny"),
        ("en", "€1,234.50", "one thousand two hundred and thirty-four euros and fifty cents"),
        ("en", "$1.5 billion", "one point five billion dollars"),
        ("en", "No. 5 & 50% of 1 km at 20°C", "number five and fifty percent of one kilometer at twenty degrees Celsius"),
        ("en", "13/45/2024", "thirteen/forty-five/two thousand and twenty-four"),
        ("de", "am 3. Mai 2024, das 3. Kapitel", "am dritten Mai zweitausendvierundzwanzig, das dritte Kapitel"),
        ("de", "Am 3.5.2024 um 10:30 Uhr, 1:00", "Am dritten Mai zweitausendvierundzwanzig um zehn Uhr dreißig, ein Uhr"),
        ("de", "Er zahlte 5,50 € usw.", "Er zahlte fünf Euro fünfzig Cent und so weiter."),
        ("de", "Nr. 3, z. B. 1 km", "Nummer drei, zum Beispiel ein Kilometer"),
        ("fr", "M. Dupont, le 1er mai à 21h05", "Monsieur Dupont, le premier mai à vingt et une heures cinq"),
        ("fr", "la 1re fois, le 2e étage, 1/5/2024", "la première fois, le deuxième étage, premier mai deux mille vingt-quatre"),
        ("fr", "5,50 €, 21 £, 50 %", "cinq euros cinquante centimes, vingt et une livres, cinquante pour cent"),
        ("es", "El Sr. Díaz, 21 €, 2.ª, 1:00", "El señor Díaz, veintiún euros, segunda, una en punto"),
        ("es", "1/5/2024, 5,50 €", "primero de mayo de dos mil veinticuatro, cinco euros con cincuenta céntimos"),
        ("it", "il Sig. Rossi, 1º maggio, 10:30, 1 €", "il signor Rossi, primo maggio, dieci e trenta, un euro"),
        ("ja", "２０２４年５月３日、１０：３０に３人が￥1,234。50％", "二千二十四年五月三日、十時三十分に三人が千二百三十四円。五十パーセント"),
        ("zh", "２０２４年５月３日，10:05，2个人花了¥2，50%。", "二零二四年五月三日、十点零五分、两个人花了两元、百分之五十。"),
        ("ko", "2024-10-03 6월 2:30 3명 20살 16 ₩1,000", "이천이십사년 시월 삼일 유월 두 시 삼십 분 세 명 스무 살 십육 천 원"),
    ],
)  # fmt: skip
def test_plain_forms_are_spoken(language: str, text: str, expected: str) -> None:
    assert normalize(text, language, 1000) == expected
    assert normalize(expected, language, 1000) == expected


@pytest.mark.parametrize("language", READINGS)
def test_every_reading_says_every_day_minute_and_amount(language: str) -> None:
    reading: Reading = READINGS[language]()
    days = {reading.date(2024, month, day) for month in range(1, 13) for day in range(1, 32)}
    minutes = {reading.time(hour, minute) for hour in range(24) for minute in range(60)}
    assert len(days) == 372 and len(minutes) == 1440
    for words in (*days, *minutes):
        assert not re.search(r"\d", words) and words == words.strip()
    for currency in reading.currencies.values():
        assert len({reading.money(units, 0, currency) for units in range(101)}) == 101
    for unit in reading.units.values():
        assert unit.one and unit.many
    for words in reading.abbreviations.values():
        assert not re.search(r"[\d.]", words) and reading.read(words) == words, "an expansion is not expanded again"


OTHERS = ["Dr.", "5", "😀", "10:30", "$5", "in", "May", "St.", "it's"]


@given(st.lists(st.sampled_from([*WORDS, *OTHERS]), min_size=1, max_size=20), st.sampled_from(["en", "de", "fr", "es", "it"]))
@settings(max_examples=200, deadline=None)
def test_no_word_is_lost(words: list[str], language: str) -> None:
    """What is plain words stays, in its order, whatever stands between."""
    plain = [word for word in words if word in WORDS]
    try:
        said = iter(normalize(" ".join(words), language, 5000).split())
    except InputError:
        assert not plain
        return
    assert all(word in said for word in plain)


def test_hanzi_numbers_by_their_rules() -> None:
    """GB/T 15835 and every primer: 零 once for a gap, 十 in front, groups of four."""
    known = {
        0: "零", 10: "十", 11: "十一", 20: "二十", 101: "一百零一", 110: "一百一十", 1001: "一千零一", 1010: "一千零一十", 10000: "一万",
        10001: "一万零一", 20300: "二万零三百", 100000: "十万", 1000000: "一百万", 10010000: "一千零一万", 100000000: "一亿",
        100010000: "一亿零一万", 120034000560: "一千二百亿三千四百万零五百六十",
    }  # fmt: skip
    assert {value: spell_hanzi(value) for value in known} == known
    assert len({spell_hanzi(value) for value in range(20_000)}) == 20_000
    assert spell_digits("2024") == "二零二四"
