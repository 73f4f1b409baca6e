"""HDF5 shards: one file a part, written whole, read by any HDF5 library.

`codes` is flat: the codes `[Q, T]` of utterance i, level by level, are `codes[Q * offsets[i] : Q * offsets[i + 1]]`, with Q in its attribute `num_levels`.
`texts[text_offsets[i] : text_offsets[i + 1]]` is the JSON that a tar would hold, `ids[i]` its name. Each array is one chunk with a Fletcher checksum for
other readers. One chunk lies in the file in one piece, so that our own loader maps it like a tar, by the offsets in the index, and verifies the checksums
there; measured, a random utterance costs 5-6 us through the HDF5 library,
whichever way the array is turned, and 0.75 us mapped, as in a tar.
"""

import io
import itertools
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from valle_data.errors import InputError, ReasonCode, UsageError
from valle_data.shards.base import EncodedShard, Member, Sample, ShardFormat, check_id
from valle_data.shards.describe import FIRST_BYTES, Description, find_description

_VERSION = ("v110", "v110")
"""Oldest and newest form of what is written: one form, and the first whose own structures carry checksums."""

_ALIGNMENT = 8
_LARGEST_CHUNK = 2**32 - 2**16
_KINDS = {"codes": "u2", "offsets": "i8", "texts": "u1", "text_offsets": "i8", "ids": "S"}


class Hdf5Shard(ShardFormat):
    """See the module."""

    extension = "h5"
    header_bytes = 0
    alignment = 2

    def encode(self, samples: Sequence[Sample]) -> EncodedShard:
        """The file, made in memory. UsageError for a part of 4 GiB and more, which one chunk cannot hold."""
        for sample in samples:
            check_id(sample.id)
        num_levels = samples[0].codes.shape[0] if samples else 0
        flat = [np.ascontiguousarray(sample.codes, dtype="<u2").reshape(-1) for sample in samples]
        offsets = _starts(sample.codes.shape[1] for sample in samples)
        if 2 * num_levels * offsets[-1] > _LARGEST_CHUNK:
            raise UsageError(f"A part of {offsets[-1]:,} frames is too large for HDF5, whose chunks end at 4 GiB. Choose a shorter `part_duration_s`.")
        arrays: dict[str, NDArray[Any]] = {
            "codes": np.concatenate(flat) if flat else np.zeros(0, "<u2"),
            "offsets": offsets,
            "texts": np.frombuffer(b"".join(sample.text for sample in samples), dtype="u1"),
            "text_offsets": _starts(len(sample.text) for sample in samples),
            "ids": np.array([sample.id.encode() for sample in samples], dtype="S"),
        }
        data, first = _write(arrays, num_levels)
        members = [Member(first + 2 * num_levels * int(start), codes.nbytes, zlib.crc32(codes.data)) for start, codes in zip(offsets, flat, strict=False)]
        return EncodedShard(data, tuple(members))

    def header(self, num_levels: int, num_frames: int) -> bytes:
        return b""

    def codes(self, member: bytes | memoryview, num_levels: int) -> NDArray[np.uint16]:
        if len(member) % (2 * num_levels):
            raise InputError(ReasonCode.UNSAFE_MEMBER, f"Codes are uint16 [{num_levels}, T]; this member has {len(member)} bytes.")
        return np.frombuffer(member, dtype="<u2").reshape(num_levels, -1)

    def read(self, data: bytes, path: Path) -> list[Sample]:
        try:
            with h5py.File(io.BytesIO(data), "r") as file:
                arrays = {name: _array(file, name, path) for name in _checked_names(file, path)}
                num_levels = int(file["codes"].attrs.get("num_levels", 0))
        except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(ReasonCode.CORRUPT_SHARD, f"{path} is damaged or not HDF5: {str(error).splitlines()[0]}") from error
        return _samples(arrays, num_levels, path)

    def salvage(self, data: bytes) -> list[Sample]:
        """The structures of the file are not asked: descriptions are found by how they begin, codes by their checksums, in the same order."""
        view, samples, place = memoryview(data), {}, 0
        texts = _descriptions(data)
        for text, following in itertools.zip_longest(texts, texts[1:]):
            if not _lies_at(view, text, place):
                if following is not None and samples and _lies_at(view, following, place + text.code_bytes):
                    place += text.code_bytes  # only the codes between are damaged
                    continue
                # Descriptions of what lay here are damaged, or nothing was found yet.
                found = _search(view, text, place)
                if found is None:
                    continue
                place = found
            samples[text.id] = text.sample(view[place : place + text.code_bytes])
            place += text.code_bytes
        return [samples[utterance] for utterance in sorted(samples)]


def _starts(lengths: Any) -> NDArray[np.int64]:
    return np.fromiter(itertools.accumulate(lengths, initial=0), dtype="<i8")


def _write(arrays: dict[str, NDArray[Any]], num_levels: int) -> tuple[bytes, int]:
    """The bytes of the file, and where in them the codes begin."""
    options = {"libver": _VERSION, "alignment_threshold": 1, "alignment_interval": _ALIGNMENT, "track_order": False}
    with h5py.File("part", "w", driver="core", backing_store=False, **options) as file:
        for name, array in arrays.items():
            if not array.size:  # no chunk, so nothing to protect
                file.create_dataset(name, shape=array.shape, dtype=_KINDS[name] if name != "ids" else "S1", track_times=False)
            else:
                file.create_dataset(name, data=array, chunks=array.shape, fletcher32=True, track_times=False)
        file["codes"].attrs["num_levels"] = np.int32(num_levels)
        file.flush()
        first = file["codes"].id.get_chunk_info(0).byte_offset if arrays["codes"].size else 0
        return file.id.get_file_image(), int(first or 0)


def _checked_names(file: Any, path: Path) -> list[str]:
    """Refuse links that lead elsewhere, groups and foreign names, before anything is opened through them."""
    for name in file:
        kind = type(file.get(name, getlink=True))
        if kind is not h5py.HardLink or name not in _KINDS:
            raise InputError(
                ReasonCode.UNSAFE_MEMBER,
                f"{path}: an HDF5 shard holds the arrays {', '.join(_KINDS)}, but {name!r} is a {kind.__name__}. It was not followed.",
            )
    if missing := sorted(_KINDS.keys() - set(file)):
        raise InputError(ReasonCode.CORRUPT_SHARD, f"{path} has no array {missing[0]!r}; another program wrote this.")
    return list(_KINDS)


def _array(file: Any, name: str, path: Path) -> NDArray[Any]:
    """A whole array, Fletcher checksum verified by the library. Refused unread: other types (references!), data kept in other files, other filters."""
    found = file.get(name, getclass=True)
    if found is not h5py.Dataset:
        raise InputError(ReasonCode.UNSAFE_MEMBER, f"{path}: {name!r} is a {found.__name__}, not an array. It was not opened.")
    dataset = file[name]
    plain = dataset.id.get_create_plist()
    filters = [plain.get_filter(index)[0] for index in range(plain.get_nfilters())]
    is_known = dataset.dtype.kind + str(dataset.dtype.itemsize) == _KINDS[name] or (_KINDS[name] == "S" and dataset.dtype.kind == "S")
    if not is_known or dataset.ndim != 1 or dataset.external or dataset.is_virtual or set(filters) - {h5py.h5z.FILTER_FLETCHER32}:
        raise InputError(
            ReasonCode.UNSAFE_MEMBER,
            f"{path}: {name!r} should be a flat array of {_KINDS[name]} in this file, it is {dataset.dtype} of {dataset.ndim} dimensions"
            f"{', kept elsewhere' if dataset.external or dataset.is_virtual else ''}. It was not read.",
        )
    if dataset.nbytes > file.id.get_filesize():
        raise InputError(ReasonCode.CORRUPT_SHARD, f"{path}: {name!r} claims {dataset.nbytes} bytes, more than the file has.")
    return dataset[()]


def _samples(arrays: dict[str, NDArray[Any]], num_levels: int, path: Path) -> list[Sample]:
    ids = [name.decode("ascii", "replace") for name in arrays["ids"].tolist()]
    for offsets, size in (("offsets", len(arrays["codes"]) // max(num_levels, 1)), ("text_offsets", len(arrays["texts"]))):
        found = arrays[offsets]
        if len(found) != len(ids) + 1 or found[0] != 0 or found[-1] != size or (np.diff(found) < 0).any() or (num_levels < 1 and ids):
            raise InputError(ReasonCode.CORRUPT_SHARD, f"{path}: {offsets!r} does not divide what it should; another program wrote this.")
    for utterance in ids:
        check_id(utterance)
    codes, texts = arrays["codes"], arrays["texts"].tobytes()
    frames, letters = (itertools.pairwise(arrays[name].tolist()) for name in ("offsets", "text_offsets"))
    return [
        Sample(utterance, codes[num_levels * a : num_levels * b].reshape(num_levels, b - a), texts[c:d])
        for utterance, (a, b), (c, d) in zip(ids, frames, letters, strict=True)
    ]


def _descriptions(data: bytes) -> list[Description]:
    found, place = [], data.find(FIRST_BYTES)
    while place >= 0:
        text = find_description(memoryview(data)[place:])
        found += [text] if text else []
        place = data.find(FIRST_BYTES, place + (text.nbytes if text else 1))
    return found


def _lies_at(view: memoryview, text: Description, place: int) -> bool:
    return text.fits(view[place : place + text.code_bytes])


def _search(view: memoryview, text: Description, start: int) -> int | None:
    """Where the codes of `text` lie, from `start` on."""
    step = 2 * text.values["num_levels"] if start else _ALIGNMENT
    return next((place for place in range(start, len(view) - text.code_bytes + 1, step) if _lies_at(view, text, place)), None)
