"""A prepared data set, opened for training: its index as compact columns, its codes as views on the shards.

Only what commit records name exists. Local shards are mapped and never copied; members of those in an object store are fetched. A member's codes are checked
against its checksum, its header and the codebook size the first time this process touches them.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from valle_data.attribution import load_attribution
from valle_data.errors import InputError, ReasonCode
from valle_data.records import CodecSpec
from valle_data.rows import INDEX_COLUMNS, IndexReader, Names, Rows, Split
from valle_data.samplers.plan import Columns
from valle_data.shards.base import record_path
from valle_data.shards.commit import CommitRecord, committed_parts, read_part_index
from valle_data.shards.compact import load_compact
from valle_data.shards.manifest import DatasetManifest
from valle_data.shards.parts import Parts, refuse_foreign
from valle_data.shards.reader import Span, shards_of
from valle_data.shards.record import load_record
from valle_data.stores.remote_path import locate
from valle_data.text.vocabulary import Vocabulary


class Dataset:
    """See the module. Rows are numbered by part, then by utterance id; `split` keeps the rows of one split.

    `num_unassigned` utterances were added after `valle metadata` last made the splits and are in none until it runs again.
    """

    def __init__(self, folder: Path, manifest: DatasetManifest, parts: Parts, rows: Rows, names: Names, num_unassigned: int) -> None:
        self.folder, self.manifest, self.num_unassigned = folder, manifest, num_unassigned
        self.speakers, self.groups, self.languages = names.speakers, names.groups, names.languages
        self._rows, self._parts, self._shards = rows, parts, shards_of(folder, parts)
        self._header_words, self._num_levels = parts.header_bytes // 2, manifest.codec.num_levels
        self._checked = np.zeros(len(rows.num_frames), dtype=bool)
        self.columns = Columns(rows.num_frames, rows.num_phones, rows.speaker, rows.group, self.codec.frame_rate_hz, self.codec.num_levels, self._fingerprint())

    @classmethod
    def open(cls, folder: Path, split: str | None = None) -> "Dataset":
        """The data set in `folder`, or one split of it. Without `metadata/splits.parquet` everything is in the split `train`.

        Raises InputError: `missing_shard`, `corrupt_shard`, `foreign_shard`, `bad_row` naming the file; `unknown_phone`; `dataset_mismatch` for a split that
        does not exist.
        """
        folder = locate(folder)
        manifest = DatasetManifest.load(folder)
        compact = load_compact(folder, manifest)
        records = [] if compact else committed_parts(folder)
        parts = compact.parts if compact else Parts.of(records)
        parts.check_sizes(folder)
        wanted, attribution = Split.load(folder, split), load_attribution(folder)
        reader = IndexReader(folder, manifest, parts)
        num_unassigned = 0
        for table, shard in compact.rows(INDEX_COLUMNS) if compact else _rows_of(folder, manifest, records):
            chosen, unassigned = wanted.choose(table["utt_id"])
            num_unassigned += unassigned
            kept = attribution.apply(table if chosen is None else table.filter(chosen))
            reader.add(kept, shard if chosen is None else shard[chosen.to_numpy()])
        rows, names = reader.finish()
        return cls(folder, manifest, parts, rows, names, num_unassigned)

    def __len__(self) -> int:
        return len(self._rows.num_frames)

    @property
    def codec(self) -> CodecSpec:
        return self.manifest.codec

    @property
    def vocabulary(self) -> Vocabulary:
        return self.manifest.vocabulary

    @property
    def nbytes(self) -> int:
        """Bytes the index takes in memory, phones included."""
        return self._rows.nbytes + self._checked.nbytes

    def speaker(self, row: int) -> str:
        return self.speakers[self._rows.speaker[row]]

    def group(self, row: int) -> str:
        return self.groups[self._rows.group[row]]

    def language(self, row: int) -> str:
        return self.languages[self._rows.language[row]]

    def phones(self, row: int) -> NDArray[np.integer]:
        """Phone ids `[P]` in the data set's vocabulary."""
        starts = self._rows.phone_starts
        return self._rows.phones[starts[row] : starts[row + 1]]

    def codes(self, row: int, start: int = 0, stop: int | None = None, levels: int | None = None) -> NDArray[np.uint16]:
        """Codes `[levels, stop - start]` of a row, a read-only view on its shard.

        The first touch of a row checks it and raises InputError: `corrupt_shard` (checksum), `code_out_of_range`; other rows of the shard stay usable.
        """
        number, first = self._rows.shard.item(row), self._rows.word.item(row)
        header_words = self._header_words.item(number)
        member = self._shards.words(number, first - header_words, first + self._num_levels * self._rows.num_frames.item(row))
        flat = member[header_words:]
        codes = flat.reshape(self._num_levels, -1)
        if not self._checked[row]:
            self._check(row, number, member, flat)
        return codes[:levels, start:stop]

    def prefetch(self, rows: Iterable[int]) -> None:
        """Fetch the codes of rows that are about to be wanted, where shards are in an object store: few requests instead of one a row."""
        self._shards.prefetch(self._span(row) for row in rows)

    def _span(self, row: int) -> Span:
        number, first = self._rows.shard.item(row), self._rows.word.item(row)
        return Span(number, first - self._header_words.item(number), first + self._num_levels * self._rows.num_frames.item(row))

    def _record(self, row: int) -> CommitRecord:
        return load_record(record_path(self.folder, int(self._parts.part[self._rows.shard[row]])))

    def _check(self, row: int, number: int, member: NDArray[np.uint16], flat: NDArray[np.uint16]) -> None:
        """Hold the `member` of a row, whose codes are `flat`, against its index and the codec."""
        if zlib.crc32(member.data) != self._rows.crc32.item(row):
            raise self._corrupt(row, number, member)
        num_frames = flat.size // self._num_levels
        if len(member) > flat.size and member[: -flat.size].tobytes() != self._parts.format(number).header(self._num_levels, num_frames):
            raise InputError(
                ReasonCode.BAD_ROW,
                f"{self._shards.path(number)}: the codes of {self.utterance_id(row)} are not [{self._num_levels}, {num_frames}] as its index says.",
            )
        if (largest := np.maximum.reduce(flat)) >= self.codec.codebook_size:
            raise InputError(
                ReasonCode.CODE_OUT_OF_RANGE,
                f"{self._shards.path(number)}: {self.utterance_id(row)} has the code {largest}, but codebooks of {self.codec.name!r} end at "
                f"{self.codec.codebook_size - 1}. It was written by another codec: prepare the data again.",
            )
        self._checked[row] = True

    def _corrupt(self, row: int, number: int, member: NDArray[np.uint16]) -> InputError:
        return InputError(
            ReasonCode.CORRUPT_SHARD,
            f"{self._shards.path(number)}: the codes of {self.utterance_id(row)} should have crc32 {self._rows.crc32.item(row):08x}, "
            f"they have {zlib.crc32(member.data):08x}. Others are not affected. `valle repair {self.folder}` lists all damage and keeps what is whole.",
        )

    def utterance_id(self, row: int) -> str:
        """The id of a row, read from the index again: ids are not kept in memory."""
        table = read_part_index(self.folder, self._record(row), ["utt_id", "offset"])
        at = np.flatnonzero(table["offset"].to_numpy() == 2 * self._span(row).start)
        return table["utt_id"][int(at[0])].as_py()

    def _fingerprint(self) -> str:
        """Changes with any row, its place or its codes."""
        digest = xxhash.xxh3_128()
        for part in (self.manifest.codec.weights_hash, self.manifest.vocabulary.hash):
            digest.update(part.encode())
        for field in fields(Rows):
            digest.update(np.ascontiguousarray(getattr(self._rows, field.name)).data)
        return digest.hexdigest()


def _rows_of(folder: Path, manifest: DatasetManifest, records: list[CommitRecord]) -> Iterator[tuple[pa.Table, NDArray[np.int64]]]:
    """The verified rows of each part, and its number for each of them."""
    for number, record in enumerate(records):
        refuse_foreign(record, manifest.config_hash)
        table = read_part_index(folder, record, INDEX_COLUMNS)
        yield table, np.full(len(table), number)
