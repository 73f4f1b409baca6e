"""VCTK: 44 hours of 110 English speakers with many accents, about 400 newspaper sentences each, 48 kHz, two microphones.

From https://datashare.ed.ac.uk/handle/10283/3443 (Yamagishi, Veaux, MacDonald 2019, version 0.92); CC BY 4.0. The older 0.80 is read too; ODC-By 1.0. Layout:

    speaker-info.txt                                     ID  AGE  GENDER  ACCENTS  REGION COMMENTS
    txt/p225/p225_001.txt                                none for p315, whose texts were lost
    wav48_silence_trimmed/p225/p225_001_mic1.flac        and _mic2; 0.80: wav48/p225/p225_001.wav
"""

import os
from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field

from valle_data.corpora.base import Corpus, CorpusConfig, Item, Refusal
from valle_data.corpora.folder.pattern import compile_pattern
from valle_data.corpora.reading.lines import read_lines
from valle_data.corpora.reading.text import read_text
from valle_data.corpora.reading.walk import walk
from valle_data.errors import InputError, ReasonCode, UsageError

INFO = "speaker-info.txt"
NEW, OLD = "wav48_silence_trimmed", "wav48"
LICENCE, OLD_LICENCE = "CC BY 4.0", "ODC-By 1.0"


class VCTKCorpus(Corpus):
    """See the module."""

    class Config(CorpusConfig):
        """Which microphone. Version 0.80 has its own licence, unless another one is given here."""

        name: str = "vctk"
        language: str = "en-gb"
        licence: str = LICENCE
        microphone: Literal["mic1", "mic2"] = Field(default="mic1", description="mic1 is a DPA 4035, mic2 a Sennheiser MKH 800 that p280 and p315 lack")

    def scan(self) -> Iterator[Item | Refusal]:
        folder = next((name for name in (NEW, OLD) if os.path.isdir(self.place(name))), None)
        if folder is None:
            raise UsageError(f"`corpus.root` = {self.root!r} is no VCTK: it has neither {NEW} nor {OLD}. Name the folder they lie in.")
        microphone = f"_{self.config.microphone}.flac" if folder == NEW else ".wav"
        pattern = compile_pattern(f"{folder}/{{speaker}}/{{utterance}}{microphone}")
        speakers = self._speakers()
        licence = {"licence": OLD_LICENCE} if folder == OLD and self.config.licence == LICENCE else {}
        for found in walk(self.place(folder), ("flac", "wav")):
            path = f"{folder}/{found.path}"
            match = pattern.fullmatch(path)
            if match is None or not self.selection.admits_path(path):
                continue  # the other microphone
            if found.reason is not None:
                yield Refusal(path, found.reason, found.problem)
                continue
            yield self._item(path, match["speaker"], match["utterance"], {**speakers.get(match["speaker"], {}), **licence})

    def _item(self, path: str, speaker: str, utterance: str, extra: Mapping[str, str]) -> Item | Refusal:
        try:
            text = read_text(self.place(f"txt/{speaker}/{utterance}.txt"))
        except InputError as error:
            if error.reason is ReasonCode.STORAGE_FAILED:
                raise
            return Refusal(path, error.reason, str(error.args[0]))
        return Item(path, text, speaker, extra=extra)

    def _speakers(self) -> dict[str, Mapping[str, str]]:
        """What is known of each speaker. Version 0.80 writes 225 for p225."""
        if not os.path.isfile(self.place(INFO)):
            return {}
        known = {}
        for line in read_lines(self.place(INFO)):
            fields = line.partition("(")[0].split()
            if len(fields) >= 4 and fields[0] != "ID":
                name = f"p{fields[0]}" if fields[0].isdigit() else fields[0]
                known[name] = {"age": fields[1], "gender": fields[2], "accent": fields[3], "region": " ".join(fields[4:])}
        return known
