"""pocketsphinx (github.com/cmusphinx/pocketsphinx): small, offline, English, its model in its package. For tests, digits and aligning a known text.

Its free dictation is poor. With `words` or `grammar` it hears nothing else and is sharp; with an expected text it hears stretches of that text, by a
factor automaton (Moreno and Alberti, "A factor automaton approach for the forced alignment of long speech recordings", ICASSP 2009).
"""

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pocketsphinx import Decoder, get_model_path
from pydantic import Field

from valle_data.errors import InputError, ReasonCode, UsageError
from valle_data.recognisers.base import RATE_HZ, Recogniser, RecogniserConfig, Transcript, Word

SILENCE_S = 0.2
"""Around an utterance: the recogniser wants to hear a beginning and an end."""
LEVEL = 20_000
"""int16 per unit: what its models were trained at."""
FRAMES_PER_S = 100
GRAMMAR, EXPECTED, DICTATION = "grammar", "expected", "_default"
SKIP = 1e-4
"""Probability of passing over a word of the expected text."""
VARIANT = re.compile(r"\(\d+\)$")


class PocketsphinxRecogniser(Recogniser):
    """See the module. The decoder's adaptation to a speaker is undone before each waveform, so that none depends on those before it."""

    max_duration_s = 60.0
    listens_for = True

    class Config(RecogniserConfig):
        """`words`: nothing but these, in any number and order. `grammar`: a JSGF rule such as `( yes | no ) please`. Neither: free dictation.

        `word_insertion` is the probability of one more word; at the model's own 0.65 it hears words in pauses.
        """

        name: Literal["pocketsphinx"] = "pocketsphinx"
        words: tuple[str, ...] = ()
        grammar: str = ""
        word_insertion: float = Field(default=0.01, gt=0, le=1)

        def stamp(self) -> str:
            return f"pocketsphinx {version('pocketsphinx')} {weights_hash()}"

    def __init__(self, config: "PocketsphinxRecogniser.Config") -> None:
        self.decoder: Any = Decoder(loglevel="FATAL", wip=config.word_insertion)
        rule = config.grammar or (f"( {' | '.join(config.words)} )+" if config.words else "")
        self.search = DICTATION
        if rule:
            self._add_grammar(rule)

    def _add_grammar(self, rule: str) -> None:
        unknown = [word for word in re.findall(r"[A-Za-z'-]+", rule) if self.decoder.lookup_word(word.lower()) is None]
        if unknown:
            raise UsageError(f"pocketsphinx knows no pronunciation of {unknown[:5]}. Use other words in `words` or `grammar`.")
        self.decoder.add_jsgf_string(GRAMMAR, f"#JSGF V1.0; grammar g; public <g> = {rule.lower()};")
        self.search = GRAMMAR

    def transcribe(
        self, waveforms: Sequence[NDArray[np.float32]], languages: Sequence[str], expected: Sequence[str] | None = None
    ) -> list[Transcript | InputError]:
        texts = expected or [""] * len(waveforms)
        return [self._hear(waveform, language, text) for waveform, language, text in zip(waveforms, languages, texts, strict=True)]

    def _hear(self, waveform: NDArray[np.float32], language: str, expected: str) -> Transcript | InputError:
        if language.lower().split("-")[0] not in ("en", "und", ""):
            return InputError(ReasonCode.UNKNOWN_LANGUAGE, f"pocketsphinx understands English; this is {language!r}. Choose faster_whisper.")
        if not len(waveform):
            return Transcript("", "en")
        known = [word for word in expected.lower().split() if self.decoder.lookup_word(word) is not None]
        self._choose_search(known)
        silence = np.zeros(round(SILENCE_S * RATE_HZ), dtype=np.float32)
        padded = np.concatenate([silence, waveform, silence]) * LEVEL
        self.decoder.reinit_feat()
        self.decoder.start_utt()
        self.decoder.process_raw(padded.clip(-32768, 32767).astype(np.int16).tobytes(), full_utt=True)
        self.decoder.end_utt()
        hypothesis = self.decoder.hyp()
        words = self._words(len(waveform) / RATE_HZ) if hypothesis else ()
        confidence = sum(word.confidence or 0.0 for word in words) / len(words) if words else None
        return Transcript(" ".join(word.text for word in words), "en", words, confidence)

    def _choose_search(self, expected: Sequence[str]) -> None:
        if not expected:
            self.decoder.activate_search(self.search)
            return
        self.decoder.add_fsg(EXPECTED, self.decoder.create_fsg(EXPECTED, 0, len(expected) + 2, _factor_automaton(expected)))
        self.decoder.activate_search(EXPECTED)

    def _words(self, duration_s: float) -> tuple[Word, ...]:
        def place(frame: int) -> float:
            return min(max(frame / FRAMES_PER_S - SILENCE_S, 0.0), duration_s)

        found = [segment for segment in self.decoder.seg() if not segment.word.startswith(("<", "[", "+"))]
        return tuple(
            Word(VARIANT.sub("", segment.word), place(segment.start_frame), place(segment.end_frame + 1), min(1.0, float(segment.prob))) for segment in found
        )


def _factor_automaton(words: Sequence[str]) -> list[tuple[int, int, float] | tuple[int, int, float, str]]:
    """Transitions of an automaton from state 0 to state `len(words) + 2` that accepts every stretch of `words`, with single words passed over."""
    num_words = len(words)
    enter = [(0, state, 1 / num_words) for state in range(1, num_words + 1)]
    leave = [(state, num_words + 2, 0.5) for state in range(2, num_words + 2)]
    skip = [(state, state + 1, SKIP) for state in range(2, num_words + 1)]
    return [*enter, *leave, *skip, *((state, state + 1, 1.0, word) for state, word in enumerate(words, start=1))]


@cache
def weights_hash() -> str:
    """Of the model's files."""
    digest = hashlib.sha256()
    for path in sorted(Path(get_model_path()).rglob("*")):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
