"""Recordings in: what a file is, and one stretch of it as a mono waveform. `prepare` and `synth` read through the same function.

Plain functions without state, so that a caller can run them in a child process with a limit on time and memory.
"""

import errno
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from valle_data.audio_containers import identify
from valle_data.audio_containers.base import Container, Declared, bad_header, truncated
from valle_data.config import StageConfig
from valle_data.errors import InputError, ReasonCode
from valle_data.records import AudioRef
from valle_data.sound import Sound
from valle_data.source import Range, check_range

MIN_SAMPLE_RATE_HZ, MAX_SAMPLE_RATE_HZ = 4000, 192000
BLOCK_FRAMES = 1 << 16
BYTES_PER_SAMPLE = 4
READ_BYTES = 1 << 16
ROUNDING_S = 0.01
"""How far a stretch may reach beyond its recording: tables give starts and lengths in seconds with two decimals, each rounded for itself."""
FULL_SCALE = 0.9999
ABSURD_SAMPLE = 16.0
"""24 dB over full scale: no float recording gets there, integers stored as floats do."""
SILENT_SPREAD = 1e-4
"""Loudest minus quietest sample, -80 dB of full scale: below it there are only zeros, an offset or a dither bit."""


class AudioLimits(StageConfig):
    """What counts as a usable recording."""

    min_duration_s: float = Field(default=0.1, ge=0, description="shorter stretches are refused")
    max_duration_s: float = Field(default=60.0, gt=0, description="longer stretches are refused before they are decoded")
    max_decoded_bytes: PositiveInt = Field(default=256 * 1024 * 1024, description="of decoded float32 samples of all channels; a decompression bomb stops here")
    max_clipped_fraction: float = Field(default=0.02, ge=0, le=1, description="share of samples at full scale or beyond")
    max_channels: PositiveInt = Field(default=8, description="more channels than this are not a speech recording")


@dataclass(frozen=True)
class AudioInfo:
    """A recording as its header declares it; `num_frames` are samples per channel."""

    container: str
    sample_rate_hz: int
    num_channels: int
    num_frames: int
    num_bytes: int

    @property
    def duration_s(self) -> float:
        return self.num_frames / self.sample_rate_hz


def probe(recording: AudioRef | str, limits: AudioLimits) -> AudioInfo:
    """What the header of the whole recording declares, without decoding; a string is the path of a file.

    Raises InputError `not_audio`, `bad_header`, `storage_failed`, and `truncated_audio` for a range that its file does not have.
    """
    ref = AudioRef(recording) if isinstance(recording, str) else recording
    with _located(ref), _opened(ref) as (file, size, container):
        declared = _believable(container.read_header(file, size), limits)
        with _decoder(file, declared) as decoder:
            frames = decoder.frames if declared.num_frames is None else declared.num_frames
            return AudioInfo(declared.container, decoder.samplerate, declared.num_channels, frames, size)


def read_audio(ref: AudioRef, sample_rate_hz: int, limits: AudioLimits) -> NDArray[np.float32]:
    """The stretch as float32 `[N]` in -1..1 at `sample_rate_hz`, resampled by soxr (HQ); raises what `read_sound` raises."""
    return read_sound(ref, limits).at(sample_rate_hz)


def read_sound(ref: AudioRef, limits: AudioLimits) -> Sound:
    """The stretch at the recording's own rate: one channel, or the mean of all.

    A cut file is refused whatever stretch of it is asked for; damage that cuts nothing is found where the stretch lies, in Ogg anywhere. Raises InputError
    `not_audio`, `bad_header`, `truncated_audio`, `empty_audio`, `silent_audio`, `clipped_audio`, `non_finite_audio`, `too_short`, `too_long` or
    `storage_failed`; each message begins with the path.
    """
    with _located(ref), _opened(ref) as (file, size, container):
        declared = _believable(container.read_header(file, size), limits)
        least_frames = container.check_complete(file, size)
        with _decoder(file, declared) as decoder:
            stretch = _decode(decoder, ref, limits, declared.num_frames, least_frames)
            if declared.num_frames and ref.duration_s is not None:
                _check_end(decoder, declared.num_frames)
            rate = decoder.samplerate
        _check_stretch(stretch, rate, limits)
    return Sound(stretch.mono, rate)


@contextmanager
def _located(ref: AudioRef) -> Iterator[None]:
    """Begin every message with the file's real path, escaped where it is not printable, and the place of the recording in it."""
    try:
        yield
    except InputError as error:
        real = ref.path if "\0" in ref.path else os.path.realpath(ref.path)
        inside = "" if ref.offset is None else f" at byte {ref.offset}"
        raise InputError(error.reason, f"{real!r}{inside}: {error.args[0]}") from error.__cause__


@contextmanager
def _opened(ref: AudioRef) -> Iterator[tuple[BinaryIO, int, Container]]:
    """The file or its range, the size of that in bytes and its container. A pipe or device is refused before it can block."""
    try:
        status = os.stat(ref.path)
        if not stat.S_ISREG(status.st_mode):
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise InputError(ReasonCode.NOT_AUDIO, f"A recording is a file; this is {kind}.")
        file = open(ref.path, "rb")  # noqa: SIM115 - closed below, where reading errors are not taken for opening errors
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(_opening_reason(error), f"The file cannot be opened: {getattr(error, 'strerror', None) or error}.") from error
    with file:
        content, size = _content(file, ref, status.st_size)
        with _readable(content):
            container = identify(content, size) if size else None
            if container is None:
                content.seek(0)
                found = f"this one begins with {content.read(12)!r}" if size else "this one is empty"
                raise InputError(ReasonCode.NOT_AUDIO, f"Recordings are WAV, FLAC, Ogg or MP3 files, whatever their names; {found}.")
            yield content, size, container


@contextmanager
def _readable(content: BinaryIO) -> Iterator[None]:
    """A disk that fails within the block becomes InputError `storage_failed`, whatever the block made of the bytes that it did not get."""
    failure = None
    try:
        yield
    except OSError as error:
        failure = error
    except InputError:
        failure = _failure(content)
        if failure is None:
            raise
    failure = failure or _failure(content)
    if failure is not None:
        raise InputError(
            ReasonCode.STORAGE_FAILED, f"Reading failed: {failure.strerror or failure}. Repair the disk and run the same command again."
        ) from failure


def _failure(content: BinaryIO) -> OSError | None:
    return content.raw.error if isinstance(content, io.BufferedReader) and isinstance(content.raw, Range) else None


def _content(file: BinaryIO, ref: AudioRef, num_bytes: int) -> tuple[BinaryIO, int]:
    """The file, or the range of it that is the recording, and how many bytes that has."""
    if ref.offset is None or ref.nbytes is None:
        return file, num_bytes
    check_range(ref, num_bytes)
    return io.BufferedReader(Range(file, ref.offset, ref.nbytes), READ_BYTES), ref.nbytes  # type: ignore[return-value] - it reads bytes


def _opening_reason(error: OSError | ValueError) -> ReasonCode:
    """A path that leads nowhere is bad input; a disk that fails or a missing permission is not."""
    nowhere = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO)
    return ReasonCode.NOT_AUDIO if isinstance(error, ValueError) or error.errno in nowhere else ReasonCode.STORAGE_FAILED


def _believable(declared: Declared, limits: AudioLimits) -> Declared:
    if not MIN_SAMPLE_RATE_HZ <= declared.sample_rate_hz <= MAX_SAMPLE_RATE_HZ:
        raise bad_header("sample rate", f"{declared.sample_rate_hz} Hz", f"speech is recorded at {MIN_SAMPLE_RATE_HZ} to {MAX_SAMPLE_RATE_HZ} Hz")
    if not 1 <= declared.num_channels <= limits.max_channels:
        raise bad_header("channels", declared.num_channels, f"a speech recording has 1 to {limits.max_channels}")
    return declared


@contextmanager
def _decoder(file: BinaryIO, declared: Declared) -> Iterator[soundfile.SoundFile]:
    """libsndfile on the open file, so that no name is interpreted and no second file is opened; on a range through callbacks, which are slower."""
    try:
        if isinstance(file, io.BufferedReader) and isinstance(file.raw, Range):
            file.seek(0)
            decoder = soundfile.SoundFile(file)
        else:
            os.lseek(file.fileno(), 0, os.SEEK_SET)
            decoder = soundfile.SoundFile(file.fileno(), closefd=False)
    except soundfile.LibsndfileError as error:
        raise InputError(ReasonCode.BAD_HEADER, f"It begins as {declared.container} but cannot be decoded: {error.error_string}") from error
    with decoder:
        if decoder.channels != declared.num_channels:
            raise bad_header("channels", declared.num_channels, f"the stream has {decoder.channels}")
        yield decoder


@dataclass(frozen=True)
class _Stretch:
    """Mono samples `[n]`, and how many samples of each used channel reach full scale."""

    mono: NDArray[np.float32]
    num_clipped: NDArray[np.int64]


def _decode(decoder: soundfile.SoundFile, ref: AudioRef, limits: AudioLimits, declared_frames: int | None, least_frames: int | None) -> _Stretch:
    """Mono samples of the stretch, block by block, never more than the limits allow."""
    rate = decoder.samplerate
    start = round(ref.start_s * rate)
    wanted = None if ref.duration_s is None else round(ref.duration_s * rate)
    if wanted is not None and declared_frames is not None and 0 < start + wanted - declared_frames <= ROUNDING_S * rate:
        wanted = declared_frames - start
    if start < 0 or (wanted is not None and wanted <= 0) or (declared_frames is not None and start + (wanted or 0) > declared_frames):
        raise _outside(ref, "what the header declares" if declared_frames is None else f"{declared_frames / rate:.3f} s")
    _check_length(wanted if wanted is not None else max((declared_frames or 0) - start, 0), rate, limits)
    if ref.channel is not None and not 0 <= ref.channel < decoder.channels:
        raise bad_header("channels", decoder.channels, f"channel {ref.channel} was asked for and they count from 0")
    blocks = list(_blocks(decoder, start, ref.channel, wanted, limits))
    num_read = sum(len(block.mono) for block in blocks)
    if declared_frames is None and wanted is not None and num_read < wanted:
        if wanted - num_read > ROUNDING_S * rate:
            raise _outside(ref, f"{(start + num_read) / rate:.3f} s")
        wanted = num_read
    expected = declared_frames if declared_frames is not None else least_frames or 0
    if num_read < (wanted if wanted is not None else expected - start):
        raise truncated(f"{expected} frames", f"{start + num_read} that can be decoded")
    if wanted is None and declared_frames is not None and start + num_read > declared_frames:
        raise bad_header("number of frames", declared_frames, f"the file goes on to frame {start + num_read}")
    if not blocks:
        return _Stretch(np.zeros(0, dtype=np.float32), np.zeros(1, dtype=np.int64))
    return _Stretch(np.concatenate([block.mono for block in blocks]), np.sum([block.num_clipped for block in blocks], axis=0))


def _check_end(decoder: soundfile.SoundFile, num_frames: int) -> None:
    """The last frame the header declares must be there, however far from the stretch: a header alone does not show a cut."""
    try:
        decoder.seek(num_frames - 1)
        found = len(decoder.read(1, dtype="float32", always_2d=True))
    except soundfile.LibsndfileError as error:
        raise InputError(ReasonCode.TRUNCATED_AUDIO, f"Its last frame ({num_frames - 1}) cannot be decoded: {error.error_string} The file is cut.") from error
    if not found:
        raise truncated(f"{num_frames} frames", "fewer that can be decoded")


def _outside(ref: AudioRef, recording: str) -> InputError:
    length = "the rest" if ref.duration_s is None else f"{ref.duration_s:g} s"
    return InputError(
        ReasonCode.TOO_SHORT, f"The stretch from {ref.start_s:g} s for {length} lies outside the recording of {recording}. Correct the corpus table."
    )


def _blocks(decoder: soundfile.SoundFile, start: int, channel: int | None, wanted: int | None, limits: AudioLimits) -> Iterator[_Stretch]:
    done, rate = 0, decoder.samplerate
    while wanted is None or done < wanted:
        frames = BLOCK_FRAMES if wanted is None else min(BLOCK_FRAMES, wanted - done)
        try:
            if start and not done:
                decoder.seek(start)
            block = np.asarray(decoder.read(frames, dtype="float32", always_2d=True), dtype=np.float32)
        except soundfile.LibsndfileError as error:
            message = f"Decoding stopped after frame {start + done}: {error.error_string} The file is cut or damaged."
            raise InputError(ReasonCode.TRUNCATED_AUDIO, message) from error
        if not len(block):
            return
        done += len(block)
        if done * decoder.channels * BYTES_PER_SAMPLE > limits.max_decoded_bytes:
            raise InputError(
                ReasonCode.TOO_LONG, f"It decodes to more than `max_decoded_bytes` = {limits.max_decoded_bytes}; decoding stopped after {done} frames."
            )
        _check_length(done, rate, limits)
        yield _mix(block if channel is None else block[:, channel : channel + 1], start + done - len(block))


def _mix(used: NDArray[np.float32], first_frame: int) -> _Stretch:
    """The mean of the channels `[n, C]`, every one of which must be finite."""
    size = np.abs(used)
    usable = size <= ABSURD_SAMPLE
    if not usable.all():
        frame = int(np.argmin(usable.all(axis=1)))
        value = float(used[frame][~usable[frame]][0])
        raise InputError(ReasonCode.NON_FINITE_AUDIO, f"Samples lie in -1..1; the sample at frame {first_frame + frame} is {value:g}.")
    return _Stretch(used.mean(axis=1, dtype=np.float32), np.count_nonzero(size >= FULL_SCALE, axis=0))


def _check_length(frames: int, rate: int, limits: AudioLimits) -> None:
    if frames > limits.max_duration_s * rate:
        raise InputError(
            ReasonCode.TOO_LONG, f"A stretch lasts at most {limits.max_duration_s:g} s (`max_duration_s`); this one has {frames / rate:.3f} s or more."
        )


def _check_stretch(stretch: _Stretch, rate: int, limits: AudioLimits) -> None:
    mono = stretch.mono
    if len(mono) < 2:
        raise InputError(ReasonCode.EMPTY_AUDIO, f"A recording has samples; this one has {len(mono)}.")
    if float(mono.max() - mono.min()) <= SILENT_SPREAD:
        raise InputError(ReasonCode.SILENT_AUDIO, f"All {len(mono)} samples are {float(mono[0]):g}: nothing was recorded, or on another channel.")
    if len(mono) < limits.min_duration_s * rate:
        rule = f"A stretch lasts at least {limits.min_duration_s:g} s (`min_duration_s`)"
        raise InputError(ReasonCode.TOO_SHORT, f"{rule}; this one has {len(mono) / rate:.3f} s.")
    clipped = float(stretch.num_clipped.max()) / len(mono)
    if clipped > limits.max_clipped_fraction:
        rule = f"At most {limits.max_clipped_fraction:g} of the samples may reach full scale (`max_clipped_fraction`)"
        raise InputError(ReasonCode.CLIPPED_AUDIO, f"{rule}; here it is {clipped:.3f}.")
