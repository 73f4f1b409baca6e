"""Ogg: RFC 3533; Vorbis I, section 4.2.2; Opus: RFC 7845."""

import zlib
from typing import BinaryIO

from valle_data.audio_containers.base import Container, Declared, bad_header, truncated
from valle_data.errors import InputError, ReasonCode

BIT_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def ogg_checksum(page: bytes) -> int:
    """CRC-32 of RFC 3533 (polynomial 0x04c11db7, most significant bit first, no inversion), by zlib's mirrored one."""
    mirrored = zlib.crc32(page.translate(BIT_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def _ogg_header(file: BinaryIO, size: int) -> Declared:
    file.seek(0)
    head = file.read(27 + 255 + 64)
    packet = head[27 + head[26] :] if len(head) > 27 else b""
    if packet[:7] == b"\x01vorbis" and len(packet) >= 16:
        return Declared("ogg", int.from_bytes(packet[12:16], "little"), packet[11], None)
    if packet[:8] == b"OpusHead" and len(packet) >= 19:
        return Declared("ogg", 48000, packet[9], None)
    if len(packet) < 19:
        raise truncated("an Ogg stream", f"{size} bytes, which end in its first page")
    raise bad_header("Ogg stream", repr(packet[:8]), "only Vorbis and Opus are read")


def _ogg_complete(file: BinaryIO, size: int) -> int | None:
    """Walk the pages: checksums, sequence, one stream, and the end-of-stream flag on the last one."""
    position, sequence, serial, ended = 0, 0, None, False
    while position < size:
        file.seek(position)
        head = file.read(27)
        if len(head) < 27 or head[:4] != b"OggS":
            raise truncated("Ogg pages end to end", f"something else at byte {position} of {size}")
        lacing = file.read(head[26])
        body = file.read(sum(lacing))
        if len(lacing) < head[26] or len(body) < sum(lacing):
            raise truncated(f"an Ogg page of {27 + head[26] + sum(lacing)} bytes at byte {position}", f"{size - position} of them")
        checksum = int.from_bytes(head[22:26], "little")
        if ogg_checksum(head[:22] + bytes(4) + head[26:] + lacing + body) != checksum:
            raise InputError(ReasonCode.TRUNCATED_AUDIO, f"The Ogg page at byte {position} does not match its checksum {checksum:08x}: the file is damaged.")
        number = int.from_bytes(head[18:22], "little")
        if ended or (serial is not None and head[14:18] != serial):
            raise bad_header("Ogg stream", f"{head[14:18].hex()} at byte {position}", "one file holds one stream")
        if number != sequence:
            raise truncated(f"Ogg page {sequence} at byte {position}", f"page {number} there")
        serial, sequence, ended = head[14:18], sequence + 1, bool(head[5] & 4)
        position += 27 + len(lacing) + len(body)
    if not ended:
        raise truncated("a last Ogg page with the end-of-stream flag", f"{sequence} pages without one")
    return None


OGG = Container("ogg", _ogg_header, _ogg_complete)
