"""Audio files from the outside: which container, what its header declares, and whether the file is whole.

Decoders read cut and damaged WAV, OGG and MP3 files without a word, so completeness is decided here from the container's own structure. What no
structure tells: a constant-bit-rate MP3 without a Xing, Info or VBRI frame that is cut exactly between two frames, a FLAC with tags behind its frames whose
header declares less than it holds, and a WAV with flipped samples. A variable-bit-rate MP3 without such a frame is refused although it may be whole.
Nothing here allocates more than one page of the file whatever its header says.
"""

from typing import BinaryIO

from valle_data.audio_containers.base import Container, id3_length
from valle_data.audio_containers.flac import FLAC
from valle_data.audio_containers.mp3 import MP3, begins_with_mpeg_frames
from valle_data.audio_containers.ogg import OGG
from valle_data.audio_containers.wav import WAV


def identify(file: BinaryIO, size: int) -> Container | None:
    """The container by its first bytes, never by its name; None for anything that is not on the list."""
    file.seek(0)
    head = file.read(12)
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return WAV
    if head[:4] == b"fLaC":
        return FLAC
    if head[:4] == b"OggS":
        return OGG
    start = id3_length(file)
    file.seek(start)
    if file.read(4) == b"fLaC":
        return FLAC
    return MP3 if begins_with_mpeg_frames(file, start, size) else None
