"""GigaSpeech: 10,000 hours of English audiobooks, podcasts and videos with texts, in long recordings, 16 kHz Opus.

From https://github.com/SpeechColab/GigaSpeech (Chen et al. 2021) after signing its terms: Apache-2.0 for the metadata, the recordings are for research
and education. Layout:

    GigaSpeech.json       {"audios": [{"aid", "path", "source", "segments": [{"sid", "begin_time", "end_time", "text_tn", "subsets"}, ...]}, ...]}
    audio/podcast/P0000/POD0000000001.opus

Nobody says who speaks. Marks are spelled out (<COMMA>), and what is no speech is a text of its own (<MUSIC>): such segments are left out and counted.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from valle_data.corpora.base import Corpus, CorpusConfig, Item, Refusal
from valle_data.corpora.reading.json_array import read_elements
from valle_data.corpora.reading.table import bad_row, check_path, check_utf8
from valle_data.errors import InputError, ReasonCode

TABLE = "GigaSpeech.json"
MARKS = {" <COMMA>": ",", " <PERIOD>": ".", " <QUESTIONMARK>": "?", " <EXCLAMATIONPOINT>": "!"}
GARBAGE = ("<SIL>", "<MUSIC>", "<NOISE>", "<OTHER>")
NOBODY = ("", "N/A")


class GigaSpeechCorpus(Corpus):
    """See the module. Groups are the sources: audiobook, podcast, youtube."""

    gives_speakers = False

    class Config(CorpusConfig):
        """Which part."""

        name: str = "gigaspeech"
        language: str = "en"
        licence: str = "research and education only"
        subset: Literal["XS", "S", "M", "L", "XL", "DEV", "TEST"] = Field(
            default="XL", description="10, 250, 1,000, 2,500 or 10,000 hours, or an evaluation set"
        )
        lower: bool = Field(default=True, description="texts are in capitals, which phonemizers may spell out letter by letter")

    def scan(self) -> Iterator[Item | Refusal]:
        garbage: Counter[str] = Counter()
        for audio in read_elements(self.place(TABLE), "audios"):
            segments = audio.get("segments")
            for segment in segments if isinstance(segments, list) else ():
                try:
                    item = self._item(audio, segment)
                except InputError as error:
                    name = segment.get("sid", "") if isinstance(segment, dict) else ""
                    yield Refusal(f"{TABLE}/{audio.get('aid')}/{name}", error.reason, str(error.args[0]))
                    continue
                if isinstance(item, Item):
                    yield item
                elif item:
                    garbage[item] += 1
        for tag, count in sorted(garbage.items()):
            message = f"{count:,} segments have the text {tag} and no speech; they are left out, as the corpus recommends."
            yield Refusal(f"{TABLE}/{tag}", ReasonCode.TEXT_UNSPEAKABLE, message)

    def _item(self, audio: Mapping[str, Any], segment: Any) -> Item | str:
        """An item; the garbage tag of a segment without speech; or an empty string for another subset."""
        if not isinstance(segment, dict) or not isinstance(audio.get("path"), str) or not isinstance(segment.get("text_tn"), str):
            raise bad_row("has no `path` or a segment without `text_tn`")
        if f"{{{self.config.subset}}}" not in (segment.get("subsets") or ()):
            return ""
        check_path(audio["path"], allows_absolute=False)
        text = segment["text_tn"]
        tag = next((tag for tag in GARBAGE if tag in text), None)
        if tag:
            return tag
        check_utf8("text_tn", text)
        begin, end = segment.get("begin_time"), segment.get("end_time")
        if not (isinstance(begin, int | float) and isinstance(end, int | float) and math.isfinite(end) and 0 <= begin < end):
            raise bad_row(f"has a segment from {begin!r} s to {end!r} s")
        for mark, sign in MARKS.items():
            text = text.replace(mark, sign)
        speaker = str(segment.get("speaker") or "")
        return Item(
            path=audio["path"],
            text=text.lower() if self.config.lower else text,
            speaker="" if speaker in NOBODY else speaker,
            group=str(audio.get("source") or ""),
            start_s=float(begin),
            duration_s=round(end - begin, 6),
            extra={name: str(value) for name, value in (("sid", segment.get("sid")), ("title", audio.get("title"))) if value},
        )
