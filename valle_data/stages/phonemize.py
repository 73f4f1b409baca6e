"""Phonemize: text -> normalised text -> phones of the data set's vocabulary, one list of texts per language.

A process holds one backend of each library for its life; where a library is not thread-safe, its phonemizer lets one thread in at a time.
"""

from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field

from valle_data.config import StageConfig
from valle_data.errors import InputError, ReasonCode
from valle_data.records import CodedUtterance
from valle_data.stages.base import Outcome, Stage, Tools, Work
from valle_data.text.normalize import normalize


class PhonemizeStage(Stage):
    """See the module."""

    name = "phonemize"
    version = "2"
    reasons = frozenset(
        {
            ReasonCode.TEXT_EMPTY,
            ReasonCode.TEXT_TOO_LONG,
            ReasonCode.TEXT_MARKUP,
            ReasonCode.TEXT_UNSPEAKABLE,
            ReasonCode.TEXT_WRONG_LANGUAGE,
            ReasonCode.UNKNOWN_LANGUAGE,
            ReasonCode.UNKNOWN_PHONE,
        }
    )

    reads = frozenset({"text", "language"})

    class Config(StageConfig):
        """`max_characters` bounds a transcript, before anything is done with it."""

        max_characters: int = Field(default=2000, ge=1, le=100_000)

    def __init__(self, config: "PhonemizeStage.Config", tools: Tools) -> None:
        self.max_characters = config.max_characters
        self.phonemizer = tools.phonemizer
        self.known = frozenset(tools.phonemizer.symbols)

    def restore(self, work: Work, made: CodedUtterance) -> Work:
        return replace(work, text_normalized=made.text_normalized, phones=made.phones)

    def process(self, works: Sequence[Work]) -> list[Outcome]:
        outcomes: list[Outcome] = [self._normalize(work) for work in works]
        languages = sorted({work.utterance.language for work in works})
        for language in languages:
            chosen = [(i, o) for i, o in enumerate(outcomes) if isinstance(o, Work) and o.utterance.language == language]
            for (index, work), phones in zip(chosen, self._speak([work for _, work in chosen], language), strict=True):
                outcomes[index] = self._checked(work, phones)
        return outcomes

    def _normalize(self, work: Work) -> Outcome:
        utterance = work.utterance
        try:
            return replace(work, text_normalized=normalize(utterance.text, utterance.language, self.max_characters))
        except InputError as error:
            return error

    def _speak(self, works: list[Work], language: str) -> list[tuple[str, ...] | InputError]:
        try:
            return self.phonemizer.phonemize([work.text_normalized for work in works], language)
        except InputError as error:  # the language itself
            return [error] * len(works)

    def _checked(self, work: Work, phones: tuple[str, ...] | InputError) -> Outcome:
        if isinstance(phones, InputError):
            return phones
        if not phones:
            return InputError(ReasonCode.TEXT_UNSPEAKABLE, f"The phonemizer found nothing to say in {work.text_normalized!r}.")
        if unknown := sorted(set(phones) - self.known):
            return InputError(ReasonCode.UNKNOWN_PHONE, f"The phonemizer gave {unknown} for {work.text_normalized!r}, which is not in its inventory.")
        return replace(work, phones=phones)
