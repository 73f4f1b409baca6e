"""What a phonemizer owes."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from valle_data.errors import InputError, ReasonCode

WORD_BOUNDARY = " "
PUNCTUATION = (".", ",", "?", "!", ";", ":")


class Phonemizer(ABC):
    """Normalised text -> phones, each one code point of the closed inventory `symbols`.

    A class names its configuration as `Config` and is made from one. Phones of a text depend on the text, the language and `version` only, never
    on the texts before it or beside it. Instances can be pickled: a worker process builds its own backend on first use.
    """

    Config: ClassVar[Any]
    symbols: tuple[str, ...]

    @property
    @abstractmethod
    def version(self) -> str:
        """Changes whenever the same text may give other phones."""

    @abstractmethod
    def check_language(self, language: str) -> None:
        """Raise InputError `unknown_language`, with the nearest tag, for a BCP 47 tag that this phonemizer cannot speak."""

    @abstractmethod
    def phonemize(self, texts: Sequence[str], language: str) -> list[tuple[str, ...] | InputError]:
        """Phones of each text in order, words separated by the phone " ", punctuation as phones of its own; an error stands where one text failed."""


def outside_inventory(phones: Sequence[str], known: frozenset[str], text: str, remedy: str) -> InputError | None:
    """The error for phones that are not in the inventory, None where all are."""
    if known.issuperset(phones):
        return None
    unknown = sorted(set(phones) - known)
    listed = ", ".join(f"{phone!r} (U+{ord(phone):04X})" for phone in unknown[:5])
    return InputError(ReasonCode.UNKNOWN_PHONE, f"Text {shortened(text)!r} gives phones outside the inventory: {listed}. {remedy}")


def shortened(text: str, length: int = 60) -> str:
    """Text cut for a message."""
    return text if len(text) <= length else text[: length - 1] + "…"
