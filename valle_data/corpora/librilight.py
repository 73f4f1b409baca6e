"""Libri-Light: 60,000 hours of LibriVox in English, whole chapters without texts, 7,000 readers, 16 kHz.

From https://github.com/facebookresearch/libri-light (Kahn et al. 2020), in subsets small, medium, large and duplicate; LibriVox is public domain in the
USA. Layout, a recording and what is known of it side by side:

    small/100/sea_fairies_0812_librivox_64kb_mp3/01_baum_sea_fairies_64kb.flac
    small/100/sea_fairies_0812_librivox_64kb_mp3/01_baum_sea_fairies_64kb.json
        {"speaker": "100", "book_meta": {"id": ..., "title": ...}, "snr": 9.1, "voice_activity": [[0.4, 12.3], ...]}

The voice activity cuts chapters into utterances; nobody has written down what is said, which is work for the stage `transcribe`.
"""

import math
import os
import re
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from valle_data.corpora.base import Corpus, CorpusConfig, Item, Refusal
from valle_data.corpora.reading.text import read_json
from valle_data.corpora.reading.walk import walk
from valle_data.errors import InputError, ReasonCode

PATH = re.compile(r"(?:(?P<group>.+)/)?(?P<speaker>[^/]+)/(?P<book>[^/]+)/[^/]+", re.DOTALL)


class LibriLightCorpus(Corpus):
    """See the module. Groups are the subsets."""

    class Config(CorpusConfig):
        """How chapters are cut."""

        name: str = "librilight"
        licence: str = "public domain in the USA"
        cut: Literal["voice_activity", "none"] = Field(default="voice_activity", description="none: whole chapters, for the stage `segment`")
        max_segment_s: float = Field(default=20.0, gt=0, description="neighbouring stretches of voice are joined up to this length")
        max_pause_s: float = Field(default=1.0, ge=0, description="longer pauses always separate two utterances")

    def scan(self) -> Iterator[Item | Refusal]:
        for found in walk(self.root, ("flac",)):
            if not self.selection.admits_path(found.path):
                continue
            match = PATH.fullmatch(found.path)
            if found.reason is not None or match is None:
                message = "A recording of Libri-Light lies in SUBSET/SPEAKER/BOOK/. Move it, or exclude it."
                yield Refusal(found.path, found.reason or ReasonCode.UNMATCHED_PATH, found.problem or message)
                continue
            try:
                yield from self._items(found.path, match)
            except InputError as error:
                if error.reason is ReasonCode.STORAGE_FAILED:
                    raise
                yield Refusal(found.path, error.reason, str(error.args[0]))

    def _items(self, path: str, match: re.Match[str]) -> list[Item]:
        said = read_json(self.place(os.path.splitext(path)[0] + ".json")) or {}
        book = said.get("book_meta")
        extra = {name: str(value) for name, value in (("snr", said.get("snr")), ("title", book.get("title") if isinstance(book, dict) else None)) if value}
        extra["book"] = match["book"]
        speaker, group = str(said.get("speaker") or match["speaker"]), match["group"] or ""
        if self.config.cut == "none":
            return [Item(path, speaker=speaker, group=group, extra=extra)]
        stretches = join(_voice(said.get("voice_activity")), self.config.max_segment_s, self.config.max_pause_s)
        return [Item(path, speaker=speaker, group=group, start_s=start, duration_s=round(end - start, 6), extra=extra) for start, end in stretches]


def _voice(value: Any) -> list[tuple[float, float]]:
    """Checked `[[start, end], ...]`. Raises InputError `bad_row`."""
    if not isinstance(value, list) or not value:
        raise InputError(ReasonCode.BAD_ROW, "Its .json has no `voice_activity`, which says where speech is. Set `corpus.cut: none` and cut with `segment`.")
    stretches = []
    for pair in value:
        usable = isinstance(pair, list) and len(pair) == 2 and all(isinstance(time, int | float) and math.isfinite(time) for time in pair)
        if not usable or not 0 <= pair[0] < pair[1]:
            raise InputError(ReasonCode.BAD_ROW, f"Its .json has {pair!r} in `voice_activity`; a stretch is [start, end] in seconds.")
        stretches.append((float(pair[0]), float(pair[1])))
    return sorted(stretches)


def join(stretches: list[tuple[float, float]], max_segment_s: float, max_pause_s: float) -> list[tuple[float, float]]:
    """Neighbours joined, pauses included, while the result stays within `max_segment_s` and no pause is longer than `max_pause_s`.

    A stretch that is too long by itself is cut into equal pieces.
    """
    joined: list[tuple[float, float]] = []
    for start, end in stretches:
        if joined and start - joined[-1][1] <= max_pause_s and end - joined[-1][0] <= max_segment_s:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
            continue
        pieces = math.ceil((end - start) / max_segment_s)
        length = (end - start) / pieces
        joined += [(round(start + length * index, 6), round(start + length * (index + 1), 6)) for index in range(pieces)]
    return joined
