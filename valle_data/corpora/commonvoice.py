"""Mozilla Common Voice: 30,000 hours in 130 languages, single sentences read at home by 300,000 volunteers, MP3.

From https://commonvoice.mozilla.org/datasets (Ardila et al. 2020); CC0, with the promise to identify nobody. Layout, of one language:

    de/validated.tsv      client_id  path  sentence  up_votes  down_votes  age  gender  accents  locale ...
    de/train.tsv          the same columns; also dev, test, other, invalidated
    de/clips/common_voice_de_17298952.mp3

`root` is the folder of one language or of several.
"""

import csv
import os
import re
from collections.abc import Iterator, Mapping

from pydantic import Field, field_validator

from valle_data.corpora.base import Corpus, CorpusConfig, Item, Refusal
from valle_data.corpora.reading.languages import language_tag
from valle_data.corpora.reading.lines import read_lines
from valle_data.corpora.reading.table import bad_row, check_utf8
from valle_data.errors import InputError, UsageError

CLIP = re.compile(r"[^/\0]+", re.DOTALL)
KEPT = ("age", "gender", "accents", "accent", "variant", "up_votes", "down_votes", "segment", "sentence_domain")


class CommonVoiceCorpus(Corpus):
    """See the module. A speaker is a `client_id`; a group is a language, as people appear in several splits of `validated`."""

    class Config(CorpusConfig):
        """Which tables."""

        name: str = "commonvoice"
        language: str = Field(default="", description="BCP 47 tag; empty: the locale of each row")
        licence: str = "CC0 1.0"
        splits: tuple[str, ...] = Field(default=("validated",), description="names of tables: validated, or train, dev, test, other")

        @field_validator("splits")
        @classmethod
        def _no_clip_twice(cls, value: tuple[str, ...]) -> tuple[str, ...]:
            twice = {"train", "dev", "test"} & set(value) if "validated" in value else set()
            if twice:
                raise ValueError(f"names tables that share no clip; validated holds those of {', '.join(sorted(twice))} too")
            return value

    def scan(self) -> Iterator[Item | Refusal]:
        for folder in self._folders():
            for split in self.config.splits:
                table = os.path.join(folder, f"{split}.tsv")
                if os.path.isfile(self.place(table)):
                    yield from self._table(folder, table, split)

    def _folders(self) -> list[str]:
        below = ["", *sorted(name for name in os.listdir(self.root) if os.path.isdir(self.place(name)))]
        tables = [f"{split}.tsv" for split in self.config.splits]
        folders = [name for name in below if any(os.path.isfile(self.place(os.path.join(name, table))) for table in tables)]
        if not folders:
            raise UsageError(
                f"`corpus.root` = {self.root!r} is no Common Voice: there is no {' or '.join(tables)} in it or a folder of it. Correct root or `corpus.splits`."
            )
        return folders

    def _table(self, folder: str, table: str, split: str) -> Iterator[Item | Refusal]:
        """Cells are never quoted, whatever marks a sentence holds."""
        reader = csv.DictReader(read_lines(self.place(table)), delimiter="\t", quoting=csv.QUOTE_NONE, restkey="")
        missing = [name for name in ("client_id", "path", "sentence") if name not in (reader.fieldnames or ())]
        if missing:
            raise UsageError(f"{table!r} has no column {missing[0]!r}; a table of Common Voice has client_id, path and sentence. Is it another table?")
        try:
            for values in reader:
                try:
                    yield self._item(folder, split, values)
                except InputError as error:
                    yield Refusal(table, error.reason, str(error.args[0]), reader.line_num)
        except csv.Error as error:
            raise UsageError(f"{table!r} is no table with tabs after line {reader.line_num}: {error}. Download it again.") from error

    def _item(self, folder: str, split: str, values: Mapping[str, str]) -> Item:
        if "" in values or None in values.values():
            raise bad_row(f"has {'more' if '' in values else 'fewer'} cells than the header")
        clip = values["path"]
        if not CLIP.fullmatch(clip) or clip in (".", ".."):
            raise bad_row(f"has the path {clip!r}; a clip is the name of a file in clips")
        check_utf8("sentence", values["sentence"])
        check_utf8("client_id", values["client_id"])
        locale = values.get("locale") or os.path.basename(folder) or os.path.basename(os.path.abspath(self.root))
        name = clip if clip.endswith(".mp3") else f"{clip}.mp3"  # as in the first releases
        return Item(
            path=os.path.join(folder, "clips", name),
            text=values["sentence"],
            speaker=values["client_id"],
            group=locale,
            language=self.config.language or language_tag(locale),
            extra={"split": split, **{name: values[name] for name in KEPT if values.get(name)}},
        )
