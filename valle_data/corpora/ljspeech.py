"""LJ Speech: 24 hours of one woman reading seven non-fiction books, 13,100 clips at 22,050 Hz.

From https://keithito.com/LJ-Speech-Dataset (Ito and Johnson 2017); public domain. Layout, as unpacked from LJSpeech-1.1.tar.bz2:

    metadata.csv              LJ001-0001|text as printed|text with numbers written out
    wavs/LJ001-0001.wav
"""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from valle_data.corpora.base import Corpus, CorpusConfig, Item, Refusal
from valle_data.corpora.reading.lines import read_lines
from valle_data.corpora.reading.table import bad_row, check_path, check_utf8
from valle_data.errors import InputError

TABLE = "metadata.csv"


class LJSpeechCorpus(Corpus):
    """See the module."""

    class Config(CorpusConfig):
        """Which of the two texts."""

        name: str = "ljspeech"
        speaker: str = "LJ"
        licence: str = "public domain"
        transcript: Literal["normalized", "original"] = Field(default="normalized", description="numbers and abbreviations written out, or as printed")

    def scan(self) -> Iterator[Item | Refusal]:
        for number, line in enumerate(read_lines(self.place(TABLE)), 1):
            if not line.strip():
                continue
            try:
                yield self._item(line.rstrip("\r\n").split("|"))
            except InputError as error:
                yield Refusal(TABLE, error.reason, str(error.args[0]), number)

    def _item(self, fields: list[str]) -> Item:
        if len(fields) not in (2, 3) or not fields[0]:
            raise bad_row(f"has {len(fields)} fields; a row of {TABLE} is ID|TEXT|NORMALIZED TEXT")
        name, original, normalized = fields[0], fields[1], fields[-1]
        path = f"wavs/{name}.wav"
        check_path(path, allows_absolute=False)
        text = (normalized if self.config.transcript == "normalized" else original) or original
        check_utf8("text", text)
        return Item(path, text, extra={"book": name.partition("-")[0]})
