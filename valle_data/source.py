"""The bytes of a recording: a file, or a range of one, and what tells one content from another."""

import io
import os
from collections.abc import Iterator
from typing import BinaryIO

import xxhash

from valle_data.errors import InputError, ReasonCode
from valle_data.records import AudioRef

CHUNK_BYTES = 1 << 20


class Range(io.RawIOBase):
    """Bytes `offset` to `offset + nbytes` of an open file as a file of their own, read only; nothing outside of them is ever read.

    Closing it leaves the file open. A failure to read ends the range and is kept in `error`, as libsndfile's callbacks may not raise.
    """

    def __init__(self, file: BinaryIO, offset: int, nbytes: int) -> None:
        super().__init__()
        self._descriptor, self._offset, self._nbytes, self._position = file.fileno(), offset, nbytes, 0
        self.error: OSError | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._nbytes}[whence]
        if start + offset < 0:
            raise ValueError(f"A position is not negative; {start + offset} was asked for.")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override] - what RawIOBase asks for, said plainly
        wanted = min(len(buffer), max(self._nbytes - self._position, 0))
        try:
            content = os.pread(self._descriptor, wanted, self._offset + self._position)
        except OSError as error:
            self.error, content = error, b""
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)


def check_range(ref: AudioRef, num_bytes: int) -> None:
    """Raise InputError `truncated_audio` unless the range of `ref` lies in its file of `num_bytes`."""
    offset, nbytes = ref.offset or 0, ref.nbytes or 0
    if offset < 0 or nbytes <= 0 or offset + nbytes > num_bytes:
        message = f"The recording is bytes {offset} to {offset + nbytes} of a file that has {num_bytes}. The file was cut or replaced after it was listed."
        raise InputError(ReasonCode.TRUNCATED_AUDIO, message)


def file_digest(path: str) -> str:
    """xxh3-128 of a file's bytes. Raises OSError."""
    return audio_digest(AudioRef(path))


def audio_digest(ref: AudioRef) -> str:
    """xxh3-128 of the bytes of a recording: of its file, or of its range of one, as far as that exists. Stretches of one recording have one digest.

    Raises OSError.
    """
    digest = xxhash.xxh3_128()
    with open(ref.path, "rb", buffering=0) as file:
        for chunk in _chunks(file.fileno(), ref.offset or 0, ref.nbytes if ref.offset is not None else None):
            digest.update(chunk)
    return digest.hexdigest()


def _chunks(descriptor: int, offset: int, nbytes: int | None) -> Iterator[bytes]:
    while chunk := os.pread(descriptor, CHUNK_BYTES if nbytes is None else min(CHUNK_BYTES, nbytes), offset):
        yield chunk
        offset += len(chunk)
        nbytes = None if nbytes is None else nbytes - len(chunk)
