"""Functions that misbehave in earnest over files and texts with telling names: for the child of a decoder, and as stages.

`segv`: the process gets a real SIGSEGV. `stop`: it stands still. `swell`: it takes memory without end.
"""

import ctypes
import os
import signal

import numpy as np

from valle_data import audio
from valle_data.audio import AudioInfo, AudioLimits
from valle_data.decoder_process import DecoderProcess
from valle_data.records import AudioRef
from valle_data.sound import Sound


def misbehave(name: str) -> None:
    """Do what `name` says."""
    if "segv" in name:
        ctypes.string_at(0)
    if "stop" in name:
        os.kill(os.getpid(), signal.SIGSTOP)
    if "swell" in name:
        hoard = []
        while True:
            hoard.append(np.ones(1 << 24))


def read_sound(ref: AudioRef, limits: AudioLimits) -> Sound:
    misbehave(os.path.basename(ref.path))
    return audio.read_sound(ref, limits)


def probe(path: str, limits: AudioLimits) -> AudioInfo:
    misbehave(os.path.basename(path))
    return audio.probe(path, limits)


class TroublesomeDecoder(DecoderProcess):
    """A decoder whose library has bugs."""

    module = "tests.troublesome"
