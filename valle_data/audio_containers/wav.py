"""WAV: http://soundfile.sapp.org/doc/WaveFormat; RF64: EBU Tech 3306."""

import struct
from dataclasses import dataclass
from typing import BinaryIO

from valle_data.audio_containers.base import Container, Declared, bad_header, truncated

UNBELIEVABLE_BYTES = 1 << 31
"""A declared size from here on that the file does not have is a lie or a writer's placeholder rather than a cut."""
MAX_CHUNKS = 1000
"""Ahead of the samples. Without an end to the search, megabytes of zeros are millions of empty chunks."""


@dataclass(frozen=True)
class _Wav:
    tag: int
    num_channels: int
    sample_rate_hz: int
    bytes_per_second: int
    block_align: int
    bits: int
    riff_bytes: int
    data_start: int
    data_bytes: int


PCM_TAGS = (1, 3)
EXTENSIBLE_TAG = 0xFFFE


def _parse_wav(file: BinaryIO, size: int) -> _Wav:
    file.seek(0)
    riff = file.read(12)
    riff_bytes = struct.unpack("<I", riff[4:8])[0]
    position, fmt, data_bytes_64 = 12, None, None
    for _ in range(MAX_CHUNKS):
        if position + 8 > size:
            break
        file.seek(position)
        name, length = struct.unpack("<4sI", file.read(8))
        if name == b"ds64" and length >= 16:
            riff_bytes, data_bytes_64 = struct.unpack("<QQ", file.read(16))
        elif name == b"fmt ":
            if length < 16 or position + 8 + 16 > size:
                raise bad_header("fmt chunk size", length, "a WAV format has at least 16 bytes")
            fmt = struct.unpack("<HHIIHH", file.read(16))
            if fmt[0] == EXTENSIBLE_TAG and length >= 26:
                file.seek(position + 8 + 24)
                fmt = (int.from_bytes(file.read(2), "little"), *fmt[1:])
        elif name == b"data":
            if fmt is None:
                raise bad_header("fmt chunk", "missing", "a WAV file says how its samples are stored before it stores them")
            data_bytes = data_bytes_64 if length == 0xFFFFFFFF and data_bytes_64 is not None else length
            return _Wav(*fmt, riff_bytes=riff_bytes, data_start=position + 8, data_bytes=data_bytes)
        position += 8 + length + length % 2
    else:
        raise bad_header("data chunk", f"behind {MAX_CHUNKS} others", "a recording describes itself in a few")
    if position > size or fmt is None or size < riff_bytes + 8:
        raise truncated("a data chunk", f"{size} bytes that end before it")
    raise bad_header("data chunk", "missing", "a WAV file without samples says nothing")


def _wav_header(file: BinaryIO, size: int) -> Declared:
    wav = _parse_wav(file, size)
    if wav.tag in PCM_TAGS:
        if wav.block_align == 0 or wav.block_align != wav.num_channels * ((wav.bits + 7) // 8):
            raise bad_header("block align", wav.block_align, f"{wav.num_channels} channels of {wav.bits} bits need {wav.num_channels * ((wav.bits + 7) // 8)}")
        if wav.bytes_per_second != wav.sample_rate_hz * wav.block_align:
            expected = f"{wav.bytes_per_second} bytes per second of {wav.block_align} bytes each make {wav.bytes_per_second // wav.block_align} Hz"
            raise bad_header("sample rate", f"{wav.sample_rate_hz} Hz", expected)
    held = size - wav.data_start
    if wav.data_bytes > held and wav.data_bytes >= UNBELIEVABLE_BYTES:
        raise bad_header("data size", f"{wav.data_bytes} bytes", f"the file has {held}; streaming programs leave this placeholder, export to a file")
    frames = wav.data_bytes // wav.block_align if wav.tag in PCM_TAGS else None
    return Declared("wav", wav.sample_rate_hz, wav.num_channels, frames)


def _wav_complete(file: BinaryIO, size: int) -> int | None:
    wav = _parse_wav(file, size)
    held = size - wav.data_start
    if wav.data_bytes > held:
        frames = f"{wav.data_bytes // max(wav.block_align, 1)} frames", f"{held // max(wav.block_align, 1)} frames"
        raise truncated(*frames)
    # One byte less is the padding that some writers leave away.
    if wav.riff_bytes < UNBELIEVABLE_BYTES and wav.riff_bytes + 8 > size + 1:
        raise truncated(f"{wav.riff_bytes + 8} bytes", f"{size}")
    if wav.tag in PCM_TAGS and wav.data_bytes % wav.block_align:
        raise truncated(f"frames of {wav.block_align} bytes", f"{wav.data_bytes % wav.block_align} bytes of the last one")
    return wav.data_bytes // wav.block_align if wav.tag in PCM_TAGS else None


WAV = Container("wav", _wav_header, _wav_complete)
