"""FLAC: RFC 9639."""

from typing import BinaryIO

from valle_data.audio_containers.base import Container, Declared, bad_header, id3_length, truncated

SYNC = b"\xff"
"""Begins a frame header, in which more is checked."""
MAX_HEADER_BYTES = 16
MAX_FRAME_BYTES = 1 << 16


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
    """Every frame has a checksum and says where it lies, so the last one tells how long the file is; the decoder, which stops at the total, tells the rest."""
    declared = _flac_header(file, size).num_frames
    end = _end_of_last_frame(file, size)
    if declared is not None and end is not None and end > declared:
        raise bad_header("total samples", declared, f"the file goes on to sample {end}")
    return declared


def _end_of_last_frame(file: BinaryIO, size: int) -> int | None:
    """The number of samples up to the end of the frame that ends with the file; None where none does, as something else is behind the frames."""
    start = id3_length(file)
    file.seek(start + 8)
    info = file.read(10)
    block_size, longest = int.from_bytes(info[2:4], "big"), int.from_bytes(info[7:10], "big") or MAX_FRAME_BYTES
    begin = max(size - longest, start + 42)
    file.seek(begin)
    data = file.read(size - begin)
    place = len(data)
    while (place := data.rfind(SYNC, 0, place)) >= 0:
        end = _end_of_frame(data[place : place + MAX_HEADER_BYTES], block_size)
        if end is not None and not _remainder(CRC16, 16, data[place:]):
            return end
    return None


def _end_of_frame(head: bytes, block_size: int) -> int | None:
    """The number of samples up to the end of the frame with this header (RFC 9639, section 9.1); None where the bytes are no header."""
    if len(head) < 6 or head[1] & 0xFE != 0xF8 or head[3] & 1:
        return None
    leading = 8 - (head[4] ^ 0xFF).bit_length()
    num_bytes, code = max(leading, 1), head[2] >> 4
    extra = {6: 1, 7: 2}.get(code, 0)
    length = 4 + num_bytes + extra + {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    if leading in (1, 8) or code == 0 or len(head) <= length or _remainder(CRC8, 8, head[: length + 1]):
        return None
    number = head[4] & (0x7F >> leading)
    for byte in head[5 : 4 + num_bytes]:
        number = number << 6 | byte & 0x3F
    if extra:
        num_samples = int.from_bytes(head[4 + num_bytes : 4 + num_bytes + extra], "big") + 1
    else:
        num_samples = 192 if code == 1 else 144 << code if code < 6 else 1 << code
    is_variable = head[1] & 1
    return (number if is_variable else number * block_size) + num_samples


def _table(polynomial: int, bits: int) -> tuple[int, ...]:
    """What each byte adds to a checksum."""
    table = []
    for byte in range(256):
        value = byte << (bits - 8)
        for _ in range(8):
            value = value << 1 ^ (polynomial if value >> (bits - 1) else 0)
            value &= (1 << bits) - 1
        table.append(value)
    return tuple(table)


CRC8, CRC16 = _table(0x07, 8), _table(0x8005, 16)


def _remainder(table: tuple[int, ...], bits: int, data: bytes) -> int:
    """0 for data that ends with its own checksum."""
    value, mask = 0, (1 << bits) - 1
    for byte in data:
        value = (value << 8 & mask) ^ table[value >> (bits - 8) ^ byte]
    return value


FLAC = Container("flac", _flac_header, _flac_complete)
