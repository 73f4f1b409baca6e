"""Functions that misbehave in earnest over files and texts with telling names: for the child of a decoder, and as stages.

A decoder misbehaves over the samples of a file, or over its header where the name says so. `segv`: the
process gets a real SIGSEGV. `stop`: it stands still. `swell`: it takes memory without end. `bug`: an exception that nobody expects.
Importing this module puts its codec and phonemizer into the tables, also in a worker process that unpickles their configuration.
"""

import ctypes
import os
import signal
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tests.toy_codec import ToyCodec
from valle_data import audio
from valle_data.audio import AudioInfo, AudioLimits
from valle_data.codecs import CODECS
from valle_data.decoder_process import DecoderProcess
from valle_data.errors import InputError
from valle_data.records import AudioRef
from valle_data.sound import Sound
from valle_data.text.phonemizers import PHONEMIZERS
from valle_data.text.phonemizers.characters import CharacterPhonemizer


def misbehave(name: str) -> None:
    """Do what `name` says."""
    if "segv" in name:
        ctypes.string_at(0)
    if "stop" in name:
        os.kill(os.getpid(), signal.SIGSTOP)
    if "bug" in name:
        raise ZeroDivisionError("a bug")
    if "swell" in name:
        hoard = []
        while True:
            hoard.append(np.ones(1 << 24))


def read_sound(ref: AudioRef, limits: AudioLimits) -> Sound:
    misbehave(os.path.basename(ref.path))
    return audio.read_sound(ref, limits)


def probe(recording: AudioRef, limits: AudioLimits) -> AudioInfo:
    name = os.path.basename(recording.path)
    misbehave(name if "header" in name else "")
    return audio.probe(recording, limits)


class TroublesomeDecoder(DecoderProcess):
    """A decoder whose library has bugs."""

    module = "tests.troublesome"


class TroublesomePhonemizer(CharacterPhonemizer):
    """Misbehaves over texts that say so."""

    class Config(CharacterPhonemizer.Config):
        name: Literal["troublesome"] = "troublesome"  # pyright: ignore[reportIncompatibleVariableOverride]

    def phonemize(self, texts: Sequence[str], language: str) -> list[tuple[str, ...] | InputError]:
        for text in texts:
            misbehave(text)
        return super().phonemize(texts, language)


class TroublesomeCodec(ToyCodec):
    """Misbehaves over recordings of telling lengths."""

    class Config(ToyCodec.Config):
        name: Literal["troublesome"] = "troublesome"  # pyright: ignore[reportIncompatibleVariableOverride]

    def encode(self, waveforms: Sequence[NDArray[np.float32]]) -> list[NDArray[np.uint16]]:
        for waveform in waveforms:
            misbehave(LENGTHS.get(round(len(waveform) / self.spec.sample_rate_hz, 3), ""))
        return super().encode(waveforms)


LENGTHS = {0.701: "segv", 0.702: "stop", 0.703: "swell", 0.704: "bug"}
"""Seconds of a recording: what the codec does over it."""
CODECS._entries["troublesome"] = "tests.troublesome:TroublesomeCodec"
PHONEMIZERS._entries["troublesome"] = "tests.troublesome:TroublesomePhonemizer"
