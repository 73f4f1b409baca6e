"""WebDataset shards: plain USTAR archives that `tar` and any stock webdataset reader open, and that the loader reads in place.

An utterance is two members, `{id}.codes.npy` and `{id}.json`. Nothing here ever extracts an archive.
"""

import itertools
import os
import re
import struct
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from valle_data.errors import InputError, ReasonCode
from valle_data.shards.base import EncodedShard, Member, Sample, ShardFormat, check_id
from valle_data.shards.describe import FIRST_BYTES, find_description

BLOCK = tarfile.BLOCKSIZE
CODES, TEXT = ".codes.npy", ".json"
NPY_HEADER_BYTES = 128
_NPY_MAGIC = b"\x93NUMPY\x01\x00"
_NPY_SHAPE = re.compile(rb"\((\d{1,9}), (\d{1,9})\)")


@lru_cache(4096)
def _npy_header(num_levels: int, num_frames: int) -> bytes:
    length = NPY_HEADER_BYTES - len(_NPY_MAGIC) - 2
    header = f"{{'descr': '<u2', 'fortran_order': False, 'shape': ({num_levels}, {num_frames}), }}".encode()
    return _NPY_MAGIC + struct.pack("<H", length) + header.ljust(length - 1) + b"\n"


def encode_codes(codes: NDArray[np.uint16]) -> bytes:
    """Codes `[Q, T]` as a .npy file (format 1.0, uint16 little endian, C order) whose header is always 128 bytes, whatever numpy's version."""
    num_levels, num_frames = codes.shape
    return _npy_header(num_levels, num_frames) + np.ascontiguousarray(codes, dtype="<u2").tobytes()


def decode_codes(data: bytes | memoryview) -> NDArray[np.uint16]:
    """Codes `[Q, T]` of a .npy file that `encode_codes` wrote; a read-only view on `data`. Anything else (pickles!) is refused unread."""
    header = bytes(data[:NPY_HEADER_BYTES])
    sizes = _NPY_SHAPE.search(header)
    num_levels, num_frames = (int(size) for size in sizes.groups()) if sizes else (0, 0)
    if header != _npy_header(num_levels, num_frames) or len(data) != NPY_HEADER_BYTES + 2 * num_levels * num_frames:
        raise InputError(
            ReasonCode.UNSAFE_MEMBER,
            f"Codes are a .npy file of uint16 [Q, T] as `valle prepare` writes it; this one has {len(data)} bytes and begins with {header[:80]!r}.",
        )
    return np.frombuffer(data, dtype="<u2", offset=NPY_HEADER_BYTES).reshape(num_levels, num_frames)


class TarShard(ShardFormat):
    """See the module."""

    extension = "tar"
    header_bytes = NPY_HEADER_BYTES
    alignment = BLOCK

    def encode(self, samples: Sequence[Sample]) -> EncodedShard:
        """The archive: members in the order given, time 0, nobody's, padded to 10,240 bytes as `tar` does."""
        archive, members = bytearray(), []
        for sample in samples:
            check_id(sample.id)
            codes = encode_codes(sample.codes)
            members.append(Member(offset=len(archive) + BLOCK, nbytes=len(codes), crc32=zlib.crc32(codes)))
            _append(archive, sample.id + CODES, codes)
            _append(archive, sample.id + TEXT, sample.text)
        archive += bytes(2 * BLOCK)
        archive += bytes(-len(archive) % tarfile.RECORDSIZE)
        return EncodedShard(bytes(archive), tuple(members))

    def header(self, num_levels: int, num_frames: int) -> bytes:
        return _npy_header(num_levels, num_frames)

    def codes(self, member: bytes | memoryview, num_levels: int) -> NDArray[np.uint16]:
        return decode_codes(member)

    def read(self, data: bytes, path: Path) -> list[Sample]:
        found = list(walk(data, path))
        samples = []
        for codes, text in itertools.zip_longest(found[::2], found[1::2]):
            utterance = codes.name.removesuffix(CODES)
            if text is None or (codes.name, text.name) != (utterance + CODES, utterance + TEXT):
                raise InputError(ReasonCode.CORRUPT_SHARD, f"{path}: {codes.name!r} is not one of a pair ID{CODES}, ID{TEXT}; another program wrote this.")
            array = decode_codes(memoryview(data)[codes.offset : codes.offset + codes.nbytes])
            samples.append(Sample(utterance, array, data[text.offset : text.offset + text.nbytes]))
        return samples

    def salvage(self, data: bytes) -> list[Sample]:
        """Headers are not needed: a description begins a block, and its codes end before the header in front of it."""
        view, samples = memoryview(data), {}
        for block in range(BLOCK, len(data), BLOCK):
            if data[block : block + len(FIRST_BYTES)] != FIRST_BYTES or (text := find_description(view[block:])) is None:
                continue
            start = block - BLOCK - (text.code_bytes + NPY_HEADER_BYTES + -(text.code_bytes + NPY_HEADER_BYTES) % BLOCK) + NPY_HEADER_BYTES
            codes = view[max(start, 0) : max(start, 0) + text.code_bytes]
            if start > 0 and text.fits(codes):
                samples[text.id] = text.sample(codes)
        return [samples[utterance] for utterance in sorted(samples)]


def _append(archive: bytearray, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    archive += info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % BLOCK)


def read_member(path: Path, offset: int, nbytes: int, crc32: int) -> bytes:
    """`nbytes` at `offset` of the shard at `path`, verified; what does not match its checksum is never returned."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise InputError(
            ReasonCode.MISSING_SHARD, f"{path} is gone, but its part is committed. Restore it, or remove the part's commit record and prepare again."
        ) from None
    except OSError as error:
        raise InputError(ReasonCode.STORAGE_FAILED, f"Could not open {path}: {error.strerror}.") from error
    try:
        data = os.pread(descriptor, nbytes, offset)
    except OSError as error:
        raise InputError(ReasonCode.STORAGE_FAILED, f"Could not read {nbytes} bytes at {offset} of {path}: {error.strerror}.") from error
    finally:
        os.close(descriptor)
    if len(data) != nbytes or zlib.crc32(data) != crc32:
        raise InputError(
            ReasonCode.CORRUPT_SHARD,
            f"{path}: {nbytes} bytes at {offset} should have crc32 {crc32:08x}, but {len(data)} were read with {zlib.crc32(data):08x}. "
            "Run `valle metadata DATASET --check`.",
        )
    return data


@dataclass(frozen=True)
class WalkedMember:
    """A regular member of an archive; `offset` is that of its data."""

    name: str
    offset: int
    nbytes: int


def walk(data: bytes, path: Path) -> Iterator[WalkedMember]:
    """The members of the shard at `path` from its headers, strictly: whatever our writer does not write ends the walk with an error.

    Raises InputError: `unsafe_member` for links, devices, folders, paths and foreign names; `corrupt_shard` for broken headers, cut files
    and data after the end.
    """
    offset = 0
    while (header := data[offset : offset + BLOCK]) != bytes(BLOCK):
        try:
            info = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise InputError(ReasonCode.CORRUPT_SHARD, f"{path}: no valid header at byte {offset} ({error}).") from error
        _check_member(path, info)
        if offset + BLOCK + info.size > len(data):
            raise InputError(ReasonCode.CORRUPT_SHARD, f"{path} is cut: member {info.name!r} wants {info.size} bytes at {offset + BLOCK} of {len(data)}.")
        yield WalkedMember(info.name, offset + BLOCK, info.size)
        offset += BLOCK + info.size + -info.size % BLOCK
    if len(data) - offset < 2 * BLOCK or any(data[offset:]):
        raise InputError(ReasonCode.CORRUPT_SHARD, f"{path}: the end of the archive at byte {offset} is cut or has something behind it.")


def _check_member(path: Path, info: tarfile.TarInfo) -> None:
    kind = "a regular file" if info.isreg() else f"of type {info.type!r}"
    stem = next((info.name.removesuffix(suffix) for suffix in (CODES, TEXT) if info.name.endswith(suffix)), "")
    try:
        check_id(stem)
    except InputError:
        stem = ""
    if not info.isreg() or not stem:
        raise InputError(
            ReasonCode.UNSAFE_MEMBER,
            f"{path}: a shard holds only regular files named ID{CODES} and ID{TEXT}, but {info.name!r} is {kind}. Nothing was extracted.",
        )
