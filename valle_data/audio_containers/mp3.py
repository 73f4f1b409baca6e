"""MP3: ISO 11172-3, section 2.4; Xing, Info and VBRI frames."""

from dataclasses import dataclass
from typing import BinaryIO

from valle_data.audio_containers.base import Container, Declared, bad_header, id3_length, truncated

BIT_RATES_KBPS = {3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320), 2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)}
SAMPLE_RATES_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


@dataclass(frozen=True)
class MpegFrame:
    """One Layer III frame header. `version` 3 is MPEG-1, 2 is MPEG-2, 0 is MPEG-2.5."""

    version: int
    sample_rate_hz: int
    num_channels: int
    num_bytes: int

    @property
    def num_samples(self) -> int:
        return 1152 if self.version == 3 else 576

    @property
    def side_information_bytes(self) -> int:
        return ((32 if self.num_channels == 2 else 17) if self.version == 3 else (17 if self.num_channels == 2 else 9)) + 4


def parse_mpeg_frame(head: bytes) -> MpegFrame | None:
    """The frame that begins with these four bytes, None where they begin none."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer, rate_index, sample_index = (head[1] >> 3) & 3, (head[1] >> 1) & 3, head[2] >> 4, (head[2] >> 2) & 3
    if version == 1 or layer != 1 or rate_index in (0, 15) or sample_index == 3:
        return None
    sample_rate = SAMPLE_RATES_HZ[version][sample_index]
    bit_rate = BIT_RATES_KBPS[3 if version == 3 else 2][rate_index] * 1000
    num_bytes = (144 if version == 3 else 72) * bit_rate // sample_rate + ((head[2] >> 1) & 1)
    return MpegFrame(version, sample_rate, 1 if head[3] >> 6 == 3 else 2, num_bytes)


def begins_with_mpeg_frames(file: BinaryIO, start: int, size: int) -> bool:
    """Whether a frame stands at `start` and another where it ends; random bytes fail the second test. The only frame of a file passes."""
    file.seek(start)
    first = parse_mpeg_frame(file.read(4))
    if first is None:
        return False
    file.seek(start + first.num_bytes)
    return start + first.num_bytes >= size - 4 or parse_mpeg_frame(file.read(4)) is not None


def _mp3_header(file: BinaryIO, size: int) -> Declared:
    file.seek(id3_length(file))
    frame = parse_mpeg_frame(file.read(4))
    if frame is None:
        raise bad_header("first frame", "not MPEG Layer III", "an MP3 file begins with one")
    return Declared("mp3", frame.sample_rate_hz, frame.num_channels, None)


def _declared_mpeg_frames(first: bytes, frame: MpegFrame) -> int | None:
    """Frames that follow the information frame, as it says; None for an ordinary frame."""
    info = first[frame.side_information_bytes :]
    if info[:4] in (b"Xing", b"Info") and len(info) >= 12 and info[7] & 1:
        return int.from_bytes(info[8:12], "big")
    vbri = first[36:]
    if vbri[:4] == b"VBRI" and len(vbri) >= 18:
        return int.from_bytes(vbri[14:18], "big")
    return None


def _mp3_end(file: BinaryIO, size: int) -> int:
    """Where frames end: before an ID3v1 tag and an APE tag."""
    file.seek(max(size - 128, 0))
    end = size - 128 if file.read(3) == b"TAG" else size
    if end >= 32:
        file.seek(end - 32)
        footer = file.read(32)
        if footer[:8] == b"APETAGEX":
            end -= int.from_bytes(footer[12:16], "little") + (32 if footer[23] & 0x80 else 0)
    return end


def _mp3_complete(file: BinaryIO, size: int) -> int | None:
    """Walk the frames: none cut, none missing against the information frame; the result allows for the samples that decoders drop at both ends."""
    position, end, count, declared, samples = id3_length(file), _mp3_end(file, size), 0, None, 0
    while position < end:
        file.seek(position)
        head = file.read(4)
        frame = parse_mpeg_frame(head)
        if frame is None:
            if position + 4 > end or not count:
                raise truncated(f"an MPEG frame at byte {position}", f"{end - position} bytes there")
            raise bad_header("MPEG frame", f"{head.hex()} at byte {position}", "frames follow each other without a gap; the file is damaged or cut")
        if position + frame.num_bytes > end:
            raise truncated(f"an MPEG frame of {frame.num_bytes} bytes at byte {position}", f"{end - position} of them")
        if count == 0:
            declared = _declared_mpeg_frames(head + file.read(frame.num_bytes - 4), frame)
        count, samples, position = count + 1, frame.num_samples, position + frame.num_bytes
    num_audio = count - 1 if declared is not None else count
    if declared is not None and num_audio < declared:
        raise truncated(f"{declared} MPEG frames", f"{num_audio}")
    return max(num_audio - 4, 0) * samples


MP3 = Container("mp3", _mp3_header, _mp3_complete)
