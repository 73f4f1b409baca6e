"""Phones by espeak-ng, through phonemizer's wrapper and the library that espeakng-loader carries: no system package is needed."""

import os
import re
import threading
import unicodedata
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import ClassVar

from valle_data.config import EntryConfig
from valle_data.errors import EnvironmentProblem, InputError, ReasonCode
from valle_data.text.ipa import IPA
from valle_data.text.languages import find_voice
from valle_data.text.phonemizers.base import PUNCTUATION, WORD_BOUNDARY, Phonemizer, outside_inventory, shortened
from valle_data.text.scripts import foreign_letters, script_of

PHONE_TABLE_VERSION = 1

# A mark inside a number (3.14, 10:30) or a name (U.S.A, example.com) is left for espeak to read; elsewhere it ends a chunk.
MARKS = re.compile(r"(?<!\d)[,;!?…—–。、！？；：،؛؟।]+|[,;!?…—–。、！？；：،؛؟।]+(?!\d)|[.:]+(?=[\s\"'”’»)\]}]|$)")
MARK_PHONES = {
    "…": ".", "—": ",", "–": ",", "。": ".", "、": ",", "！": "!", "？": "?", "；": ";", "：": ":", "،": ",", "؛": ";", "؟": "?", "।": ".",
}  # fmt: skip
QUOTES = str.maketrans(dict.fromkeys('"“”„«»‹›()[]{}¿¡', " "))

SWITCH_FLAG = re.compile(r"\([^()]*\)")  # espeak writes "(en)" where it changes the language inside a text
SEPARATOR = "_"
# Slips of espeak's own phone tables (1.52): ASCII look-alikes, a stød written "?", a length written ":", stray marks.
LOOK_ALIKES = {"^": "ʲ", "?": "ʔ", ":": "ː", "g": "ɡ", "ε": "ɛ", "ʦ": "ts", "A": "a", "N": "ŋ", "S": "ʃ", "X": "χ", "Z": "ʒ", "Φ": "ɸ"}
REPAIRS = str.maketrans({**LOOK_ALIKES, **dict.fromkeys([SEPARATOR, *'-#"`[+'])})
MAX_WORD_CHARACTERS = 60
"""espeak silently cuts what follows about 160 characters or 200 phones of a word, and crashes on dotted words of some 400 characters."""


class EspeakPhonemizer(Phonemizer):
    """IPA with stress; one held espeak per language and process, used by one thread at a time because the library is not thread-safe."""

    class Config(EntryConfig):
        """Nothing to choose: the language comes with each text."""

        name: str = "espeak"

    symbols: tuple[str, ...] = IPA
    known: ClassVar[frozenset[str]] = frozenset(IPA)

    def __init__(self, config: Config) -> None:
        self.config = config

    def __reduce__(self) -> tuple[type["EspeakPhonemizer"], tuple[Config]]:
        return type(self), (self.config,)

    @property
    def version(self) -> str:
        return f"espeak-ng {_library(os.getpid()).version}, phone table {PHONE_TABLE_VERSION}"

    def check_language(self, language: str) -> None:
        find_voice(language, _library(os.getpid()).voices)

    def phonemize(self, texts: Sequence[str], language: str) -> list[tuple[str, ...] | InputError]:
        try:
            voice = _voice(find_voice(language, _library(os.getpid()).voices), os.getpid())
        except InputError as error:
            return [error for _ in texts]
        return [self._phones(text, language, voice) for text in texts]

    def _phones(self, text: str, language: str, voice: "Voice") -> tuple[str, ...] | InputError:
        refusal = _refusal(text, language)
        if refusal is not None:
            return refusal
        phones: list[str] = []
        start = 0
        for mark in MARKS.finditer(text):
            _append_words(phones, voice.speak(text[start : mark.start()]))
            _append_marks(phones, mark.group())
            start = mark.end()
        _append_words(phones, voice.speak(text[start:]))
        if not any(phone not in PUNCTUATION for phone in phones):
            return InputError(ReasonCode.TEXT_UNSPEAKABLE, f"espeak finds nothing to say in {shortened(text)!r} ({language}).")
        unknown = outside_inventory(phones, self.known, text, "Report the language and the text; the utterance cannot be used.")
        return unknown if unknown is not None else tuple(phones)


def _refusal(text: str, language: str) -> InputError | None:
    """espeak reads `[[ ]]` as phoneme codes and stops at NUL, and spells foreign scripts out as "Chinese letter": none of that may reach it."""
    if "[[" in text or "]]" in text or "\0" in text:
        return InputError(ReasonCode.TEXT_MARKUP, f"Text {shortened(text)!r} carries espeak markup or NUL; phonemize what `normalize` returns.")
    foreign = foreign_letters(text, language)
    if foreign:
        return InputError(
            ReasonCode.TEXT_UNSPEAKABLE, f"Text {shortened(text)!r} has letters foreign to {language!r}: {' '.join(foreign[:5])}. Is its language right?"
        )
    longest = max(text.split(), key=len, default="")
    if len(longest) > MAX_WORD_CHARACTERS:
        return InputError(
            ReasonCode.TEXT_UNSPEAKABLE, f"A word has at most {MAX_WORD_CHARACTERS} characters; {shortened(longest)!r} has {len(longest)}. Set spaces."
        )
    if language.lower().split("-")[0] == "ja" and any(script_of(letter) == "CJK" for letter in text):
        return InputError(ReasonCode.TEXT_UNSPEAKABLE, f"espeak cannot read kanji; write {shortened(text)!r} in kana.")
    return None


def _append_words(phones: list[str], spoken: str) -> None:
    """Add one chunk's phones, with a word boundary before it unless it begins the text."""
    words = spoken.split()
    if not words:
        return
    if phones:
        phones.append(WORD_BOUNDARY)
    phones.extend(WORD_BOUNDARY.join(words))


def _append_marks(phones: list[str], marks: str) -> None:
    """Add punctuation phones; a run of the same mark counts once, and marks before the first word say nothing."""
    for mark in marks:
        phone = MARK_PHONES.get(mark, mark)
        if phones and phones[-1] != phone:
            phones.append(phone)


class Voice:
    """One espeak instance that speaks one language. The library copy inside keeps global state, hence one lock each."""

    def __init__(self, tag: str) -> None:
        from phonemizer.backend.espeak.wrapper import EspeakWrapper

        self._espeak = EspeakWrapper()
        self._espeak.set_voice(tag)
        self._lock = threading.Lock()

    def speak(self, chunk: str) -> str:
        """Phones of a stretch without punctuation marks, words separated by a space."""
        plain = chunk.translate(QUOTES).strip()
        if not plain:
            return ""
        with self._lock:
            raw = self._espeak.text_to_phonemes(plain)
        # Decomposed, a nasal vowel is a vowel and a tilde; only the cedilla of ç belongs to its letter in the IPA.
        return unicodedata.normalize("NFD", SWITCH_FLAG.sub("", raw).translate(REPAIRS)).replace("c\u0327", "ç")


class Library:
    """The espeak library of this process, before any voice is chosen."""

    def __init__(self) -> None:
        try:
            import espeakng_loader
            from phonemizer.backend.espeak.wrapper import EspeakWrapper

            EspeakWrapper.set_library(espeakng_loader.get_library_path())
            EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
            self._espeak = EspeakWrapper()
        except (ImportError, OSError, RuntimeError) as error:
            raise EnvironmentProblem(f"espeak-ng does not load: {error}. Reinstall it: pip install --force-reinstall espeakng-loader phonemizer") from error
        self._data = Path(espeakng_loader.get_data_path())

    @cached_property
    def version(self) -> str:
        return ".".join(str(number) for number in self._espeak.version)

    @cached_property
    def voices(self) -> dict[str, str]:
        """Tags of the voices whose dictionary is installed -> names; a voice without one would read letters."""
        return {voice.language: voice.name for voice in self._espeak.available_voices() if self._has_dictionary(voice.language, voice.identifier)}

    def _has_dictionary(self, tag: str, identifier: str) -> bool:
        description = self._data / "lang" / identifier
        if not description.is_file():
            return False
        named = re.search(r"^dictionary\s+(\S+)", description.read_text(encoding="utf-8"), re.MULTILINE)
        name = named.group(1) if named else tag.split("-")[0]
        return (self._data / f"{name}_dict").is_file()


# Keyed by process: after a fork the child must not share the parent's espeak, whose lock may be held.
@cache
def _library(process: int) -> Library:
    return Library()


@cache
def _voice(tag: str, process: int) -> Voice:
    return Voice(tag)
