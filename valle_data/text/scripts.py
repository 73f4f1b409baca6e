"""Which writing systems a language uses, so that text in another language's script is refused rather than read as "Chinese letter"."""

import unicodedata
from functools import lru_cache

EVERYWHERE = frozenset({"LATIN", "GREEK"})
"""Latin names and Greek symbols occur in every language, and every voice has a reading for them."""

SCRIPTS: dict[str, frozenset[str]] = {
    language: frozenset(scripts)
    for languages, scripts in (
        ("af an ca cs cy da de en eo es et eu fi fr ga gd ht hu ia id io is it la lb lt lv ms mt nb nl nn no om pap pl pt ro sk sl sq sv sw tn tr vi", ()),
        ("ba be bg cv kk ky mk nog ru tt uk", ("CYRILLIC",)),
        ("az bs hr sr tk uz", ("CYRILLIC",)),
        ("ar fa sd ug ur", ("ARABIC",)),
        ("he", ("HEBREW",)),
        ("hi kok mr ne", ("DEVANAGARI",)),
        ("as bn bpy", ("BENGALI",)),
        ("ja", ("HIRAGANA", "KATAKANA", "CJK", "KATAKANA-HIRAGANA", "IDEOGRAPHIC")),
        ("cmn hak yue zh", ("CJK", "IDEOGRAPHIC")),
        ("ko", ("HANGUL",)),
        ("th", ("THAI",)),
        ("ka", ("GEORGIAN",)),
        ("hy hyw", ("ARMENIAN",)),
        ("el grc", ()),
        ("gu", ("GUJARATI",)),
        ("kn", ("KANNADA",)),
        ("ml", ("MALAYALAM",)),
        ("pa", ("GURMUKHI",)),
        ("ta", ("TAMIL",)),
        ("te", ("TELUGU",)),
    )
    for language in languages.split()
}


@lru_cache(maxsize=4096)
def script_of(letter: str) -> str:
    """The first word of the letter's Unicode name: LATIN, CYRILLIC, CJK, HANGUL ..."""
    return unicodedata.name(letter, "UNKNOWN").split()[0]


def can_be_written_in(text: str, language: str) -> bool:
    """Whether a text can be in `language` by its letters alone: no foreign script, and in Japanese no character that JIS X 0213 lacks (simplified hanzi)."""
    if foreign_letters(text, language):
        return False
    return language != "ja" or text.encode("euc_jis_2004", "ignore").decode("euc_jis_2004") == text


def foreign_letters(text: str, language: str) -> list[str]:
    """Distinct letters of scripts that `language` (BCP 47) is not written in, in order of appearance; none for a language not listed in `SCRIPTS`."""
    own = SCRIPTS.get(language.lower().split("-")[0])
    if own is None or text.isascii():
        return []
    allowed = own | EVERYWHERE
    return [letter for letter in dict.fromkeys(text) if letter.isalpha() and script_of(letter) not in allowed]
