"""Phones by espeak-ng, of the library that espeakng-loader carries: no system package is needed."""

import re
import unicodedata
from functools import partial

from valle_data.config import EntryConfig
from valle_data.errors import InputError, ReasonCode
from valle_data.text.espeak_library import SEPARATOR, espeak_library
from valle_data.text.ipa import IPA
from valle_data.text.languages import find_voice
from valle_data.text.phonemizers.base import shortened
from valle_data.text.phrases import PhrasePhonemizer, Reader
from valle_data.text.scripts import script_of

PHONE_TABLE_VERSION = 1

SWITCH_FLAG = re.compile(r"\([^()]*\)")  # espeak writes "(en)" where it changes the language inside a text
# Slips of espeak's own phone tables (1.52): ASCII look-alikes, a stød written "?", a length written ":", stray marks.
LOOK_ALIKES = {"^": "ʲ", "?": "ʔ", ":": "ː", "g": "ɡ", "ε": "ɛ", "ʦ": "ts", "A": "a", "N": "ŋ", "S": "ʃ", "X": "χ", "Z": "ʒ", "Φ": "ɸ"}
STRAY = '-#"`[+'
REPAIRS = str.maketrans({**LOOK_ALIKES, **dict.fromkeys(STRAY)})
TO_REPAIR = re.compile(f"[{re.escape(''.join(LOOK_ALIKES) + STRAY)}]")  # looking first costs a tenth of translating
MAX_WORD_CHARACTERS = 60
"""espeak silently cuts what follows about 160 characters or 200 phones of a word, and crashes on dotted words of some 400 characters."""


class EspeakPhonemizer(PhrasePhonemizer):
    """IPA with stress; one espeak a process, used by one thread at a time because the library is not thread-safe."""

    class Config(EntryConfig):
        """Nothing to choose: the language comes with each text."""

        name: str = "espeak"

    symbols: tuple[str, ...] = IPA

    def __init__(self, config: Config) -> None:
        self.config = config

    def __reduce__(self) -> tuple[type["EspeakPhonemizer"], tuple[Config]]:
        return type(self), (self.config,)

    @property
    def version(self) -> str:
        return f"espeak-ng {espeak_library().version}, phone table {PHONE_TABLE_VERSION}"

    def reader(self, language: str) -> Reader:
        return partial(read_aloud, tag=find_voice(language, espeak_library().voices))

    def refusal(self, text: str, language: str) -> InputError | None:
        """espeak reads `[[ ]]` as phoneme codes, stops at NUL and spells kanji and foreign scripts out as "Chinese letter": none of that may reach it."""
        refusal = super().refusal(text, language)
        if refusal is not None:
            return refusal
        longest = max(text.split(), key=len, default="")
        if len(longest) > MAX_WORD_CHARACTERS:
            return InputError(
                ReasonCode.TEXT_UNSPEAKABLE, f"A word has at most {MAX_WORD_CHARACTERS} characters; {shortened(longest)!r} has {len(longest)}. Set spaces."
            )
        if language.lower().split("-")[0] == "ja" and any(letter.isalnum() and script_of(letter) in ("CJK", "IDEOGRAPHIC") for letter in text):
            return InputError(
                ReasonCode.TEXT_UNSPEAKABLE,
                f"espeak cannot read the kanji of {shortened(text)!r}. Choose `phonemizer: japanese` (or `multilingual`), or write kana.",
            )
        return None


def read_aloud(phrase: str, tag: str) -> str:
    """Phones of a phrase without punctuation marks by the voice `tag`, words separated by a space."""
    raw = SWITCH_FLAG.sub("", espeak_library().speak(phrase, tag).replace(SEPARATOR, ""))
    if TO_REPAIR.search(raw):
        raw = raw.translate(REPAIRS)
    # Decomposed, a nasal vowel is a vowel and a tilde; only the cedilla of ç belongs to its letter in the IPA.
    return unicodedata.normalize("NFD", raw).replace("c\u0327", "ç")
