"""Decode: a stretch of a recording -> mono sound at its own rate, read once, with level and peak as scores."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import version

import numpy as np
import soundfile
from numpy.typing import NDArray

from valle_data.audio import AudioLimits
from valle_data.config import speed
from valle_data.decoder_process import DecoderProcess
from valle_data.errors import InputError, ReasonCode
from valle_data.records import AudioRef, CodedUtterance
from valle_data.shards.index import printable
from valle_data.source import audio_digest
from valle_data.stages.base import Outcome, Stage, Tools, Work

FLOOR_DBFS = -120.0


class DecodeStage(Stage):
    """See the module."""

    name = "decode"
    reasons = frozenset(
        {
            ReasonCode.NOT_AUDIO,
            ReasonCode.TRUNCATED_AUDIO,
            ReasonCode.BAD_HEADER,
            ReasonCode.EMPTY_AUDIO,
            ReasonCode.SILENT_AUDIO,
            ReasonCode.CLIPPED_AUDIO,
            ReasonCode.NON_FINITE_AUDIO,
            ReasonCode.TOO_LONG,
            ReasonCode.TOO_SHORT,
            ReasonCode.DECODER_CRASHED,
            ReasonCode.DECODER_TIMEOUT,
        }
    )

    columns = {"rms_dbfs": "float", "peak_dbfs": "float"}
    reads = frozenset()
    writes = frozenset({"sound"})

    class Config(AudioLimits):
        """`time_limit_s`: a decoder that takes longer over a recording, plus a tenth of its length, is stopped."""

        time_limit_s: float = speed(30.0, gt=0)

        def stamp(self) -> str:
            return f"libsndfile {soundfile.__libsndfile_version__}, soxr {version('soxr')}"

    def __init__(self, config: "DecodeStage.Config", tools: Tools) -> None:
        self.config = config
        self.report = tools.report
        self.decoder = DecoderProcess(config)

    def restore(self, work: Work, made: CodedUtterance) -> Work:
        return replace(super().restore(work, made), duration_s=made.duration_s)

    def process(self, works: Sequence[Work]) -> list[Outcome]:
        digest = cache(audio_digest)  # many stretches may lie in one file
        return [self._decode(work, digest) for work in works]

    def _decode(self, work: Work, digest: Callable[[AudioRef], str]) -> Outcome:
        self.report([work])
        audio = work.planned.utterance.audio
        try:
            _check_source(audio, work.planned.source_digest, digest)
            sound = self.decoder.read(audio, self.config.time_limit_s + work.planned.duration_s / 10)
        except InputError as error:
            return error
        return replace(work, sound=sound, duration_s=sound.duration_s).scored(**levels(sound.samples))


def _check_source(audio: AudioRef, planned: str, digest: Callable[[AudioRef], str]) -> None:
    """Raise InputError, which stops the run, unless the file still has the digest `planned`: it was there, so what is wrong now is the disk or a writer."""
    try:
        found = digest(AudioRef(audio.path, offset=audio.offset, nbytes=audio.nbytes))
    except OSError as error:
        raise InputError(
            ReasonCode.STORAGE_FAILED,
            f"{printable(audio.path)!r} was read when it was planned and cannot be read now: {error.strerror}. "
            "Mount its disk or put it back and run the same command again: it resumes. If it is gone for good, take it out of the corpus.",
        ) from error
    if found != planned:
        raise InputError(
            ReasonCode.SOURCE_CHANGED,
            f"{printable(audio.path)!r} changed after it was planned. "
            "Let nothing write to the corpus and run the same command again: it plans the recording anew.",
        )


def levels(waveform: NDArray[np.float32]) -> dict[str, float]:
    """Root mean square and peak of `[N]` in dB below full scale, not under -120."""
    rms, peak = float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64)))), float(np.abs(waveform).max())
    return {"rms_dbfs": _decibel(rms), "peak_dbfs": _decibel(peak)}


def _decibel(amplitude: float) -> float:
    return max(FLOOR_DBFS, 20 * float(np.log10(max(amplitude, 1e-12))))
