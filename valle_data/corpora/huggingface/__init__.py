"""Hugging Face `datasets`: data sets saved with `save_to_disk` (Arrow) or lying as Parquet, with a column of sounds.

From https://huggingface.co/datasets; the licence is that of the data set. Layout:

    dataset_info.json  state.json  data-00000-of-00004.arrow           a data set; or one in each folder of a DatasetDict
    data/train-00000-of-00064.parquet                                  as downloaded; the beginning of the name is the split
    default/train/0000.parquet                                         as the hub converts them; the folder is the split

The column of sounds is {bytes, path}. Sounds in Arrow files are read where they lie. Those in Parquet lie in packed pages: they are copied once into
`spool`. Nothing is decoded, and no program that comes with a data set is run.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, field_validator

from valle_data.corpora.base import Corpus, CorpusConfig, Item, Refusal
from valle_data.corpora.huggingface.columns import OURS, Columns
from valle_data.corpora.huggingface.sounds import Cell, cells_in_place, spool_cells
from valle_data.corpora.reading.languages import language_tag
from valle_data.corpora.reading.table import check_path, check_utf8, seconds
from valle_data.corpora.reading.text import read_json
from valle_data.corpora.reading.walk import walk
from valle_data.errors import InputError, ReasonCode, UsageError
from valle_data.registry import nearest

BATCH_ROWS = 64
SPLIT = re.compile(r"([\w.]+?)-\d{5}(-of-\d{5})?\.\w+")


class HuggingFaceCorpus(Corpus):
    """See the module. A split is not a group: most data sets have their speakers in several; it is kept beside the utterance."""

    class Config(CorpusConfig):
        """What the columns are called."""

        name: str = "huggingface"
        columns: dict[str, str] = Field(default_factory=dict, description="our name -> the data set's, where it is not one of the usual ones")
        splits: tuple[str, ...] = Field(default=(), description="names of splits; empty: all")
        spool: Path | None = Field(default=None, description="folder for copies of the sounds in Parquet files")

        @field_validator("columns")
        @classmethod
        def _columns_are_ours(cls, value: dict[str, str]) -> dict[str, str]:
            for name in value:
                if name not in OURS:
                    raise ValueError(f"maps our columns to the data set's; {name!r} is none of ours.{nearest(name, OURS)} Ours: {', '.join(OURS)}")
            return value

    def scan(self) -> Iterator[Item | Refusal]:
        splits: set[str] = set()
        for found in walk(self.root, ("arrow", "parquet")):
            split = self._split(found.path)
            splits.add(split)
            if found.reason is not None:
                yield Refusal(found.path, found.reason, found.problem)
            elif (not self.config.splits or split in self.config.splits) and self._is_data(found.path):
                yield from self._file(found.path, split)
        missing = [split for split in self.config.splits if split not in splits]
        if missing or not splits:
            what = f"no split {missing[0]!r}.{nearest(missing[0], splits)} There are: {', '.join(sorted(splits))}" if missing else "no .arrow or .parquet file"
            raise UsageError(f"{self.root!r} has {what}. Correct `corpus.root` or `corpus.splits`.")

    def _split(self, path: str) -> str:
        folder, name = os.path.split(path)
        if os.path.isfile(self.place(os.path.join(folder, "state.json"))):
            return os.path.basename(folder) or "all"
        match, stem = SPLIT.fullmatch(name), os.path.splitext(name)[0]
        return match[1] if match else os.path.basename(folder) if stem.isdigit() and folder else stem

    def _is_data(self, path: str) -> bool:
        """Whether a file belongs to the data set of its folder, and is no cache of a transformation. Raises UsageError for rows that lie elsewhere."""
        folder, name = os.path.split(path)
        state = read_json(self.place(os.path.join(folder, "state.json")))
        if state is None:
            return not name.startswith("cache-")
        if state.get("_indices_data_files"):
            raise UsageError(f"The data set in {self.place(folder)!r} is a choice of rows. Save it again after `flatten_indices()`.")
        listed = state.get("_data_files")
        return isinstance(listed, list) and any(isinstance(each, dict) and each.get("filename") == name for each in listed)

    def _file(self, path: str, split: str) -> Iterator[Item | Refusal]:
        place = self.place(path)
        try:
            if path.endswith(".parquet"):
                with pq.ParquetFile(place, page_checksum_verification=True) as parquet:
                    columns = Columns.find(parquet.schema_arrow, self.config.columns, path)
                    cells = spool_cells(parquet, columns.audio, place, self.config.spool)
                    yield from self._rows(path, split, columns, parquet.iter_batches(BATCH_ROWS, columns=list(columns.others)), cells)
            else:
                yield from self._arrow(path, place, split)
        except (pa.ArrowException, OSError) as error:
            message = f"It is cut, damaged or no {os.path.splitext(path)[1]} file: {error}. Download it again; what could be read of it is used."
            yield Refusal(path, ReasonCode.CORRUPT_ARCHIVE, message)

    def _arrow(self, path: str, place: str, split: str) -> Iterator[Item | Refusal]:
        """Rows of a file that is mapped into memory, where its cells are ranges of the file."""
        with pa.memory_map(place) as file:
            mapped, number = file.read_buffer(), 0
            with pa.ipc.open_stream(pa.BufferReader(mapped)) as reader:
                columns = Columns.find(reader.schema, self.config.columns, path)
                for batch in reader:
                    cells = iter(cells_in_place(batch.column(columns.audio), mapped, place))
                    pieces = (batch.slice(start, BATCH_ROWS).select(list(columns.others)) for start in range(0, len(batch), BATCH_ROWS))
                    yield from self._rows(path, split, columns, pieces, cells, number)
                    number += len(batch)

    def _rows(
        self, path: str, split: str, columns: Columns, batches: Iterable[pa.RecordBatch], cells: Iterator[Cell], number: int = 0
    ) -> Iterator[Item | Refusal]:
        """Rows from `number` on, each with the next cell."""
        for batch in batches:
            for row in batch.to_pylist() or [{}] * len(batch):
                name, number = f"{path}/{number:06d}", number + 1
                try:
                    yield self._item(name, split, columns.words(row), columns, next(cells))
                except InputError as error:
                    if error.reason is ReasonCode.STORAGE_FAILED:
                        raise
                    yield Refusal(name, error.reason, str(error.args[0]))

    def _item(self, name: str, split: str, row: Mapping[str, Any], columns: Columns, cell: Cell) -> Item | Refusal:
        if cell.path is None or (cell.offset is not None and not cell.nbytes):
            return Refusal(name, ReasonCode.BAD_ROW, "The row has no sound: neither bytes nor a path.")
        if cell.offset is None:
            check_path(cell.path, allows_absolute=True)
        said = {ours: row.get(theirs) for ours, theirs in columns.ours.items()}
        text, speaker, group = ("" if said.get(ours) is None else str(said[ours]) for ours in ("text", "speaker", "group"))
        check_utf8("text", text)
        return Item(
            path=cell.path,
            text=text,
            speaker=speaker,
            group=group,
            offset=cell.offset,
            nbytes=cell.nbytes,
            language=language_tag(str(said.get("language") or "")),
            start_s=seconds("start_s", said.get("start_s")) or 0.0,
            duration_s=seconds("duration_s", said.get("duration_s")),
            extra={"split": split, **{theirs: str(value) for theirs, value in row.items() if theirs not in columns.ours.values()}},
            listed_as=name,
        )
