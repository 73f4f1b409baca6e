"""Utterances of a long recording whose whole text is given (an audio book and its book): the text is laid along what a recogniser hears, and both are cut at
the ends of sentences and at pauses.

The recogniser may mishear; what counts is where its words agree with the text's. A passage in which too few agree is left out: the reader skipped it, or
said something else.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from valle_data.config import from_table
from valle_data.errors import InputError, ReasonCode
from valle_data.recognisers import RECOGNISERS, held
from valle_data.recognisers.base import RATE_HZ, Transcript, Word
from valle_data.segmenters.base import Piece, Recording, Segmenter, SegmenterConfig
from valle_data.segmenters.silero import SileroSegmenter, speech_frames
from valle_data.speech.alignment import Passage, PassageRules, Token, agreeing, align, passages, tokens_of
from valle_data.speech.intervals import Interval, SpeechFrames, SpeechRules, padded, utterances

CHUNK_DURATION_S = 25.0
WORDS_BEHIND, WORDS_AHEAD = 20, 400
"""Of the text, around the last word that was found: what a recogniser that wants to know what may come is told. 400 words take some three minutes."""


class AlignedSegmenter(Segmenter):
    """See the module."""

    gives_text = True

    class Config(SegmenterConfig):
        """Of a passage at least the share `min_matched` of the words agree, and of the recording as a whole; `aligned_share` is a score of each passage."""

        name: Literal["aligned"] = "aligned"
        recogniser: from_table(RECOGNISERS) = "faster_whisper"  # pyright: ignore[reportInvalidTypeForm]
        min_duration_s: float = Field(default=1.0, ge=0, le=60)
        max_duration_s: float = Field(default=20.0, gt=0, le=300)
        pause_s: float = Field(default=0.3, gt=0, le=10)
        padding_s: float = Field(default=0.1, ge=0, le=2)
        min_matched: float = Field(default=0.6, ge=0, le=1)

        def options(self) -> dict[str, Any]:
            return {**super().options(), "recogniser": self.recogniser.options()}

        def stamp(self) -> str:
            return f"{self.recogniser.stamp()}; {SileroSegmenter.Config().stamp()}"

    def __init__(self, config: "AlignedSegmenter.Config") -> None:
        self.config = config
        self.recogniser = held(config.recogniser)

    def suits(self, recording: Recording) -> bool:
        """A text, and the whole recording: nobody knows which of its words a stretch of it has."""
        return bool(recording.utterance.text.strip()) and recording.stretch.is_whole

    def pieces(self, recording: Recording) -> list[Piece]:
        utterance, samples = recording.utterance, recording.sound.at(RATE_HZ)
        frames = speech_frames(samples)
        chunks = utterances(frames, samples, RATE_HZ, self._chunk_rules(), recording.own)
        if not chunks:
            return []
        tokens = tokens_of(utterance.text, utterance.language)
        heard = self._hear(chunks, samples, tokens, utterance.language)
        rules = PassageRules(self.config.min_duration_s, self.config.max_duration_s - 2 * self.config.padding_s, self.config.pause_s)
        alignment = align(tokens, heard, utterance.language)
        found = [passage for passage in passages(alignment, rules) if passage.matched >= self.config.min_matched]
        if not found or alignment.matched < self.config.min_matched:
            raise InputError(
                ReasonCode.TEXT_NOT_ALIGNED,
                f"At least {self.config.min_matched:g} of the words of text and recording must agree (`min_matched`); here it is {alignment.matched:.2f}. "
                f"The text begins {utterance.text[:60]!r}, and what is heard begins {' '.join(word.text for word in heard[:8])!r}. Do they belong together?",
            )
        return self._cut(found, tokens, utterance.text, frames, recording.own)

    def _chunk_rules(self) -> SpeechRules:
        return SpeechRules(min_duration_s=0.2, max_duration_s=min(CHUNK_DURATION_S, self.recogniser.max_duration_s), padding_s=0.2)

    def _hear(self, chunks: Sequence[Interval], samples: NDArray[np.float32], tokens: Sequence[Token], language: str) -> list[Word]:
        """The words of all chunks, in seconds of the recording."""
        waveforms = [samples[round(chunk.start_s * RATE_HZ) : round(chunk.end_s * RATE_HZ)] for chunk in chunks]
        if self.recogniser.listens_for:
            outcomes = self._hear_in_order(waveforms, tokens, language)
        else:
            outcomes = self.recogniser.transcribe(waveforms, [language] * len(chunks))
        words: list[Word] = []
        for chunk, outcome in zip(chunks, outcomes, strict=True):
            if isinstance(outcome, InputError):
                raise outcome
            words += [replace(word, start_s=word.start_s + chunk.start_s, end_s=word.end_s + chunk.start_s) for word in outcome.words]
        return words

    def _hear_in_order(self, waveforms: Sequence[NDArray[np.float32]], tokens: Sequence[Token], language: str) -> list[Transcript | InputError]:
        """Each chunk with the words around the place that the one before came to."""
        outcomes: list[Transcript | InputError] = []
        place = 0
        for waveform in waveforms:
            window = tokens[max(0, place - WORDS_BEHIND) : place + WORDS_AHEAD]
            expected = " ".join(word for token in window for word in token.spoken)
            outcomes += self.recogniser.transcribe([waveform], [language], [expected])
            if isinstance(outcomes[-1], Transcript):
                found = [index for index, heard in enumerate(agreeing(window, outcomes[-1].words, language)) if heard]
                place = max(0, place - WORDS_BEHIND) + found[-1] + 1 if found else place
        return outcomes

    def _cut(self, found: Sequence[Passage], tokens: Sequence[Token], text: str, frames: SpeechFrames, own: Interval) -> list[Piece]:
        places = padded([Interval(passage.start_s, passage.end_s) for passage in found], self.config.padding_s, own)
        return [
            Piece(
                place,
                text[tokens[passage.first].start : tokens[passage.last].end],
                scores={"aligned_share": passage.matched, "vad_speech_ratio": frames.ratio(SpeechRules().threshold, start_s=place.start_s, end_s=place.end_s)},
            )
            for passage, place in zip(found, places, strict=True)
        ]
