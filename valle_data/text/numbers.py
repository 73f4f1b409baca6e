"""Digits -> words in the languages of `LANGUAGES`; num2words knows the whole numbers, the signs are ours because half its converters fail on them."""

import re
import unicodedata
from functools import cache
from typing import NamedTuple


class NumberWords(NamedTuple):
    """`converter` is num2words' name of the language; `minus` and `point` are spoken for the sign and the decimal mark; `mark` is that mark."""

    converter: str
    minus: str
    point: str
    mark: str = ","


LANGUAGES: dict[str, NumberWords] = {
    "ar": NumberWords("ar", "ناقص", "فاصلة"),
    "be": NumberWords("be", "мінус", "коска"),
    "ca": NumberWords("ca", "menys", "coma"),
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
    "ja": NumberWords("ja", "マイナス", "点", "."),
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
}

MAX_DIGITS = 12
"""A longer number, or one that begins with 0, is a code and is read digit by digit."""

ORDINAL = re.compile(r"(?<![\w.,])(\d{1,9})(?:st|nd|rd|th)\b", re.IGNORECASE)
CURRENCY_BEFORE = re.compile(r"([$€£¥])\s?(\d+(?:[.,]\d+)*)")
NOTATIONS = {
    mark: re.compile(rf"(?P<minus>(?<!\S)[-−](?=\d))?(?P<whole>\d{{1,3}}(?:{grouping}\d{{3}})+(?!\d)|\d+)(?:{re.escape(mark)}(?P<part>\d+))?")
    for mark, grouping in ((".", ","), (",", "[.\u00a0\u202f]"))
}


def speak_numbers(text: str, language: str) -> str:
    """Text with its numbers in words; unchanged in a language that is not in `LANGUAGES`."""
    words = find_number_words(language)
    if words is None or not any(letter.isdecimal() for letter in text):
        return text
    text = CURRENCY_BEFORE.sub(r"\2 \1", text)
    if words.converter == "en":
        text = ORDINAL.sub(lambda match: _spaced(match, _whole(int(match.group(1)), words.converter, "ordinal")), text)
    return NOTATIONS[words.mark].sub(lambda match: _spaced(match, _number(match, words)), text)


def find_number_words(language: str) -> NumberWords | None:
    """The entry for a BCP 47 tag, by its full form or its language subtag."""
    tag = language.lower().replace("_", "-")
    return LANGUAGES.get(tag) or LANGUAGES.get(tag.split("-")[0])


def _number(match: re.Match[str], words: NumberWords) -> str:
    whole = _ascii_digits(match["whole"])
    part = _ascii_digits(match["part"] or "")
    is_code = len(whole) > MAX_DIGITS or (len(whole) > 1 and whole.startswith("0"))
    spoken = [words.minus] if match["minus"] else []
    spoken += [_whole(int(digit), words.converter) for digit in whole] if is_code else [_whole(int(whole), words.converter)]
    if part:
        spoken += [words.point, *(_whole(int(digit), words.converter) for digit in part)]
    return " ".join(spoken)


def _ascii_digits(number: str) -> str:
    return "".join(str(unicodedata.decimal(letter)) for letter in number if letter.isdecimal())


def _spaced(match: re.Match[str], words: str) -> str:
    """Words kept apart from letters that touch the number."""
    before = match.string[match.start() - 1 : match.start()] if match.start() else ""
    after = match.string[match.end() : match.end() + 1]
    return (" " if before.isalnum() else "") + words + (" " if after.isalnum() else "")


@cache
def _digit(value: int, converter: str, kind: str) -> str:
    from num2words import num2words

    return str(num2words(value, lang=converter, to=kind)).replace(",", "")


def _whole(value: int, converter: str, kind: str = "cardinal") -> str:
    """A whole number of at most `MAX_DIGITS` digits in words; only small ones are kept, so that memory stays bounded."""
    return _digit(value, converter, kind) if value < 10_000 else _digit.__wrapped__(value, converter, kind)
