"""Transcribe: what is said, for utterances without a transcript, and whether a given transcript says it too.

Recognisers invent: a phrase said over and over, words for silence, sentences longer than anybody can speak. Such a text is marked, and an utterance that has
no other text goes to quarantine.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from valle_data.config import StageConfig, from_table
from valle_data.errors import InputError, ReasonCode
from valle_data.recognisers import RECOGNISERS, held
from valle_data.recognisers.base import RATE_HZ, Recogniser, Transcript, is_undetermined
from valle_data.records import CodedUtterance
from valle_data.segmenters.silero import SileroSegmenter, speech_frames
from valle_data.speech.judging import character_error_rate, spaceless
from valle_data.speech.quiet import split_long
from valle_data.speech.suspicion import Suspicion, SuspicionRules, suspicion
from valle_data.stages.base import Outcome, Stage, Tools, Work

SPEECH_THRESHOLD = 0.5


class TranscribeStage(Stage):
    """See the module.

    `asr_text` is what was heard, `asr_confidence` and `asr_no_speech_prob` are the recogniser's, `asr_language` and `asr_language_prob` what it takes the
    language for. `cer` is the character error rate of what was heard against the given transcript, null without one; `characters_per_second` is of the
    text the utterance has in the end; `asr_suspect` is why the heard text is not believed, null where it is.
    """

    name = "transcribe"
    version = "2"
    reasons = frozenset({ReasonCode.NO_SPEECH, ReasonCode.ASR_SUSPECT, ReasonCode.UNKNOWN_LANGUAGE, ReasonCode.MISSING_TEXT})
    columns = {
        "asr_text": "text",
        "asr_confidence": "float",
        "asr_no_speech_prob": "float",
        "asr_language": "text",
        "asr_language_prob": "float",
        "asr_suspect": "text",
        "cer": "float",
        "characters_per_second": "float",
    }
    gives_text = gives_language = True
    reads = frozenset({"sound", "text", "language"})
    writes = frozenset({"text", "language"})

    class Config(StageConfig):
        """`use`: when the recognised text becomes the utterance's: where none is given, always, or never (it is a score only).

        `check`: whether utterances with a transcript are recognised too, which `use: always` needs. `suspects`: utterances whose text would be one that
        is not believed go to quarantine as `asr_suspect`, or stay and are marked in that column. `rules` say what is not believed.
        """

        recogniser: from_table(RECOGNISERS) = "faster_whisper"  # pyright: ignore[reportInvalidTypeForm]
        use: Literal["missing", "always", "never"] = "missing"
        check: bool = True
        suspects: Literal["quarantine", "mark"] = "quarantine"
        max_chunk_s: float = Field(default=30.0, gt=1, le=60)
        rules: SuspicionRules = SuspicionRules()

        def options(self) -> dict[str, Any]:
            return {**super().options(), "recogniser": self.recogniser.options()}

        def stamp(self) -> str:
            return "; ".join([self.recogniser.stamp(), *([SileroSegmenter.Config().stamp()] if self.rules.min_speech_ratio else [])])

    def __init__(self, config: "TranscribeStage.Config", tools: Tools) -> None:
        self.config = config
        self.recogniser: Recogniser = held(config.recogniser)

    def process(self, works: Sequence[Work]) -> list[Outcome]:
        wanted = [index for index, work in enumerate(works) if self._wants(work)]
        heard = dict(zip(wanted, self._hear([works[index] for index in wanted]), strict=True))
        return [self._judge(work, heard.get(index)) for index, work in enumerate(works)]

    def restore(self, work: Work, made: CodedUtterance) -> Work:
        heard = made.scores.get("asr_language")
        language = heard if isinstance(heard, str) and is_undetermined(work.utterance.language) else work.utterance.language
        utterance = replace(work.utterance, text=made.utterance.text, language=language)
        return super().restore(replace(work, utterance=utterance), made)

    def _wants(self, work: Work) -> bool:
        """Whether it must be heard: for its text, its language, or to check them."""
        known = bool(work.utterance.text.strip()) and not is_undetermined(work.utterance.language)
        return bool(len(work.heard().samples)) and (not known or self.config.check or self.config.use == "always")

    def _hear(self, works: Sequence[Work]) -> list[Transcript | InputError]:
        """The transcript of each work; chunks of all of them go to the recogniser together."""
        max_chunk_s = min(self.config.max_chunk_s, self.recogniser.max_duration_s)
        chunks = [chunk for index, work in enumerate(works) for chunk in _chunks(index, work, max_chunk_s)]
        outcomes = self.recogniser.transcribe([chunk.samples for chunk in chunks], [works[chunk.work].utterance.language for chunk in chunks])
        by_work: list[list[tuple[_Chunk, Transcript | InputError]]] = [[] for _ in works]
        for chunk, outcome in zip(chunks, outcomes, strict=True):
            by_work[chunk.work].append((chunk, outcome))
        return [_joined(parts) for parts in by_work]

    def _judge(self, work: Work, heard: Transcript | InputError | None) -> Outcome:
        given = work.utterance.text.strip()
        if isinstance(heard, InputError) and not given:
            return heard
        transcript = heard if isinstance(heard, Transcript) else None
        takes = transcript is not None and (self.config.use == "always" or (self.config.use == "missing" and not given))
        text = transcript.text if transcript is not None and takes else given
        if not text:
            return self._nothing(work, transcript)
        doubt = self._doubt(work, transcript) if transcript else None
        if doubt and takes and self.config.suspects == "quarantine":
            return InputError(
                ReasonCode.ASR_SUSPECT,
                f"A recognised text must be believable to be used; this one is not ({doubt.why}): {text[:80]!r}. {ASR_REMEDY}",
            )
        utterance = replace(work.utterance, text=text, language=_language(work, transcript))
        scored = self._scored(replace(work, utterance=utterance), transcript, given)
        return scored.scored(asr_suspect=doubt.name if doubt else None, characters_per_second=len(text) / work.duration_s if work.duration_s else None)

    def _nothing(self, work: Work, transcript: Transcript | None) -> InputError:
        if transcript is None or transcript.text:
            return InputError(ReasonCode.MISSING_TEXT, "An utterance has a text; this one has none, and `transcribe.use: never` gives it none.")
        return InputError(ReasonCode.NO_SPEECH, f"An utterance says something; the recogniser heard no word in {work.duration_s:.1f} s of this one.")

    def _doubt(self, work: Work, transcript: Transcript) -> Suspicion | None:
        ratio = work.scores.get("vad_speech_ratio")
        if ratio is None and self.config.rules.min_speech_ratio and transcript.text:
            ratio = speech_frames(work.heard().at(RATE_HZ)).ratio(SPEECH_THRESHOLD, start_s=0, end_s=work.duration_s)
        return suspicion(transcript, duration_s=work.duration_s, speech_ratio=ratio if isinstance(ratio, float) else None, rules=self.config.rules)

    def _scored(self, work: Work, transcript: Transcript | None, given: str) -> Work:
        if transcript is None:
            return work
        return work.scored(
            asr_text=transcript.text,
            asr_confidence=transcript.confidence,
            asr_no_speech_prob=transcript.no_speech_prob,
            asr_language=transcript.language,
            asr_language_prob=transcript.language_prob,
            cer=character_error_rate(given, transcript.text, work.utterance.language) if given else None,
        )


ASR_REMEDY = "Listen to it, write its text yourself, or keep it with `transcribe.suspects: mark`."


@dataclass(frozen=True)
class _Chunk:
    """Samples `[N]` at 16 kHz of work number `work`, which begin at `start_s` of it."""

    work: int
    start_s: float
    samples: NDArray[np.float32]


def _chunks(index: int, work: Work, max_chunk_s: float) -> Iterator[_Chunk]:
    samples = work.heard().at(RATE_HZ)
    for start_s, end_s in split_long(samples, RATE_HZ, max_chunk_s):
        yield _Chunk(index, start_s, samples[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)])


def _joined(parts: Sequence[tuple[_Chunk, Transcript | InputError]]) -> Transcript | InputError:
    """One transcript of the chunks of an utterance: texts end to end, the language of the longest text, averages weighted by length."""
    heard = [(chunk, outcome) for chunk, outcome in parts if isinstance(outcome, Transcript)]
    if len(heard) < len(parts):
        return next(outcome for _, outcome in parts if isinstance(outcome, InputError))
    if len(heard) == 1:
        return heard[0][1]
    longest = max((outcome for _, outcome in heard), key=lambda outcome: len(outcome.text))
    words = tuple(replace(word, start_s=word.start_s + chunk.start_s, end_s=word.end_s + chunk.start_s) for chunk, outcome in heard for word in outcome.words)
    return Transcript(
        ("" if spaceless(longest.language) else " ").join(outcome.text for _, outcome in heard if outcome.text),
        longest.language,
        words,
        _average([(chunk, outcome.confidence) for chunk, outcome in heard]),
        _average([(chunk, outcome.language_prob) for chunk, outcome in heard]),
        _average([(chunk, outcome.no_speech_prob) for chunk, outcome in heard]),
    )


def _average(values: Sequence[tuple[_Chunk, float | None]]) -> float | None:
    known = [(len(chunk.samples), value) for chunk, value in values if value is not None]
    return sum(length * value for length, value in known) / sum(length for length, _ in known) if known else None


def _language(work: Work, transcript: Transcript | None) -> str:
    """The utterance's own, or what the recogniser found where nobody knows."""
    own = work.utterance.language
    return transcript.language if transcript is not None and is_undetermined(own) else own
