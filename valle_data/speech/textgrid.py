"""Praat's TextGrid, long and short form: interval tiers with their labels (Praat manual, "TextGrid file formats").

Both forms are the same row of free-standing numbers, strings and flags; what else stands there (`xmin =`, `intervals [1]:`) is a comment.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from valle_data.errors import InputError, ReasonCode

TOKEN = re.compile(r'"((?:[^"]|"")*)"|(?<!\S)<(\w+)>(?!\S)|(?<!\S)([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?!\S)')
UTTERANCE_TIERS = ("sentences", "sentence", "utterances", "utterance", "segments", "segment", "transcript", "text", "phrases")


@dataclass(frozen=True)
class Label:
    """A label of an interval tier; an empty one marks silence."""

    start_s: float
    end_s: float
    text: str


def textgrid_labels(text: str, where: str) -> list[Label]:
    """The labels of the tier of utterances. Raises InputError `bad_timestamps` for text that is no TextGrid or whose tiers leave a choice."""
    tiers = _tiers(text, where)
    named = [name for name in tiers if name.strip().lower() in UTTERANCE_TIERS]
    chosen = named or list(tiers)
    if len(chosen) != 1:
        found = f"these are {', '.join(map(repr, tiers))}" if tiers else "there is none"
        message = f"{where}: one interval tier holds the utterances, the only one or one named {', '.join(UTTERANCE_TIERS)}; {found}. Rename it."
        raise InputError(ReasonCode.BAD_TIMESTAMPS, message)
    return tiers[chosen[0]]


def _tiers(text: str, where: str) -> dict[str, list[Label]]:
    tokens = _tokens(text)
    try:
        if next(tokens) != "ooTextFile" or next(tokens) != "TextGrid":
            raise InputError(ReasonCode.BAD_TIMESTAMPS, f"{where}: this is no TextGrid. Save it in Praat as a text or short text file.")
        _skip(tokens, 2)
        num_tiers = int(_number(tokens)) if next(tokens) == "exists" else 0
        tiers = [_tier(tokens) for _ in range(num_tiers)]
    except (StopIteration, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            ReasonCode.BAD_TIMESTAMPS, f"{where}: this TextGrid breaks off or has something else where a number belongs. Save it again."
        ) from error
    return {name: labels for name, labels in tiers if labels is not None}


def _tokens(text: str) -> Iterator[str]:
    for match in TOKEN.finditer(text):
        string, flag, number = match.groups()
        yield string.replace('""', '"') if string is not None else flag or number


def _number(tokens: Iterator[str]) -> float:
    return float(next(tokens))


def _skip(tokens: Iterator[str], count: int) -> None:
    for _ in range(count):
        next(tokens)


def _tier(tokens: Iterator[str]) -> tuple[str, list[Label] | None]:
    """Name and labels of the next tier; no labels for a tier of points."""
    kind, name = next(tokens), next(tokens)
    _skip(tokens, 2)
    count = int(_number(tokens))
    if kind == "IntervalTier":
        return name, [Label(_number(tokens), _number(tokens), next(tokens)) for _ in range(count)]
    _skip(tokens, 2 * count)
    return name, None
