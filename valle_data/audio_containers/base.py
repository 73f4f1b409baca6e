"""What a container check owes, and what containers share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from valle_data.errors import InputError, ReasonCode


@dataclass(frozen=True)
class Declared:
    """What the header says. None where the container does not say."""

    container: str
    sample_rate_hz: int
    num_channels: int
    num_frames: int | None


@dataclass(frozen=True)
class Container:
    """`read_header` is cheap; `check_complete` may read the whole file and returns the least number of frames a whole decoding gives, if it knows."""

    name: str
    read_header: Callable[[BinaryIO, int], Declared]
    check_complete: Callable[[BinaryIO, int], int | None]


def bad_header(field: str, value: object, rule: str) -> InputError:
    return InputError(ReasonCode.BAD_HEADER, f"{field} is {value}: {rule}.")


def truncated(declared: str, found: str) -> InputError:
    return InputError(ReasonCode.TRUNCATED_AUDIO, f"The header declares {declared}, the file holds {found}.")


def id3_length(file: BinaryIO) -> int:
    """Bytes of an ID3v2 tag at the beginning, 0 without one."""
    file.seek(0)
    head = file.read(10)
    if len(head) < 10 or head[:3] != b"ID3" or any(byte & 0x80 for byte in head[6:10]):
        return 0
    return 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]) + (10 if head[5] & 0x10 else 0)
