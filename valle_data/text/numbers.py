"""Digits -> words in the languages of `LANGUAGES`; num2words knows the whole numbers, the signs are ours because half its converters fail on them."""

import re
import unicodedata
from functools import cache
from typing import NamedTuple

from valle_data.text.hanzi_numbers import spell_hanzi


class NumberWords(NamedTuple):
    """`converter` is num2words' name of the language, or "hanzi"; `minus` and `point` are spoken for the sign and the decimal mark; `mark` is that mark.

    `spaced` tells whether spaces stand between words, so that a number is kept apart from the letters it touches.
    """

    converter: str
    minus: str
    point: str
    mark: str = ","
    spaced: bool = True


LANGUAGES: dict[str, NumberWords] = {
    "ar": NumberWords("ar", "ناقص", "فاصلة"),
    "be": NumberWords("be", "мінус", "коска"),
    "ca": NumberWords("ca", "menys", "coma"),
    "cmn": NumberWords("hanzi", "负", "点", ".", spaced=False),
    "cs": NumberWords("cs", "mínus", "celá"),
    "cy": NumberWords("cy", "minws", "pwynt", "."),
    "da": NumberWords("da", "minus", "komma"),
    "de": NumberWords("de", "minus", "Komma"),
    "en": NumberWords("en", "minus", "point", "."),
    "eo": NumberWords("eo", "minus", "komo"),
    "es": NumberWords("es", "menos", "coma"),
    "fa": NumberWords("fa", "منفی", "ممیز"),
    "fi": NumberWords("fi", "miinus", "pilkku"),
    "fr": NumberWords("fr", "moins", "virgule"),
    "fr-be": NumberWords("fr_BE", "moins", "virgule"),
    "fr-ch": NumberWords("fr_CH", "moins", "virgule"),
    "he": NumberWords("he", "מינוס", "נקודה", "."),
    "hu": NumberWords("hu", "mínusz", "egész"),
    "id": NumberWords("id", "minus", "koma"),
    "is": NumberWords("is", "mínus", "komma"),
    "it": NumberWords("it", "meno", "virgola"),
    "ja": NumberWords("ja", "マイナス", "点", ".", spaced=False),
    "kk": NumberWords("kz", "минус", "бүтін"),
    "ko": NumberWords("ko", "마이너스", "점", "."),
    "lt": NumberWords("lt", "minus", "kablelis"),
    "lv": NumberWords("lv", "mīnus", "komats"),
    "nb": NumberWords("no", "minus", "komma"),
    "nl": NumberWords("nl", "min", "komma"),
    "nn": NumberWords("no", "minus", "komma"),
    "no": NumberWords("no", "minus", "komma"),
    "pl": NumberWords("pl", "minus", "przecinek"),
    "pt": NumberWords("pt", "menos", "vírgula"),
    "pt-br": NumberWords("pt_BR", "menos", "vírgula"),
    "ro": NumberWords("ro", "minus", "virgulă"),
    "ru": NumberWords("ru", "минус", "запятая"),
    "sk": NumberWords("sk", "mínus", "celých"),
    "sl": NumberWords("sl", "minus", "celih"),
    "sr": NumberWords("sr", "minus", "zapeta"),
    "sv": NumberWords("sv", "minus", "komma"),
    "th": NumberWords("th", "ลบ", "จุด", "."),
    "tr": NumberWords("tr", "eksi", "virgül"),
    "uk": NumberWords("uk", "мінус", "кома"),
    "vi": NumberWords("vi", "âm", "phẩy"),
    "zh": NumberWords("hanzi", "负", "点", ".", spaced=False),
}

MAX_DIGITS = 12
"""A longer number, or one that begins with 0, is a code and is read digit by digit."""

CURRENCY_BEFORE = re.compile(r"([$€£¥])\s?(\d+(?:[.,]\d+)*)")
DIGIT = re.compile(r"\d")
BETWEEN_DIGITS = re.compile(r"(?<=\d)[:：](?=\d)")
NOTATIONS = {
    mark: re.compile(rf"(?P<minus>(?<!\S)[-−](?=\d))?(?P<whole>\d{{1,3}}(?:{grouping}\d{{3}})+(?!\d)|\d+)(?:{re.escape(mark)}(?P<part>\d+))?")
    for mark, grouping in ((".", ","), (",", "[.\u00a0\u202f]"))
}


def speak_numbers(text: str, language: str) -> str:
    """Text with its numbers in words; unchanged in a language that is not in `LANGUAGES`."""
    words = find_number_words(language)
    if words is None or not DIGIT.search(text):
        return text
    text = BETWEEN_DIGITS.sub(" ", CURRENCY_BEFORE.sub(r"\2 \1", text))
    return NOTATIONS[words.mark].sub(lambda match: _spaced(match, _number(match, words), words), text)


def find_number_words(language: str) -> NumberWords | None:
    """The entry for a BCP 47 tag, by its full form or its language subtag."""
    tag = language.lower().replace("_", "-")
    return LANGUAGES.get(tag) or LANGUAGES.get(tag.split("-")[0])


def _number(match: re.Match[str], words: NumberWords) -> str:
    whole = _ascii_digits(match["whole"])
    part = _ascii_digits(match["part"] or "")
    is_code = len(whole) > MAX_DIGITS or (len(whole) > 1 and whole.startswith("0"))
    spoken = [words.minus] if match["minus"] else []
    spoken += [spell_number(int(digit), words.converter) for digit in whole] if is_code else [spell_number(int(whole), words.converter)]
    if part:
        spoken += [words.point, *(spell_number(int(digit), words.converter) for digit in part)]
    return " ".join(spoken)


def _ascii_digits(number: str) -> str:
    return "".join(str(unicodedata.decimal(letter)) for letter in number if letter.isdecimal())


def _spaced(match: re.Match[str], spoken: str, words: NumberWords) -> str:
    """Words kept apart from letters that touch the number."""
    if not words.spaced:
        return spoken
    before = match.string[match.start() - 1 : match.start()] if match.start() else ""
    after = match.string[match.end() : match.end() + 1]
    return (" " if before.isalnum() else "") + spoken + (" " if after.isalnum() else "")


def spell_number(value: int, converter: str, kind: str = "cardinal") -> str:
    """A whole number of at most `MAX_DIGITS` digits in words; only small ones are remembered, so that memory stays bounded."""
    return _remembered(value, converter, kind) if value < 10_000 else _spell(value, converter, kind)


def _spell(value: int, converter: str, kind: str) -> str:
    if converter == "hanzi":
        return spell_hanzi(value)
    from num2words import num2words

    return str(num2words(value, lang=converter, to=kind)).replace(",", "").strip()


_remembered = cache(_spell)
