"""Text in stretches between punctuation marks: what every phonemizer that reads words has in common."""

import re
from abc import abstractmethod
from collections.abc import Callable, Sequence

from valle_data.errors import InputError, ReasonCode
from valle_data.text.phonemizers.base import PUNCTUATION, WORD_BOUNDARY, Phonemizer, outside_inventory, shortened
from valle_data.text.scripts import foreign_letters

# A mark inside a number (3.14, 10:30) or a name (U.S.A, example.com) is left for the reader; elsewhere it ends a phrase.
MARKS = re.compile(r"(?<!\d)[,;!?…—–。、！？；：،؛؟।]+|[,;!?…—–。、！？；：،؛؟।]+(?!\d)|[.:]+(?=[\s\"'”’»)\]}]|$)")
MARK_PHONES = {
    "…": ".", "—": ",", "–": ",", "。": ".", "、": ",", "！": "!", "？": "?", "；": ";", "：": ":", "،": ",", "؛": ";", "؟": "?", "।": ".",
}  # fmt: skip
QUOTES = re.compile(r'["“”„«»‹›()\[\]{}¿¡「」『』【】《》〈〉〔〕]')

Reader = Callable[[str], str]
"""A phrase without marks -> its phones, words separated by one space; empty where there is nothing to say; may raise InputError."""


class PhrasePhonemizer(Phonemizer):
    """A phonemizer that reads phrases. Punctuation becomes phones of its own, quotes and brackets say nothing."""

    @abstractmethod
    def reader(self, language: str) -> Reader:
        """What reads phrases in `language`; InputError `unknown_language` if nothing does."""

    def refusal(self, text: str, language: str) -> InputError | None:
        """Why this text must not reach the library underneath: markup, NUL, letters of a script that its language is not written in."""
        if "[[" in text or "]]" in text or "\0" in text:
            return InputError(ReasonCode.TEXT_MARKUP, f"Text {shortened(text)!r} carries espeak markup or NUL; phonemize what `normalize` returns.")
        foreign = foreign_letters(text, language)
        if foreign:
            return InputError(
                ReasonCode.TEXT_WRONG_LANGUAGE,
                f"Text {shortened(text)!r} has letters that {language!r} is not written in: {' '.join(foreign[:5])}. "
                "Name its language in the corpus, or leave it out there and turn on the stage `language`.",
            )
        return None

    def check_language(self, language: str) -> None:
        self.reader(language)

    def phonemize(self, texts: Sequence[str], language: str) -> list[tuple[str, ...] | InputError]:
        try:
            read = self.reader(language)
        except InputError as error:
            return [error for _ in texts]
        known = frozenset(self.symbols)
        return [self._phones(text, language, read, known) for text in texts]

    def _phones(self, text: str, language: str, read: Reader, known: frozenset[str]) -> tuple[str, ...] | InputError:
        refusal = self.refusal(text, language)
        if refusal is not None:
            return refusal
        try:
            phones = spoken_phrases(text, read)
        except InputError as error:
            return error
        if all(phone in PUNCTUATION for phone in phones):
            return InputError(ReasonCode.TEXT_UNSPEAKABLE, f"There is nothing to say in {shortened(text)!r} ({language}).")
        unknown = outside_inventory(phones, known, text, "Report the language and the text; the utterance cannot be used.")
        return unknown if unknown is not None else tuple(phones)


def spoken_phrases(text: str, read: Reader) -> list[str]:
    """Phones of a text: each phrase read alone, marks as phones, a word boundary before every phrase but the first."""
    phones: list[str] = []
    start = 0
    for mark in MARKS.finditer(text):
        _append_words(phones, text[start : mark.start()], read)
        _append_marks(phones, mark.group())
        start = mark.end()
    _append_words(phones, text[start:], read)
    return phones


def _append_words(phones: list[str], phrase: str, read: Reader) -> None:
    plain = QUOTES.sub(" ", phrase).strip()
    words = read(plain).split() if plain else []
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
