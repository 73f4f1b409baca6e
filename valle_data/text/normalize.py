"""Text as people write it -> text that may reach a phonemizer: NFC, one line, no markup, no control characters, numbers in words."""

import re
import unicodedata
from functools import lru_cache

from valle_data.errors import InputError, ReasonCode
from valle_data.text.numbers import speak_numbers

TAG = re.compile(r"<[/?!]?[A-Za-z][^<>]*>|<!--")
PHONEME_CODES = re.compile(r"\[\[|\]\]")  # espeak reads what stands between as phoneme codes
ZERO_WIDTH_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
UNSPOKEN_CATEGORIES = frozenset({"So", "Sk", "Me"})
GROUPING_SPACES = frozenset("\u00a0\u202f")  # kept until numbers are read: 1 234,5
VARIATION_SELECTORS = range(0xFE00, 0xFE10)
UNSPOKEN = frozenset("<>[]{}|\\_^`~*")
FOLDED = {"’": "'", "‘": "'", "ʼ": "'", "‛": "'", "“": '"', "”": '"', "„": '"', "‟": '"', "…": "...", "‐": "-", "‑": "-", "‒": "-", "―": "—", "⁄": "/"}


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
    text = speak_numbers(unicodedata.normalize("NFC", text), language)
    text = " ".join(unicodedata.normalize("NFC", text).split())
    _check_length(text, max_characters)
    if not any(letter.isalnum() for letter in text):
        raise InputError(
            ReasonCode.TEXT_EMPTY, "A transcript says at least one word; of this one nothing speakable is left. Write what is said in the recording."
        )
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
    return " " if category in UNSPOKEN_CATEGORIES and letter not in UNSPOKEN else letter
