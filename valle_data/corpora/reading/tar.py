"""Members of a tar archive where they lie: names and ranges of bytes from the headers alone. Nothing is ever extracted.

Formats: POSIX.1-1988 (USTAR), POSIX.1-2001 (pax) and GNU. An ordinary reader takes a damaged header for the end of the archive and says nothing; this
one says so, and goes on at the next header.
"""

import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from valle_data.corpora.base import Refusal
from valle_data.errors import InputError, ReasonCode

BLOCK = tarfile.BLOCKSIZE
MAX_NAME_BYTES = 1 << 20
PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib")
_PAX = re.compile(rb"(\d+) ([^=]+)=")
CHUNK_BYTES = 1 << 16


@dataclass(frozen=True)
class Member:
    """A regular file in an archive: its bytes are `nbytes` from `offset` on."""

    name: str
    offset: int
    nbytes: int


def read_members(path: str, name: str) -> Iterator[Member | Refusal]:
    """Regular files in their order, and what is refused, as the archive `name`. Folders are passed over.

    Refusals: `unsafe_member` for a link, device, pickle, or a path that is absolute or leaves the archive; `corrupt_archive` for damaged headers, a cut
    archive, and data behind its end. Raises InputError `storage_failed`, or `corrupt_archive` for one that is packed and has no ranges to point at.
    """
    try:
        with open(path, "rb") as file:
            yield from _members(file, os.fstat(file.fileno()).st_size, name)
    except OSError as error:
        raise InputError(ReasonCode.STORAGE_FAILED, f"{path!r} cannot be read: {error.strerror}. Its recordings would be missing.") from error


def read_bytes(path: str, member: Member) -> bytes:
    """The content of a small member. Raises InputError `storage_failed`."""
    try:
        with open(path, "rb") as file:
            file.seek(member.offset)
            return file.read(member.nbytes)
    except OSError as error:
        raise InputError(ReasonCode.STORAGE_FAILED, f"{path!r} cannot be read: {error.strerror}. Its recordings would be missing.") from error


def _members(file: BinaryIO, size: int, archive: str) -> Iterator[Member | Refusal]:
    position, long_name, long_size = 0, "", None
    while header := _read(file, position, BLOCK):
        if header == bytes(BLOCK):
            if _has_more(file, position):
                yield _corrupt(archive, f"there is something behind its end at byte {position}, which is not used")
            return
        info = _parse(header)
        if info is None:
            if position == 0 and header.startswith(PACKED):
                raise InputError(ReasonCode.CORRUPT_ARCHIVE, f"{archive!r} is packed; members are read where they lie, so unpack it first (gunzip, zstd -d).")
            found = _next_header(file, position + BLOCK, size)
            going_on = "nothing behind it can be read" if found is None else f"reading goes on at byte {found}"
            yield _corrupt(archive, f"there is no valid header at byte {position}; {going_on}")
            if found is None:
                return
            position = found
            continue
        nbytes = info.size if long_size is None else long_size
        start, end = position + BLOCK, position + BLOCK + nbytes
        if end > size:
            yield _corrupt(archive, f"it is cut: member {info.name!r} wants {nbytes} bytes at {start}, the archive ends at {size}")
            return
        position = end + -nbytes % BLOCK
        if info.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME):
            long_name, long_size = _extended(_read(file, start, min(nbytes, MAX_NAME_BYTES)), info.type, long_name, long_size)
        elif info.type not in (tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK):
            yield from _judge(archive, info, Member(long_name or info.name, start, nbytes))
            long_name, long_size = "", None
    yield _corrupt(archive, f"it is cut at byte {size}: the blocks that end an archive are missing")


def _parse(header: bytes) -> tarfile.TarInfo | None:
    try:
        info = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return None
    return info if info.size >= 0 else None


def _extended(content: bytes, kind: bytes, name: str, size: int | None) -> tuple[str, int | None]:
    """Name and size that a pax or GNU header gives to the member behind it."""
    if kind == tarfile.GNUTYPE_LONGNAME:
        return content.rstrip(b"\0").decode("utf-8", "surrogateescape"), size
    position = 0
    while record := _PAX.match(content, position):
        end = position + int(record[1])
        if end <= record.end() or end > len(content):
            break
        value = content[record.end() : end - 1]
        if record[2] == b"path":
            name = value.decode("utf-8", "surrogateescape")
        elif record[2] == b"size" and value.isdigit():
            size = int(value)
        position = end
    return name, size


def _judge(archive: str, info: tarfile.TarInfo, member: Member) -> Iterator[Member | Refusal]:
    if info.isdir():
        return
    unsafe = None
    if not info.isreg():
        unsafe = f"is no regular file (type {info.type!r})"
    elif member.name.startswith("/") or ".." in member.name.split("/") or "\0" in member.name:
        unsafe = "has a path that leaves the archive"
    elif member.name.lower().endswith(PICKLES):
        unsafe = "is a pickle, which runs programs when it is read"
    if unsafe is None:
        yield member
    else:
        yield Refusal(archive, ReasonCode.UNSAFE_MEMBER, f"The member {member.name!r} {unsafe}. Nothing was written or run; it is passed over.")


def _next_header(file: BinaryIO, position: int, size: int) -> int | None:
    """The next block that is a header with a valid checksum and the magic of its format."""
    while position < size:
        header = _read(file, position, BLOCK)
        if header[257:262] == b"ustar" and _parse(header) is not None:
            return position
        position += BLOCK
    return None


def _has_more(file: BinaryIO, position: int) -> bool:
    file.seek(position)
    return any(any(chunk) for chunk in iter(lambda: file.read(CHUNK_BYTES), b""))


def _read(file: BinaryIO, position: int, nbytes: int) -> bytes:
    file.seek(position)
    return file.read(nbytes)


def _corrupt(archive: str, what: str) -> Refusal:
    return Refusal(archive, ReasonCode.CORRUPT_ARCHIVE, f"The archive is damaged: {what}. Download it again; what could be read of it is used.")
