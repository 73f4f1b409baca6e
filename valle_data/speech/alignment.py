"""A text known to be read in a recording, and the words a recogniser heard there -> the times of the text's own words, and utterances.

The words heard are laid along the words of the text by edit distance; those that agree are anchors, and utterances begin and end between two of them.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from valle_data.recognisers.base import Word
from valle_data.speech.judging import for_scoring, spaceless

SENTENCE_END = re.compile(r"[.!?…。！？؟।]['\"”’»)\]]*$")
MIN_ANCHOR_WORDS = 2
"""A single word that agrees between two that do not may be another one of the same sound."""


@dataclass(frozen=True)
class Token:
    """A word of the text as it is written, from character `start` to `end`; `spoken` are the words it is read as (none for a dash, two for 42)."""

    start: int
    end: int
    spoken: tuple[str, ...]
    ends_sentence: bool


@dataclass(frozen=True)
class AlignedToken:
    """A word of the text; times are None where it was not heard."""

    token: Token
    start_s: float | None
    end_s: float | None
    num_heard: int


@dataclass(frozen=True)
class Passage:
    """Words `first` to `last` (inclusive) of the text, from `start_s` to `end_s`; `matched` is the share of words, of text and heard, that agree."""

    first: int
    last: int
    start_s: float
    end_s: float
    matched: float


@dataclass(frozen=True)
class PassageRules:
    """Passages end at sentences, or at pauses of `pause_s` where a sentence is too long; none is longer than `max_duration_s`."""

    min_duration_s: float
    max_duration_s: float
    pause_s: float


def tokens_of(text: str, language: str) -> list[Token]:
    """The words of a text in order; single letters in a language without spaces."""
    found = re.finditer(r"\S", text) if spaceless(language) else re.finditer(r"\S+", text)
    tokens: list[Token] = []
    for match in found:
        spoken = tuple(for_scoring(match.group(), language).split())
        ends = bool(SENTENCE_END.search(match.group()))
        if not spoken and tokens and not _opens(match.group()):
            last = tokens.pop()
            tokens.append(Token(last.start, match.end(), last.spoken, last.ends_sentence or ends))
        else:
            tokens.append(Token(match.start(), match.end(), spoken, ends))
    return tokens


def _opens(text: str) -> bool:
    """Whether a mark belongs to the word behind it."""
    return all(unicodedata.category(letter) in ("Ps", "Pi") or letter in "¿¡" for letter in text)


def align(tokens: Sequence[Token], heard: Sequence[Word], language: str) -> list[AlignedToken]:
    """The words of the text with the times at which they were heard."""
    spoken = [(word, index) for index, token in enumerate(tokens) for word in token.spoken]
    flat = [(word, position) for position, one in enumerate(heard) for word in _parts(one.text, language)]
    places: dict[int, list[int]] = {}
    blocks = [block for block in Levenshtein.opcodes([word for word, _ in spoken], [word for word, _ in flat]) if block.tag == "equal"]
    for block in blocks:
        if block.src_end - block.src_start < min(MIN_ANCHOR_WORDS, len(spoken)):
            continue
        for offset in range(block.src_end - block.src_start):
            places.setdefault(spoken[block.src_start + offset][1], []).append(flat[block.dest_start + offset][1])
    return [_placed(token, [heard[position] for position in places.get(index, [])]) for index, token in enumerate(tokens)]


def _parts(text: str, language: str) -> Sequence[str]:
    plain = for_scoring(text, language)
    return list(plain) if spaceless(language) else plain.split()


def _placed(token: Token, words: Sequence[Word]) -> AlignedToken:
    if not words:
        return AlignedToken(token, None, None, 0)
    return AlignedToken(token, words[0].start_s, words[-1].end_s, len(words))


def passages(aligned: Sequence[AlignedToken], heard: Sequence[Word], rules: PassageRules) -> list[Passage]:
    """The text in passages, in order, without overlap. Words that were not heard at an end of the text are in none."""
    anchored = [index for index, token in enumerate(aligned) if token.start_s is not None]
    if not anchored:
        return []
    first, last = anchored[0], anchored[-1]
    ends = [index for index in range(first, last) if _can_end(aligned, index, rules.pause_s)] + [last]
    found: list[Passage] = []
    while first <= last:
        end = _choose_end(aligned, first, ends, rules)
        if end is not None:
            found.append(_passage(aligned, heard, first, end))
        first = (end if end is not None else next(index for index in ends if index >= first)) + 1
    return found


def _can_end(aligned: Sequence[AlignedToken], index: int, pause_s: float) -> bool:
    """Whether a passage may end after this word: it and the next were heard, and a sentence ends or somebody pauses."""
    end_s, next_s = aligned[index].end_s, aligned[index + 1].start_s
    return end_s is not None and next_s is not None and (aligned[index].token.ends_sentence or next_s - end_s >= pause_s)


def _choose_end(aligned: Sequence[AlignedToken], first: int, ends: Sequence[int], rules: PassageRules) -> int | None:
    """The first end of a sentence that makes the passage long enough, else the longest pause within reach; None where nothing is."""
    start_s = aligned[first].start_s or 0.0
    reachable = [index for index in ends if index >= first and (aligned[index].end_s or 0.0) - start_s <= rules.max_duration_s]
    long_enough = [index for index in reachable if (aligned[index].end_s or 0.0) - start_s >= rules.min_duration_s]
    sentences = [index for index in long_enough if aligned[index].token.ends_sentence or index == ends[-1]]
    if sentences or not reachable:
        return sentences[0] if sentences else None
    return max(long_enough or reachable, key=lambda index: (_pause_after(aligned, index), -index))


def _pause_after(aligned: Sequence[AlignedToken], index: int) -> float:
    if index + 1 == len(aligned):
        return 0.0
    return (aligned[index + 1].start_s or 0.0) - (aligned[index].end_s or 0.0)


def _passage(aligned: Sequence[AlignedToken], heard: Sequence[Word], first: int, last: int) -> Passage:
    start_s, end_s = aligned[first].start_s or 0.0, aligned[last].end_s or 0.0
    num_spoken = sum(len(token.token.spoken) for token in aligned[first : last + 1])
    num_heard = sum(1 for word in heard if start_s <= (word.start_s + word.end_s) / 2 <= end_s)
    num_equal = sum(token.num_heard for token in aligned[first : last + 1])
    return Passage(first, last, start_s, end_s, min(1.0, 2 * num_equal / max(1, num_spoken + num_heard)))
