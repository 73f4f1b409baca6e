"""Letters as they are: for languages without a phonemizer, and for models that learn to read."""

import unicodedata
from collections.abc import Sequence

from pydantic import Field

from valle_data.config import EntryConfig
from valle_data.errors import InputError, ReasonCode
from valle_data.text.phonemizers.base import PUNCTUATION, WORD_BOUNDARY, Phonemizer, outside_inventory, shortened

LATIN = "abcdefghijklmnopqrstuvwxyzßæøœðþłđıŋəħʻ"
GREEK = "αβγδεζηθικλμνξοπρσςτυφχψω"
CYRILLIC = "абвгдежзиклмнопрстуфхцчшщъыьэюяєіјљњћђџғқңөүұһәѓќѕ"
DIGITS = "0123456789"
OTHER = "'-&%+=@#/$€£¥—\""
MARKS = "".join(chr(code) for code in (0x300, 0x301, 0x302, 0x303, 0x304, 0x306, 0x307, 0x308, 0x309, 0x30A, 0x30B, 0x30C, 0x31B, 0x323, 0x326, 0x327, 0x328))


class CharacterPhonemizer(Phonemizer):
    """Lower-cased letters, decomposed (NFD), so that `é` is `e` and an accent: a small inventory spells every language of a script."""

    class Config(EntryConfig):
        """`alphabet` adds letters to the Latin, Greek and Cyrillic ones."""

        name: str = "characters"
        alphabet: str = Field(default="", description="further letters, lower case, for example those of Georgian")

    def __init__(self, config: Config) -> None:
        self.config = config
        extra = unicodedata.normalize("NFD", config.alphabet.lower())
        letters = WORD_BOUNDARY + "".join(PUNCTUATION) + LATIN + GREEK + CYRILLIC + DIGITS + OTHER + MARKS + "".join(extra.split())
        self.symbols = tuple(dict.fromkeys(letters))
        self._known = frozenset(self.symbols)

    def __reduce__(self) -> tuple[type["CharacterPhonemizer"], tuple[Config]]:
        return type(self), (self.config,)

    @property
    def version(self) -> str:
        return f"1, Unicode {unicodedata.unidata_version}"

    def check_language(self, language: str) -> None:
        """Every language is spelled."""

    def phonemize(self, texts: Sequence[str], language: str) -> list[tuple[str, ...] | InputError]:
        return [self._letters(text) for text in texts]

    def _letters(self, text: str) -> tuple[str, ...] | InputError:
        phones = tuple(" ".join(unicodedata.normalize("NFD", text.lower()).split()))
        if not any(phone.isalnum() for phone in phones):
            return InputError(ReasonCode.TEXT_UNSPEAKABLE, f"There is no letter to say in {shortened(text)!r}.")
        unknown = outside_inventory(phones, self._known, text, "Add them to `phonemizer.alphabet`.")
        return unknown if unknown is not None else phones
