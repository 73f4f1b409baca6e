"""A recording longer than a part is read as stretches that overlap by margins; their readers agree on where one ends and the next begins.

Both neighbours have all samples within a margin of the boundary between them. They look at the same whole seconds of the recording and take its quietest
place as the cut, so no word is lost and none comes twice, and neither needs to know what the other does.
"""

from dataclasses import dataclass
from math import ceil, floor

from valle_data.sound import Sound
from valle_data.speech.quiet import cut_point

SETTLING_S = 1.0
"""After a stretch begins, MP3 decoders need some frames until their samples are those of a decoder that began earlier."""
MS_DIGITS = 3
"""Boundaries are compared as milliseconds: the two neighbours write them down with different rounding errors."""


@dataclass(frozen=True)
class Stretch:
    """From `start_s` to `end_s` of a recording, of which the first and the last seconds are margins: they reach into a neighbour's stretch."""

    start_s: float
    end_s: float
    begin_margin_s: float = 0.0
    end_margin_s: float = 0.0

    @property
    def is_whole(self) -> bool:
        return not self.begin_margin_s and not self.end_margin_s

    @property
    def middle(self) -> tuple[float, float]:
        """Its part without the margins, in seconds from its start: for those who cut nowhere and only ask whose a segment is."""
        return self.begin_margin_s, self.end_s - self.start_s - self.end_margin_s


def own_range(sound: Sound, stretch: Stretch) -> tuple[float, float]:
    """The part of a stretch that is its own once its margins are cut, in seconds from its start; the whole of one without margins."""
    start_s, end_s = 0.0, sound.duration_s
    if stretch.begin_margin_s:
        start_s = _cut(sound, stretch, stretch.start_s + stretch.begin_margin_s, stretch.begin_margin_s)
    if stretch.end_margin_s:
        end_s = _cut(sound, stretch, stretch.end_s - stretch.end_margin_s, stretch.end_margin_s)
    return start_s, end_s


def _cut(sound: Sound, stretch: Stretch, boundary_s: float, margin_s: float) -> float:
    """The quietest place in the whole seconds around a boundary; the boundary itself where the margin holds none."""
    reach_s = margin_s - SETTLING_S
    first_s, last_s = ceil(round(boundary_s - reach_s, MS_DIGITS)), floor(round(boundary_s + reach_s, MS_DIGITS))
    if last_s <= first_s:
        return boundary_s - stretch.start_s
    origin = round(stretch.start_s * sound.sample_rate_hz)
    first, last = (second * sound.sample_rate_hz - origin for second in (first_s, last_s))
    return first / sound.sample_rate_hz + cut_point(sound.samples[first:last], sound.sample_rate_hz)
