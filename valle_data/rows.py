"""The index of a data set as arrays: every committed part read, verified and joined, with no Python object per row."""

# pyarrow makes its compute functions when it is imported, where pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from valle_data.errors import InputError, ReasonCode
from valle_data.shards.base import index_path
from valle_data.shards.index import decode_table
from valle_data.shards.manifest import DatasetManifest
from valle_data.shards.parts import Parts

SPLITS = "metadata/splits.parquet"
TRAIN = "train"
INDEX_COLUMNS = ["utt_id", "offset", "nbytes", "crc32", "num_frames", "num_phones", "num_levels", "speaker", "group", "language", "phones"]
_PART_COLUMNS = ("num_frames", "num_phones", "shard", "word", "crc32", "phones")


@dataclass(frozen=True)
class Rows:
    """The index as arrays, one entry a row, in the smallest types that hold it. `word` is where the codes begin in their shard, in words of two bytes;
    `shard` numbers the parts; phones are flat.

    `speaker` numbers people: the same name in two groups is two of them.
    """

    num_frames: NDArray[np.integer]
    num_phones: NDArray[np.integer]
    speaker: NDArray[np.integer]
    group: NDArray[np.integer]
    language: NDArray[np.integer]
    shard: NDArray[np.integer]
    word: NDArray[np.integer]
    crc32: NDArray[np.integer]
    phone_starts: NDArray[np.integer]
    phones: NDArray[np.integer]

    @property
    def nbytes(self) -> int:
        return sum(getattr(self, field.name).nbytes for field in fields(self))


@dataclass(frozen=True)
class Names:
    """What the numbers in the columns stand for, in the order of first appearance. A speaker's name occurs once for each group it is in."""

    speakers: tuple[str, ...]
    groups: tuple[str, ...]
    languages: tuple[str, ...]


@dataclass(frozen=True)
class Split:
    """The utterances of one split (`members`) and of any (`assigned`); both None: everything is wanted."""

    members: pa.Array | None = None
    assigned: pa.Array | None = None

    @classmethod
    def load(cls, folder: Path, split: str | None) -> "Split":
        path = folder / SPLITS
        if split is None or (split == TRAIN and not path.is_file()):
            return cls()
        if not path.is_file():
            raise InputError(
                ReasonCode.DATASET_MISMATCH, f"{folder} has no split {split!r} yet: everything is {TRAIN!r}. Make splits with `valle metadata {folder}`."
            )
        table = decode_table(path.read_bytes(), path=path)
        names = sorted(table["split"].unique().to_pylist())
        if split not in names:
            raise InputError(ReasonCode.DATASET_MISMATCH, f"{folder} has no split {split!r}, only {', '.join(names)}. `valle metadata {folder}` makes them.")
        utterances = table["utt_id"].combine_chunks()
        return cls(utterances.filter(pc.equal(table["split"], split).combine_chunks()), utterances)

    def choose(self, utterances: pa.ChunkedArray) -> tuple[pa.ChunkedArray | None, int]:
        """A mask over `utterances` (None: all), and how many of them are in no split."""
        if self.members is None:
            return None, 0
        return pc.is_in(utterances, value_set=self.members), len(utterances) - (pc.sum(pc.is_in(utterances, value_set=self.assigned)).as_py() or 0)


class IndexReader:
    """Rows of parts in, columns out; holds arrays, never a Python object per row."""

    def __init__(self, folder: Path, manifest: DatasetManifest, parts: Parts) -> None:
        self._folder, self._manifest, self._parts = folder, manifest, parts
        self._header_bytes, self._alignment = parts.header_bytes, parts.alignment
        self._symbols = pa.array(manifest.vocabulary.symbols, pa.string())
        self._columns: list[dict[str, NDArray[np.integer]]] = []
        self._names: dict[str, list[pa.Array]] = {"speaker": [], "group": [], "language": []}

    def add(self, table: pa.Table, shard: NDArray[np.integer]) -> None:
        """Take the rows of `table` over, row i as one of part `shard[i]`; InputError `bad_row` or `unknown_phone` names the first that cannot be."""
        column = {name: table[name].to_numpy() for name in ("offset", "nbytes", "crc32", "num_frames", "num_phones", "num_levels")}
        fits = self._fits(column, shard) & (column["num_phones"] == pc.list_value_length(table["phones"]).to_numpy())
        if not fits.all():
            at = int(np.flatnonzero(~fits)[0])
            row = table.slice(at, 1).drop(["phones"]).to_pylist()[0]
            raise InputError(ReasonCode.BAD_ROW, f"{self._index(shard[at])} has a row that cannot be ({self._manifest.codec}): {row}.")
        for name, chunks in self._names.items():
            chunks.extend(_encoded(table[name]).chunks)
        word = (column["offset"] + self._header_bytes[shard]) // 2
        self._columns.append({**column, "shard": shard, "word": word, "phones": self._phones(table, shard)})

    def _index(self, number: int) -> Path:
        return index_path(self._folder, int(self._parts.part[number]))

    def _fits(self, column: dict[str, NDArray[np.integer]], shard: NDArray[np.integer]) -> NDArray[np.bool_]:
        num_levels, header_bytes = self._manifest.codec.num_levels, self._header_bytes[shard]
        offset, nbytes, num_frames = column["offset"], column["nbytes"].astype(np.int64), column["num_frames"].astype(np.int64)
        inside = (offset >= 0) & (offset % self._alignment[shard] == 0) & (offset + nbytes <= self._parts.shard_bytes[shard])
        return inside & (num_frames > 0) & (column["num_levels"] == num_levels) & (nbytes == header_bytes + 2 * num_levels * num_frames)

    def _phones(self, table: pa.Table, shard: NDArray[np.integer]) -> NDArray[np.integer]:
        phones = _encoded(pc.list_flatten(table["phones"]))
        found = []
        for chunk in phones.chunks:
            ids = pc.index_in(chunk.dictionary, value_set=self._symbols)
            numbers = _smallest(pc.fill_null(ids, len(self._symbols)).to_numpy(zero_copy_only=False), len(self._symbols) + 1)
            found.append(numbers[chunk.indices.to_numpy(zero_copy_only=False)] if len(numbers) else numbers)
        joined = np.concatenate(found) if found else np.zeros(0, dtype=np.min_scalar_type(len(self._symbols)))
        if (unknown := np.flatnonzero(joined == len(self._symbols))).size:
            at = int(unknown[0])
            row = int(np.searchsorted(np.cumsum(table["num_phones"].to_numpy()), at, side="right"))
            raise InputError(
                ReasonCode.UNKNOWN_PHONE,
                f"{self._index(shard[row])}: {table['utt_id'][row].as_py()} has the phone {phones[at].as_py()!r}, "
                f"which is not among the {len(self._symbols)} of this data set's vocabulary.",
            )
        return joined

    def finish(self) -> tuple[Rows, Names]:
        joined = {name: np.concatenate([part[name] for part in self._columns]) if self._columns else np.zeros(0, dtype=np.int64) for name in _PART_COLUMNS}
        coded = {name: _joined(parts) for name, parts in self._names.items()}
        numbers = {name: array.indices.to_numpy(zero_copy_only=False) for name, array in coded.items()}
        people = _people(numbers["group"], numbers["speaker"], len(coded["speaker"].dictionary))
        names = {name: array.dictionary for name, array in coded.items()}
        numbers["speaker"] = people.indices.to_numpy(zero_copy_only=False)
        names["speaker"] = names["speaker"].take(pa.array(people.dictionary.to_numpy() % max(len(names["speaker"]), 1)))
        starts = np.concatenate([[0], np.cumsum(joined["num_phones"], dtype=np.int64)])
        rows = Rows(
            **{name: _smallest(array) for name, array in {**joined, **numbers, "phone_starts": starts}.items() if name != "phones"}, phones=joined["phones"]
        )
        return rows, Names(**{f"{name}s": tuple(array.to_pylist()) for name, array in names.items()})


def _encoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column as a dictionary, which a reader may have made it already."""
    return column if pa.types.is_dictionary(column.type) else column.dictionary_encode()


def _joined(chunks: list[pa.Array]) -> pa.DictionaryArray:
    """All chunks as one array; its dictionary holds what occurs, in the order of first appearance."""
    if not chunks:
        return pa.array([], pa.string()).dictionary_encode()
    whole = pa.chunked_array(chunks).unify_dictionaries().combine_chunks()
    whole = whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
    used = whole.indices.dictionary_encode()
    return pa.DictionaryArray.from_arrays(used.indices, whole.dictionary.take(used.dictionary))


def _people(group: NDArray[np.integer], speaker: NDArray[np.integer], num_names: int) -> pa.DictionaryArray:
    """Every row's person: group and name together, `group * num_names + speaker`, numbered in the order of first appearance."""
    return pa.array(group.astype(np.int64) * num_names + speaker).dictionary_encode()


def _smallest(array: NDArray[np.integer], limit: int | None = None) -> NDArray[np.integer]:
    """The same numbers in the smallest unsigned type that holds them (or all below `limit`)."""
    largest = int(array.max(initial=0)) if limit is None else max(0, limit - 1)
    return array.astype(np.min_scalar_type(largest))
