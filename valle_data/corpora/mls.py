"""Multilingual LibriSpeech: 50,000 hours of LibriVox in eight languages, cut and transcribed, 16 kHz.

From https://www.openslr.org/94 (Pratap et al. 2020); CC BY 4.0. Layout, of one language (in FLAC, or the `_opus` archives):

    mls_german/metainfo.txt                                    SPEAKER | GENDER | PARTITION | MINUTES | BOOK ID | TITLE | CHAPTER
    mls_german/train/transcripts.txt                           1844_931_000000<tab>text in small letters without marks
    mls_german/train/segments.txt                              1844_931_000000<tab>source address<tab>start<tab>end
    mls_german/train/audio/1844/931/1844_931_000000.flac       SPEAKER/BOOK/

`root` is the folder of one language or of several.
"""

import os
import re
from collections.abc import Iterator, Mapping

from pydantic import Field

from valle_data.corpora.base import Corpus, CorpusConfig, Item, Refusal
from valle_data.corpora.reading.languages import language_tag
from valle_data.corpora.reading.lines import read_lines
from valle_data.corpora.reading.table import bad_row, check_utf8
from valle_data.errors import InputError, UsageError

ID = re.compile(r"(\d+)_(\d+)_\d+")
FOLDER = re.compile(r"mls_([a-z]+)(_opus)?")
TABLE = "transcripts.txt"
FLAC = ".flac"


class MLSCorpus(Corpus):
    """See the module. Groups are the splits, which share no speaker."""

    class Config(CorpusConfig):
        """Which splits."""

        name: str = "mls"
        language: str = Field(default="", description="BCP 47 tag; empty: from the name of the folder, such as mls_german")
        licence: str = "CC BY 4.0"
        splits: tuple[str, ...] = Field(default=("train",), description="train, dev, test")

    def scan(self) -> Iterator[Item | Refusal]:
        for folder in self._folders():
            language = self.config.language or self._language(folder)
            genders = self._genders(os.path.join(folder, "metainfo.txt"))
            for split in self.config.splits:
                yield from self._split(folder, split, language, genders)

    def _folders(self) -> list[str]:
        """Folders of languages below the root, `""` for the root itself."""
        below = ["", *sorted(name for name in os.listdir(self.root) if FOLDER.fullmatch(name))]
        folders = [name for name in below if any(os.path.isfile(self.place(os.path.join(name, split, TABLE))) for split in self.config.splits)]
        if not folders:
            splits = ", ".join(self.config.splits)
            raise UsageError(f"`corpus.root` = {self.root!r} is no MLS: there is no SPLIT/{TABLE} in it for the splits {splits}. Correct one of the two.")
        return folders

    def _language(self, folder: str) -> str:
        name = os.path.basename(os.path.abspath(self.place(folder)))
        match = FOLDER.fullmatch(name)
        if match is None:
            raise UsageError(f"The folder {name!r} is not called mls_LANGUAGE, so nothing says which language it is. Set `corpus.language`.")
        return language_tag(match[1])

    def _split(self, folder: str, split: str, language: str, genders: Mapping[str, str]) -> Iterator[Item | Refusal]:
        table, extension = os.path.join(folder, split, TABLE), ""
        for number, line in enumerate(read_lines(self.place(table)), 1):
            name, tab, text = line.rstrip("\r\n").partition("\t")
            match = ID.fullmatch(name)
            try:
                if not match or not tab:
                    raise bad_row(f"is {line[:60]!r}; a row of {TABLE} is SPEAKER_BOOK_NUMBER, a tab and the text")
                check_utf8("text", text)
            except InputError as error:
                yield Refusal(table, error.reason, str(error.args[0]), number)
                continue
            stem = os.path.join(folder, split, "audio", match[1], match[2], name)
            extension = extension or self._extension(stem)
            gender = genders.get(match[1])
            yield Item(stem + (extension or FLAC), text, match[1], split, language, extra={"book": match[2], **({"gender": gender} if gender else {})})

    def _extension(self, stem: str) -> str:
        """Of a recording that is there, empty for one that is missing and says nothing of the others."""
        return next((extension for extension in (FLAC, ".opus") if os.path.lexists(self.place(stem + extension))), "")

    def _genders(self, path: str) -> dict[str, str]:
        known: dict[str, str] = {}
        for line in read_lines(self.place(path)) if os.path.isfile(self.place(path)) else ():
            cells = [cell.strip() for cell in line.split("|")]
            if len(cells) >= 2 and cells[0].isdigit():
                known[cells[0]] = cells[1]
        return known
