"""LibriTTS and LibriTTS-R: 585 hours of 2,456 readers of LibriVox, cut into sentences, 24 kHz; -R is the same, restored.

From https://www.openslr.org/60 (Zen et al. 2019) and https://www.openslr.org/141 (Koizumi et al. 2023); CC BY 4.0. Layout:

    speakers.tsv or SPEAKERS.txt                                     READER, GENDER, SUBSET, NAME
    train-clean-100/103/1240/103_1240_000000_000001.wav              SUBSET/READER/CHAPTER/
    train-clean-100/103/1240/103_1240_000000_000001.normalized.txt   and .original.txt

Some recordings of -R have no text. LibriSpeech's own layout (one table a chapter) is another one.
"""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field

from valle_data.corpora.base import Corpus, CorpusConfig, Item, Refusal
from valle_data.corpora.reading.lines import read_lines
from valle_data.corpora.reading.text import read_text
from valle_data.corpora.reading.walk import walk
from valle_data.errors import InputError, ReasonCode, UsageError

PATH = re.compile(r"(?:(?P<group>.+)/)?(?P<speaker>\d+)/(?P<chapter>\d+)/(?P<utterance>[^/]+)\.[^/.]+", re.DOTALL)
INFO = ("speakers.tsv", "SPEAKERS.txt")


class LibriTTSCorpus(Corpus):
    """See the module. Groups are the subsets, which share no reader."""

    class Config(CorpusConfig):
        """Which of the two texts."""

        name: str = "libritts"
        licence: str = "CC BY 4.0"
        transcript: Literal["normalized", "original"] = Field(default="normalized", description="numbers and abbreviations written out, or as printed")

    def scan(self) -> Iterator[Item | Refusal]:
        genders, has_any, stray = self._genders(), False, ""
        for found in walk(self.root, ("wav", "flac")):
            if not self.selection.admits_path(found.path):
                continue
            match = PATH.fullmatch(found.path)
            if found.reason is not None:
                yield Refusal(found.path, found.reason, found.problem)
            elif match is None:
                stray = found.path
                yield Refusal(found.path, ReasonCode.UNMATCHED_PATH, "A recording of LibriTTS lies in SUBSET/READER/CHAPTER/. Move it, or exclude it.")
            else:
                has_any = True
                yield self._item(found.path, match, genders)
        if stray and not has_any:
            raise UsageError(f"`corpus.root` = {self.root!r} is no LibriTTS: its recordings lie in SUBSET/READER/CHAPTER/, here one is {stray!r}.")

    def _item(self, path: str, match: re.Match[str], genders: Mapping[str, str]) -> Item | Refusal:
        try:
            text = read_text(self.place(f"{os.path.splitext(path)[0]}.{self.config.transcript}.txt"))
        except InputError as error:
            if error.reason is ReasonCode.STORAGE_FAILED:
                raise
            return Refusal(path, error.reason, str(error.args[0]))
        gender = genders.get(match["speaker"])
        return Item(path, text, match["speaker"], match["group"] or "", extra={"chapter": match["chapter"], **({"gender": gender} if gender else {})})

    def _genders(self) -> dict[str, str]:
        """Reader -> F or M, from a table with tabs or bars between its cells and comments behind semicolons."""
        path = next((place for name in INFO if os.path.isfile(place := self.place(name))), None)
        known: dict[str, str] = {}
        for line in read_lines(path) if path else ():
            cells = [cell.strip() for cell in re.split(r"[\t|]", line)]
            if not line.startswith(";") and len(cells) >= 2 and cells[0].isdigit():
                known[cells[0]] = cells[1]
        return known
