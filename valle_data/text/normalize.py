"""Text as people write it -> text that may reach a phonemizer: NFC, one line, no markup, no control characters, numbers in words.

What a language says for dates, times, money and abbreviations stands in its entry of `valle_data/text/readings/`; numbers alone in `numbers.py`.
"""

import re
import unicodedata
from functools import lru_cache

from valle_data.errors import InputError, ReasonCode
from valle_data.text.numbers import speak_numbers
from valle_data.text.readings import READINGS
from valle_data.text.readings.base import Reading

TAG = re.compile(r"<[/?!]?[A-Za-z][^<>]*>|<!--")
PHONEME_CODES = re.compile(r"\[\[|\]\]")  # espeak reads what stands between as phoneme codes
ZERO_WIDTH_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
UNSPOKEN_CATEGORIES = frozenset({"So", "Sk", "Me"})
GROUPING_SPACES = frozenset("\u00a0\u202f")  # kept until numbers are read: 1 234,5
VARIATION_SELECTORS = range(0xFE00, 0xFE10)
UNSPOKEN = frozenset("<>[]{}|\\_^`~*")
MAX_PASSES = 4
DEGREES = frozenset("°℃℉")  # kept until a reading has seen them
FULL_WIDTH = {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F) if chr(code) not in "！？：；"}
HALF_WIDTH = {chr(code): unicodedata.normalize("NFKC", chr(code)) for code in (*range(0xFF61, 0xFFA0), *range(0xFFE0, 0xFFE7))}
QUOTES = {"’": "'", "‘": "'", "ʼ": "'", "‛": "'", "“": '"', "”": '"', "„": '"', "‟": '"'}
DASHES = {"‐": "-", "‑": "-", "‒": "-", "―": "—"}
FOLDED = {**QUOTES, **DASHES, "…": "...", "⁄": "/", **FULL_WIDTH, **HALF_WIDTH, "，": "、"}


def normalize(text: str, language: str, max_characters: int) -> str:
    """Speakable text of at most `max_characters`; the same again when normalised twice.

    Raises InputError `text_too_long`, `text_markup` (SSML or HTML tags, espeak `[[ ]]`) or `text_empty` (nothing left to say). Characters without a
    sound (control, bidirectional, zero-width, emoji, private use) are removed.
    """
    text = text.strip()
    _check_length(text, max_characters)
    text = "".join(map(_speakable, unicodedata.normalize("NFC", text)))
    _refuse_markup(text)
    text = "".join(" " if letter in UNSPOKEN else letter for letter in text)
    text = unicodedata.normalize("NFC", text)
    text = speak_written(text, language)
    text = "".join(" " if letter in DEGREES else letter for letter in text)
    text = " ".join(unicodedata.normalize("NFC", text).split())
    _check_length(text, max_characters)
    if not any(letter.isalnum() for letter in text):
        raise InputError(
            ReasonCode.TEXT_EMPTY, "A transcript says at least one word; of this one nothing speakable is left. Write what is said in the recording."
        )
    return text


def speak_written(text: str, language: str) -> str:
    """Written forms in words. What follows a number may only then stand alone (`0St.`), so this goes on until nothing changes."""
    reading = _reading(language.lower().replace("_", "-"))
    for _ in range(MAX_PASSES):
        spoken = speak_numbers(reading.read(text) if reading else text, language)
        if spoken == text:
            break
        text = spoken
    return text


def _check_length(text: str, max_characters: int) -> None:
    if len(text) > max_characters:
        raise InputError(
            ReasonCode.TEXT_TOO_LONG,
            f"A transcript has at most {max_characters} characters; this one has {len(text)}: {text[:40]!r}... Cut it into utterances.",
        )


def _refuse_markup(text: str) -> None:
    found = TAG.search(text) or PHONEME_CODES.search(text)
    if found:
        raise InputError(ReasonCode.TEXT_MARKUP, f"A transcript is plain text; this one carries {found.group()[:40]!r}. Remove the markup.")


@lru_cache(maxsize=16384)
def _speakable(letter: str) -> str:
    """The character, its plain form, a space for one that separates, or nothing for one without width."""
    if letter in GROUPING_SPACES:
        return letter
    if letter.isspace():
        return " "
    if letter in FOLDED:
        return FOLDED[letter]
    category = unicodedata.category(letter)
    if category in ZERO_WIDTH_CATEGORIES or ord(letter) in VARIATION_SELECTORS:
        return ""
    return " " if category in UNSPOKEN_CATEGORIES and letter not in UNSPOKEN and letter not in DEGREES else letter


@lru_cache(maxsize=256)
def _reading(tag: str) -> Reading | None:
    """The reading of a BCP 47 tag's language, with its region; None where the table has none."""
    language, *subtags = tag.split("-")
    region = next((subtag for subtag in subtags if len(subtag) == 2), "")
    return READINGS[language](region) if language in READINGS else None
