"""Segment: a long recording -> its utterances; a recording with a transcript -> the same without the silence around it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import Field

from valle_data.config import StageConfig, from_table
from valle_data.errors import InputError, ReasonCode
from valle_data.records import CodedUtterance, Utterance
from valle_data.segmenters import SEGMENTERS
from valle_data.segmenters.base import Piece, Recording, Segmenter
from valle_data.speech.intervals import Interval
from valle_data.speech.stretches import Stretch
from valle_data.speech.timestamps import EXTRA_KEY, timestamps_digest
from valle_data.stages.base import Outcome, Stage, Tools, Work
from valle_data.stages.decode import levels

MS_DIGITS = 3
LEVELS = ("rms_dbfs", "peak_dbfs")
"""Columns of decoding that a segment has for itself."""


class SegmentStage(Stage):
    """See the module. Segments are cut at whole milliseconds of the file, so that their ids and places agree.

    `vad_speech_ratio` is the share of a segment in which somebody speaks, `aligned_share` that of the words of text and recogniser that agree,
    `segmented_share` how much of its recording (or stretch of it) is in segments: what was too short, too long or not understood is left out.
    """

    name = "segment"
    version = "2"
    reasons = frozenset({ReasonCode.NO_SPEECH, ReasonCode.TOO_LONG, ReasonCode.BAD_TIMESTAMPS, ReasonCode.TEXT_NOT_ALIGNED, ReasonCode.UNKNOWN_LANGUAGE})
    columns = {"vad_speech_ratio": "float", "aligned_share": "float", "segmented_share": "float"}
    cuts = True
    reads = frozenset({"sound", "text", "language"})
    writes = frozenset({"sound", "text", "language"})

    class Config(StageConfig):
        """`method` finds the segments. A recording without what it goes by (timestamps, a text) is left to `otherwise`, or stays whole.

        A method that knows no texts never cuts a recording whose text is given: it only takes the silence off its ends. Recordings that stay whole
        are at most `max_whole_s` long.
        """

        method: from_table(SEGMENTERS) = "silero"  # pyright: ignore[reportInvalidTypeForm]
        otherwise: from_table(SEGMENTERS) | None = None  # pyright: ignore[reportInvalidTypeForm]
        max_whole_s: float = Field(default=30.0, gt=0, le=3600)

        def options(self) -> dict[str, Any]:
            chosen = {"method": self.method.options(), "otherwise": self.otherwise.options() if self.otherwise else None}
            return {**super().options(), **chosen}

        def stamp(self) -> str:
            return "; ".join(config.stamp() for config in (self.method, self.otherwise) if config)

        def digest_beside(self, utterance: Utterance) -> str:
            return timestamps_digest(utterance) if any(chosen and chosen.name == "given" for chosen in (self.method, self.otherwise)) else ""

    def __init__(self, config: "SegmentStage.Config", tools: Tools) -> None:
        self.config = config
        self.segmenters: list[Segmenter] = [SEGMENTERS.build(chosen) for chosen in (config.method, config.otherwise) if chosen]

    def process(self, works: Sequence[Work]) -> list[Outcome]:
        return [self._segment(work) for work in works]

    def restore(self, work: Work, made: CodedUtterance) -> Work:
        restored = super().restore(work, made)
        return restored.scored(**{name: made.scores[name] for name in LEVELS if name in work.scores})

    def _segment(self, work: Work) -> Outcome:
        recording = Recording(work.heard(), work.utterance, _stretch(work))
        try:
            segmenter = next((one for one in self.segmenters if one.suits(recording)), None)
            if segmenter is None:
                return self._whole(work)
            pieces = segmenter.pieces(recording)
        except InputError as error:
            if error.reason not in self.reasons:
                raise
            return error
        if not pieces:
            return _no_speech(work)
        if work.utterance.text and not segmenter.gives_text:
            return self._trimmed(work, pieces)
        segments = [segment for segment in (_child(work, piece) for piece in pieces) if segment.duration_s]
        if not segments:
            return _no_speech(work)
        own_s = recording.own.duration_s
        share = min(1.0, sum(segment.duration_s for segment in segments) / own_s) if own_s else None
        return [segment.scored(segmented_share=share) for segment in segments]

    def _whole(self, work: Work) -> Outcome:
        if work.duration_s <= self.config.max_whole_s:
            return work
        return InputError(
            ReasonCode.TOO_LONG,
            f"A recording that is not segmented is at most {self.config.max_whole_s:g} s long (`max_whole_s`); this has {work.duration_s:.1f} s and nothing "
            "to segment it by. Name another method in `otherwise`.",
        )

    def _trimmed(self, work: Work, pieces: Sequence[Piece]) -> Outcome:
        """From the first to the last speech, with text and id of the recording: all of it says all of its text."""
        whole = Interval(pieces[0].interval.start_s, pieces[-1].interval.end_s)
        if whole.duration_s > self.config.max_whole_s or not _stretch(work).is_whole:
            return InputError(
                ReasonCode.TOO_LONG,
                f"A recording with a transcript is not cut without knowing where its words are, and is at most {self.config.max_whole_s:g} s long "
                f"(`max_whole_s`) and no longer than a part; this has {whole.duration_s:.1f} s of speech. Use `aligned`, or `given` with timestamps.",
            )
        spoken_s = sum(piece.interval.duration_s * piece.scores["vad_speech_ratio"] for piece in pieces)
        child = _child(work, Piece(whole, scores={"vad_speech_ratio": spoken_s / whole.duration_s}))
        return replace(child, utterance=replace(child.utterance, id=work.utterance.id, text=work.utterance.text)).scored(segmented_share=None)


def _stretch(work: Work) -> Stretch:
    audio = work.utterance.audio
    duration_s = work.duration_s if audio.duration_s is None else audio.duration_s
    return Stretch(audio.start_s, audio.start_s + duration_s, work.planned.begin_margin_s, work.planned.end_margin_s)


def _child(work: Work, piece: Piece) -> Work:
    """The work of one piece."""
    offset_s = work.utterance.audio.start_s
    start_s = max(0.0, round(offset_s + piece.interval.start_s, MS_DIGITS) - offset_s)
    end_s = round(offset_s + piece.interval.end_s, MS_DIGITS) - offset_s
    child = work.segment(start_s, end_s)
    extra = {key: value for key, value in child.utterance.extra.items() if key != EXTRA_KEY}
    utterance = replace(
        child.utterance,
        text=piece.text or "",
        speaker=piece.speaker or child.utterance.speaker,
        language=piece.language or child.utterance.language,
        extra=extra,
    )
    scores = {"vad_speech_ratio": None, "aligned_share": None, **piece.scores, **_levels(child)}
    return replace(child, utterance=utterance).scored(**scores)


def _levels(child: Work) -> dict[str, float]:
    """The segment's own levels in the place of its recording's."""
    return {name: value for name, value in levels(child.heard().samples).items() if name in LEVELS and name in child.scores} if child.duration_s else {}


def _no_speech(work: Work) -> InputError:
    return InputError(
        ReasonCode.NO_SPEECH,
        f"A recording holds at least one utterance; in {work.duration_s:.1f} s of this one none was found that is long enough. "
        "Listen to it, or lower `threshold` and `min_duration_s` of the method.",
    )
