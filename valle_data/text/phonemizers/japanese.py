"""Japanese: reading, accent and phones by Open JTalk (pyopenjtalk-plus), as IPA with the pitch of Tokyo.

Words are accent phrases. "↑" stands where the pitch rises inside one, "↓" where it falls (the accent). Morae are kept: a long vowel is the vowel twice,
っ doubles the consonant behind it and is a glottal stop elsewhere. Okada, "Japanese", Handbook of the IPA (1999).
"""

import os
import threading
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec

import pyopenjtalk

from valle_data.config import EntryConfig
from valle_data.errors import EnvironmentProblem, InputError, ReasonCode
from valle_data.text.ipa import IPA
from valle_data.text.languages import require_language
from valle_data.text.phonemizers.base import WORD_BOUNDARY, shortened
from valle_data.text.phrases import PhrasePhonemizer, Reader

TABLE_VERSION = 1
DEVOICED = "\u0325"
GEMINATE, NASAL = "cl", "N"
VOWELS = {"a": "a", "i": "i", "u": "ɯ", "e": "e", "o": "o"}
CONSONANTS = {
    "k": "k", "ky": "kʲ", "kw": "kw", "g": "ɡ", "gy": "ɡʲ", "gw": "ɡw", "s": "s", "sh": "ɕ", "z": "z", "j": "dʑ", "t": "t", "ty": "tʲ", "ts": "ts",
    "ch": "tɕ", "d": "d", "dy": "dʲ", "n": "n", "ny": "ɲ", "h": "h", "hy": "ç", "f": "ɸ", "fy": "ɸʲ", "b": "b", "by": "bʲ", "p": "p", "py": "pʲ", "m": "m",
    "my": "mʲ", "y": "j", "r": "ɾ", "ry": "ɾʲ", "w": "w", "v": "v", "vy": "vʲ",
}  # fmt: skip
PHONES = {**CONSONANTS, **VOWELS, **{vowel.upper(): ipa + DEVOICED for vowel, ipa in VOWELS.items()}, NASAL: "ɴ", "[": "↑", "]": "↓"}
PHRASE_ENDS = frozenset([*"#_?!$^", "sp", "pau"])
BRACES = frozenset("{}")
UNKNOWN = "unk"


class JapanesePhonemizer(PhrasePhonemizer):
    """One Open JTalk a process, used by one thread at a time because it is not thread-safe."""

    class Config(EntryConfig):
        """Nothing to choose."""

        name: str = "japanese"

    symbols: tuple[str, ...] = IPA

    def __init__(self, config: Config) -> None:
        self.config = config
        # Without onnxruntime the package reads 何 by another rule and says nothing.
        if find_spec("onnxruntime") is None:
            raise EnvironmentProblem("The phonemizer 'japanese' needs the package 'onnxruntime', which is not installed. Install it: pip install 'valle[ja]'")

    def __reduce__(self) -> tuple[type["JapanesePhonemizer"], tuple[Config]]:
        return type(self), (self.config,)

    @property
    def version(self) -> str:
        return f"japanese table {TABLE_VERSION}, pyopenjtalk-plus {version('pyopenjtalk-plus')}, sudachidict {version('sudachidict_core')}"

    def reader(self, language: str) -> Reader:
        require_language(language, ("ja",), "japanese")
        return _read


# Keyed by process: after a fork another thread of the parent may have held it.
@cache
def _lock(process: int) -> threading.Lock:
    return threading.Lock()


def _read(phrase: str) -> str:
    """Phones of a phrase; InputError where Open JTalk knows no reading of a part of it."""
    if not any(letter.isalnum() and letter not in "ーｰ" for letter in phrase):
        return ""
    with _lock(os.getpid()):
        symbols = pyopenjtalk.g2p_prosody(phrase)
    if UNKNOWN in symbols:
        raise InputError(ReasonCode.TEXT_UNSPEAKABLE, f"{shortened(phrase)!r} has a part that cannot be read as Japanese. Write it in kana.")
    return _ipa([symbol for symbol in symbols if symbol not in BRACES])


def _ipa(symbols: list[str]) -> str:
    """IPA of Open JTalk's symbols; what begins an accent phrase ends a word."""
    phones = ""
    for index, symbol in enumerate(symbols):
        if symbol in PHRASE_ENDS:
            phones += WORD_BOUNDARY
        elif symbol == GEMINATE:
            following = next((CONSONANTS[later] for later in symbols[index + 1 : index + 3] if later in CONSONANTS), "ʔ")
            phones += following[0]
        else:
            phones += PHONES[symbol]
    return WORD_BOUNDARY.join(phones.split())
