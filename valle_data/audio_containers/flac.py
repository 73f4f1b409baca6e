"""FLAC: RFC 9639."""

from typing import BinaryIO

from valle_data.audio_containers.base import Container, Declared, bad_header, id3_length, truncated


def _flac_header(file: BinaryIO, size: int) -> Declared:
    start = id3_length(file)
    file.seek(start)
    block = file.read(4 + 4 + 34)
    if len(block) < 42:
        raise truncated("a STREAMINFO block of 34 bytes", f"{max(len(block) - 8, 0)}")
    if block[4] & 0x7F != 0:
        raise bad_header("first metadata block", block[4] & 0x7F, "a FLAC file begins with STREAMINFO (0)")
    packed = int.from_bytes(block[18:26], "big")
    total = packed & ((1 << 36) - 1)
    if total == 0:
        raise bad_header(
            "total samples", 0, "only a file that says how long it is can be seen to be whole; a streaming program wrote this one, encode it to a file"
        )
    return Declared("flac", packed >> 44, ((packed >> 41) & 7) + 1, total)


def _flac_complete(file: BinaryIO, size: int) -> int | None:
    """Every FLAC frame has a checksum and STREAMINFO the total, so the decoder's count decides."""
    return _flac_header(file, size).num_frames


FLAC = Container("flac", _flac_header, _flac_complete)
