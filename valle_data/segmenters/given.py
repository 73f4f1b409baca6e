"""Utterances by timestamps that somebody has written down, with their texts: `valle_data/speech/timestamps.py` says where they are looked for."""

from math import inf
from typing import Literal

from pydantic import Field

from valle_data.segmenters.base import Piece, Recording, Segmenter, SegmenterConfig
from valle_data.speech.intervals import Interval
from valle_data.speech.timestamps import Timed, bad_timestamps, given_timestamps


class GivenSegmenter(Segmenter):
    """See the module. Of a recording read as stretches, a segment belongs to the stretch in which its middle lies, margins apart."""

    gives_text = True

    class Config(SegmenterConfig):
        """Segments shorter or longer than this are left out. One may reach `overhang_s` beyond the recording, and is cut there: times are rounded."""

        name: Literal["given"] = "given"
        min_duration_s: float = Field(default=0.3, ge=0, le=60)
        max_duration_s: float = Field(default=30.0, gt=0, le=3600)
        padding_s: float = Field(default=0.0, ge=0, le=2)
        overhang_s: float = Field(default=0.5, ge=0, le=10)

    def __init__(self, config: "GivenSegmenter.Config") -> None:
        self.config = config

    def suits(self, recording: Recording) -> bool:
        return bool(given_timestamps(recording.utterance))

    def pieces(self, recording: Recording) -> list[Piece]:
        own_start_s, own_end_s = (recording.stretch.start_s + place for place in recording.stretch.middle)
        own_end_s = inf if recording.utterance.audio.duration_s is None else own_end_s  # beyond the end of a recording nothing belongs to anybody else
        rows = [row for row in given_timestamps(recording.utterance) if own_start_s <= (row.start_s + row.end_s) / 2 < own_end_s]
        fitting = [row for row in rows if self.config.min_duration_s <= row.end_s - row.start_s <= self.config.max_duration_s]
        return [self._piece(row, recording) for row in fitting]

    def _piece(self, row: Timed, recording: Recording) -> Piece:
        first_s, last_s = recording.stretch.start_s, recording.stretch.start_s + recording.sound.duration_s
        if row.end_s > last_s + self.config.overhang_s or row.start_s >= last_s:
            raise bad_timestamps(
                recording.utterance.audio.path,
                f"a segment goes from {row.start_s:g} to {row.end_s:g} s, but what is read of the recording ends at {last_s:g} s. Do the two belong together?",
            )
        place = Interval(max(first_s, row.start_s - self.config.padding_s) - first_s, min(last_s, row.end_s + self.config.padding_s) - first_s)
        return Piece(place, row.text, row.speaker, row.language)
