"""The phone vocabulary: one symbol, one id, for ever."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from valle_data.errors import InputError, ReasonCode
from valle_data.registry import nearest


@dataclass(frozen=True)
class Vocabulary:
    """Phones in the order of their ids; `symbols[i]` has id i."""

    symbols: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(set(self.symbols)) != len(self.symbols):
            twice = sorted({s for s in self.symbols if self.symbols.count(s) > 1})
            raise InputError(ReasonCode.DATASET_MISMATCH, f"A vocabulary gives each phone one id, but these occur twice: {' '.join(twice)}.")

    @cached_property
    def ids(self) -> dict[str, int]:
        return {symbol: index for index, symbol in enumerate(self.symbols)}

    @cached_property
    def hash(self) -> str:
        """sha256 over the ordered symbols."""
        return hashlib.sha256(json.dumps(self.symbols, ensure_ascii=False).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, phones: Sequence[str]) -> list[int]:
        """Ids of phones; an unknown phone is an error, never a placeholder."""
        try:
            return [self.ids[phone] for phone in phones]
        except KeyError as error:
            phone = str(error.args[0])
            raise InputError(
                ReasonCode.UNKNOWN_PHONE,
                f"Phone {phone!r} is not among the {len(self)} phones of this vocabulary.{nearest(phone, self.symbols)}",
            ) from None

    def missing(self, phones: Iterable[str]) -> list[str]:
        """The distinct phones that have no id, sorted."""
        return sorted(set(phones) - self.ids.keys())
