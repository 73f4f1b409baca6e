"""A prepared data set, opened for training: its index as compact columns, its codes as views on the shards.

Only what commit records name exists. Codes are never copied: a shard is mapped, and a member's codes are checked against its checksum, its header and the
codebook size the first time this process touches them.
"""

import mmap
import zlib
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from valle_data.errors import InputError, ReasonCode
from valle_data.records import CodecSpec
from valle_data.rows import IndexReader, Names, Rows, Split, check_size
from valle_data.samplers.plan import Columns
from valle_data.shards.commit import CommitRecord, committed_parts, read_part_index
from valle_data.shards.manifest import DatasetManifest
from valle_data.shards.tar import BLOCK, NPY_HEADER_BYTES, decode_codes
from valle_data.text.vocabulary import Vocabulary

_BLOCK_WORDS = BLOCK // 2
_HEADER_WORDS = NPY_HEADER_BYTES // 2


class Dataset:
    """See the module. Rows are numbered by part, then by utterance id; `split` keeps the rows of one split.

    `num_unassigned` utterances were added after `valle metadata` last made the splits and are in none until it runs again.
    """

    def __init__(self, folder: Path, manifest: DatasetManifest, records: Sequence[CommitRecord], rows: Rows, names: Names, num_unassigned: int) -> None:
        self.folder, self.manifest, self.num_unassigned = folder, manifest, num_unassigned
        self.speakers, self.groups, self.languages = names.speakers, names.groups, names.languages
        self._rows, self._records = rows, records
        self._checked = np.zeros(len(rows.num_frames), dtype=bool)
        self._maps: dict[int, NDArray[np.uint16]] = {}
        self.columns = Columns(rows.num_frames, rows.num_phones, rows.speaker, rows.group, self.codec.frame_rate_hz, self.codec.num_levels, self._fingerprint())

    @classmethod
    def open(cls, folder: Path, split: str | None = None) -> "Dataset":
        """The data set in `folder`, or one split of it. Without `metadata/splits.parquet` everything is in the split `train`.

        Raises InputError: `missing_shard`, `corrupt_shard`, `foreign_shard`, `bad_row` naming the file; `unknown_phone`; `dataset_mismatch` for a split that
        does not exist.
        """
        manifest = DatasetManifest.load(folder)
        records = committed_parts(folder)
        wanted = Split.load(folder, split)
        reader = IndexReader(folder, manifest)
        num_unassigned = 0
        for number, record in enumerate(records):
            table = reader.read(record)
            chosen, unassigned = wanted.choose(table["utt_id"])
            num_unassigned += unassigned
            reader.add(number, table if chosen is None else table.filter(chosen), record)
        rows, names = reader.finish()
        return cls(folder, manifest, records, rows, names, num_unassigned)

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
        codes = self._view(row)
        if not self._checked[row]:
            self._check(row, codes)
        return codes[:levels, start:stop]

    def _view(self, row: int) -> NDArray[np.uint16]:
        number = self._rows.shard.item(row)
        words = self._maps[number] if number in self._maps else self._map(number)
        num_levels, num_frames = self.manifest.codec.num_levels, self._rows.num_frames.item(row)
        first = self._rows.block.item(row) * _BLOCK_WORDS + _HEADER_WORDS
        return words[first : first + num_levels * num_frames].reshape(num_levels, num_frames)

    def _map(self, number: int) -> NDArray[np.uint16]:
        path = self._shard_path(number)
        check_size(path, self._records[number])
        with path.open("rb") as file:
            self._maps[number] = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), dtype="<u2")
        return self._maps[number]

    def _shard_path(self, number: int) -> Path:
        return self.folder / "shards" / self._records[number].shard

    def _check(self, row: int, codes: NDArray[np.uint16]) -> None:
        number = int(self._rows.shard[row])
        first = int(self._rows.block[row]) * _BLOCK_WORDS
        member = self._maps[number][first : first + _HEADER_WORDS + codes.size]
        found, expected = zlib.crc32(member.data), int(self._rows.crc32[row])
        if found != expected:
            raise InputError(
                ReasonCode.CORRUPT_SHARD,
                f"{self._shard_path(number)}: the codes of {self.utterance_id(row)} should have crc32 {expected:08x}, they have {found:08x}. "
                f"Other utterances are not affected. `valle metadata {self.folder} --check` lists all damage; remove the part and prepare again.",
            )
        if decode_codes(member.view(np.uint8).data).shape != codes.shape:
            raise InputError(
                ReasonCode.BAD_ROW,
                f"{self._shard_path(number)}: the codes of {self.utterance_id(row)} are not [{codes.shape[0]}, {codes.shape[1]}] as its index says.",
            )
        if codes.size and (largest := int(codes.max())) >= self.codec.codebook_size:
            raise InputError(
                ReasonCode.CODE_OUT_OF_RANGE,
                f"{self._shard_path(number)}: {self.utterance_id(row)} has the code {largest}, but codebooks of {self.codec.name!r} end at "
                f"{self.codec.codebook_size - 1}. It was written by another codec: prepare the data again.",
            )
        self._checked[row] = True

    def utterance_id(self, row: int) -> str:
        """The id of a row, read from the index again: ids are not kept in memory."""
        record = self._records[int(self._rows.shard[row])]
        table = read_part_index(self.folder, record)
        at = np.flatnonzero(table["offset"].to_numpy() == int(self._rows.block[row]) * BLOCK)
        return table["utt_id"][int(at[0])].as_py()

    def _fingerprint(self) -> str:
        """Changes with any row, its place or its codes."""
        digest = xxhash.xxh3_128()
        for part in (self.manifest.codec.weights_hash, self.manifest.vocabulary.hash):
            digest.update(part.encode())
        for field in fields(Rows):
            digest.update(np.ascontiguousarray(getattr(self._rows, field.name)).data)
        return digest.hexdigest()
