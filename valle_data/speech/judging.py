"""Does a recognised text deserve belief, and does it say what a transcript says? Plain functions over texts."""

import re
import unicodedata
import zlib
from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

from valle_data.text.normalize import speak_written

BRACKETED = re.compile(r"[<\[][^>\]]*[>\]]|\([^)]*\)")
WITHOUT_SPACES = frozenset("ja zh cmn yue wuu th lo my km".split())
"""Languages written without spaces between words: their texts are compared without any."""
MAX_PHRASE = 12


def for_scoring(text: str, language: str) -> str:
    """Text as error rates see it: numbers, money, dates and abbreviations in words, brackets left out, lower case, letters and digits only, single spaces.

    The steps are those of Whisper's basic normaliser (Radford et al., 2022, appendix C) after the words.
    """
    text = unicodedata.normalize("NFKC", speak_written(BRACKETED.sub(" ", text), language)).casefold()
    plain = "".join(letter if unicodedata.category(letter)[0] in "LNM" else "" if letter in "'’" else " " for letter in text)
    return ("" if spaceless(language) else " ").join(plain.split())


def spaceless(language: str) -> bool:
    return language.lower().replace("_", "-").split("-")[0] in WITHOUT_SPACES


def character_error_rate(reference: str, heard: str, language: str) -> float | None:
    """Edits per character of the reference, both `for_scoring`; more than 1 where much more was heard. None for a reference without letters."""
    wanted = for_scoring(reference, language)
    return Levenshtein.distance(wanted, for_scoring(heard, language)) / len(wanted) if wanted else None


def compression_ratio(text: str) -> float:
    """Bytes of UTF-8 per byte of them deflated; over 2.4 a text repeats itself (Radford et al., 2022, section 4.5). Short texts never reach it."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0


def longest_repetition(text: str, language: str) -> int:
    """How many times in a row the same phrase of up to 12 words is said, at most; 0 for no word. Letters count as words where none are between spaces."""
    plain = for_scoring(text, language)
    words = list(plain) if spaceless(language) else plain.split()
    return max((_repetition(words, size) for size in range(1, min(MAX_PHRASE, len(words)) + 1)), default=0)


def _repetition(words: Sequence[str], size: int) -> int:
    """Of phrases of `size` words: the longest run in which each word equals the one `size` before."""
    longest = run = 0
    for index in range(size, len(words)):
        run = run + 1 if words[index] == words[index - size] else 0
        longest = max(longest, run)
    return longest // size + 1
