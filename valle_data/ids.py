"""The one id space of a model: phones, languages, levels, tasks, markers and codes at fixed offsets.

A position embeds as the sum of its ids, so a prompt of Q levels, AR level 0 and the sums of NAR are all rows of ids. What a position predicts
is a class of one of Q output heads: the V codes of a level, and for level 0 one more that means stop.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from valle_data.errors import InputError, ReasonCode
from valle_data.registry import nearest

MARKERS = ("begin",)


@dataclass(frozen=True)
class IdSpace:
    """Sizes in, offsets out. `languages` and `tasks` are ordered; new ones are appended, but that moves the codes behind them."""

    num_phones: int
    languages: tuple[str, ...]
    tasks: tuple[str, ...]
    num_levels: int
    codebook_size: int

    @cached_property
    def language_offset(self) -> int:
        return self.num_phones

    @cached_property
    def task_offset(self) -> int:
        return self.language_offset + len(self.languages)

    @cached_property
    def level_offset(self) -> int:
        return self.task_offset + len(self.tasks)

    @cached_property
    def marker_offset(self) -> int:
        return self.level_offset + self.num_levels

    @cached_property
    def code_offset(self) -> int:
        return self.marker_offset + len(MARKERS)

    @cached_property
    def size(self) -> int:
        return self.code_offset + self.num_levels * self.codebook_size

    @property
    def stop(self) -> int:
        """Class of head 0 that ends an utterance."""
        return self.codebook_size

    @cached_property
    def head_sizes(self) -> tuple[int, ...]:
        return (self.codebook_size + 1,) + (self.codebook_size,) * (self.num_levels - 1)

    def language(self, name: str) -> int:
        return self.language_offset + _index("language", name, self.languages)

    def task(self, name: str) -> int:
        return self.task_offset + _index("task", name, self.tasks)

    def level(self, level: int) -> int:
        if not 0 <= level < self.num_levels:
            raise InputError(ReasonCode.DATASET_MISMATCH, f"Level {level} is not one of the {self.num_levels} levels of this model.")
        return self.level_offset + level

    def marker(self, name: str) -> int:
        return self.marker_offset + MARKERS.index(name)

    def codes(self, codes: NDArray[np.integer]) -> NDArray[np.int64]:
        """Codes `[Q', T]` of the first Q' levels -> bags `[T, Q']`. Codes are checked where they are read, not here."""
        levels = np.arange(len(codes), dtype=np.int64)[:, None]
        return (codes.astype(np.int64) + self.code_offset + levels * self.codebook_size).T


def _index(kind: str, name: str, known: tuple[str, ...]) -> int:
    if name not in known:
        raise InputError(ReasonCode.DATASET_MISMATCH, f"This model knows no {kind} {name!r}.{nearest(name, known)} Known: {', '.join(known)}.")
    return known.index(name)
