"""A text known to be read in a recording, and the words a recogniser heard there -> the times of the text's own words, and utterances.

The words heard are laid along the words of the text by edit distance; those that agree are anchors, and utterances begin and end at anchors. What is written
and not heard, or heard and not written, is in no utterance.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from math import inf

from rapidfuzz.distance import Levenshtein

from valle_data.recognisers.base import Word
from valle_data.speech.judging import for_scoring, spaceless

SENTENCE_END = re.compile(r"[.!?…。！？؟।]['\"”’»)\]]*$")
MIN_ANCHOR_WORDS = 2
"""A single word that agrees between two that do not may be another one of the same sound."""
MAX_HOLE_WORDS = 3
"""More words in a row that do not agree are not misheard, but left out or put in by the reader."""


@dataclass(frozen=True)
class Token:
    """A word of the text as it is written, from character `start` to `end`; `spoken` are the words it is read as (none for a dash, two for 42)."""

    start: int
    end: int
    spoken: tuple[str, ...]
    ends_sentence: bool


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
    tokens: list[Token] = []
    for match in re.finditer(r"\S" if spaceless(language) else r"\S+", text):
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


def agreeing(tokens: Sequence[Token], heard: Sequence[Word], language: str) -> list[tuple[int, ...]]:
    """For each word of the text the numbers of the heard words that agree with it, in order; none for a word that was not heard."""
    spoken = [(word, index) for index, token in enumerate(tokens) for word in token.spoken]
    flat = [(word, position) for position, one in enumerate(heard) for word in _parts(one.text, language)]
    places: list[list[int]] = [[] for _ in tokens]
    for block in Levenshtein.opcodes([word for word, _ in spoken], [word for word, _ in flat]):
        if block.tag != "equal" or block.src_end - block.src_start < min(MIN_ANCHOR_WORDS, len(spoken)):
            continue
        for offset in range(block.src_end - block.src_start):
            places[spoken[block.src_start + offset][1]].append(flat[block.dest_start + offset][1])
    return [tuple(found) for found in places]


def _parts(text: str, language: str) -> Sequence[str]:
    plain = for_scoring(text, language)
    return list(plain) if spaceless(language) else plain.split()


@dataclass(frozen=True)
class Alignment:
    """Words of a text, words heard in a recording, and which agree."""

    tokens: Sequence[Token]
    heard: Sequence[Word]
    places: Sequence[tuple[int, ...]]

    @cached_property
    def matched(self) -> float:
        """How many of the words of the shorter of the two, text and heard, agree: near 1 where one is read in the other, near 0 where nothing is."""
        shorter = min(sum(len(token.spoken) for token in self.tokens), len(self.heard))
        return min(1.0, sum(map(len, self.places)) / shorter) if shorter else 0.0

    def start_s(self, index: int) -> float:
        return self.heard[self.places[index][0]].start_s

    def end_s(self, index: int) -> float:
        return self.heard[self.places[index][-1]].end_s

    def pause_before(self, index: int) -> float:
        """Since the last word heard before this word of the text, whatever it was."""
        first = self.places[index][0]
        return self.start_s(index) - self.heard[first - 1].end_s if first else inf

    def pause_after(self, index: int) -> float:
        last = self.places[index][-1]
        return self.heard[last + 1].start_s - self.end_s(index) if last + 1 < len(self.heard) else inf

    @cached_property
    def islands(self) -> list[int]:
        """For each word of the text a number that grows where more than `MAX_HOLE_WORDS` words of text or recording do not agree: no passage goes across."""
        anchored = [index for index, found in enumerate(self.places) if found]
        breaks = [0] * len(self.tokens)
        for before, after in pairwise(anchored):
            unheard = sum(len(token.spoken) for token in self.tokens[before + 1 : after])
            unwritten = self.places[after][0] - self.places[before][-1] - 1
            breaks[after] = int(max(unheard, unwritten) > MAX_HOLE_WORDS)
        return list(accumulate(breaks))


def align(tokens: Sequence[Token], heard: Sequence[Word], language: str) -> Alignment:
    return Alignment(tokens, heard, agreeing(tokens, heard, language))


def passages(alignment: Alignment, rules: PassageRules) -> list[Passage]:
    """The text in passages, in order, without overlap."""
    anchored = [index for index, found in enumerate(alignment.places) if found]
    starts = [index for index in anchored if _can_start(alignment, index, rules.pause_s)]
    ends = [index for index in anchored if alignment.tokens[index].ends_sentence or alignment.pause_after(index) >= rules.pause_s]
    found: list[Passage] = []
    for first in starts:
        if found and first <= found[-1].last:
            continue
        end = _choose_end(alignment, first, ends, rules)
        if end is not None:
            found.append(_passage(alignment, first, end))
    return found


def _can_start(alignment: Alignment, index: int, pause_s: float) -> bool:
    return index == 0 or alignment.tokens[index - 1].ends_sentence or alignment.pause_before(index) >= pause_s


def _choose_end(alignment: Alignment, first: int, ends: Sequence[int], rules: PassageRules) -> int | None:
    """The first end of a sentence that makes the passage long enough, else the longest pause that does; None where nothing is within reach."""
    start_s, island = alignment.start_s(first), alignment.islands[first]
    reachable = [index for index in ends if index >= first and alignment.islands[index] == island]
    long_enough = [index for index in reachable if rules.min_duration_s <= alignment.end_s(index) - start_s <= rules.max_duration_s]
    sentences = [index for index in long_enough if alignment.tokens[index].ends_sentence]
    if sentences:
        return sentences[0]
    return max(long_enough, key=lambda index: (alignment.pause_after(index), -index), default=None)


def _passage(alignment: Alignment, first: int, last: int) -> Passage:
    num_spoken = sum(len(token.spoken) for token in alignment.tokens[first : last + 1])
    num_heard = alignment.places[last][-1] - alignment.places[first][0] + 1
    num_equal = sum(map(len, alignment.places[first : last + 1]))
    return Passage(first, last, alignment.start_s(first), alignment.end_s(last), min(1.0, 2 * num_equal / (num_spoken + num_heard)))
