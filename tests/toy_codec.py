"""A codec without torch, for tests that start many processes.

Importing this module puts it into the table, also in a worker process that unpickles its configuration.
"""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from valle_data.codecs import CODECS
from valle_data.codecs.base import Codec
from valle_data.config import EntryConfig
from valle_data.records import CodecSpec

FRAME = 960


class ToyCodec(Codec):
    """Two levels: mean amplitude and zero crossings of each 40 ms. `salt` stands for other weights, `delay_s` for the work of a real codec."""

    class Config(EntryConfig):
        name: Literal["toy"] = "toy"
        salt: str = ""
        weights: Path | None = None
        delay_s: float = 0.0

    def __init__(self, config: "ToyCodec.Config") -> None:
        self.delay_s = config.delay_s
        self.spec = CodecSpec("toy", hashlib.sha256(config.salt.encode()).hexdigest(), 24000, 25.0, 2, 1024)

    def encode(self, waveforms: Sequence[NDArray[np.float32]]) -> list[NDArray[np.uint16]]:
        time.sleep(self.delay_s * len(waveforms))
        return [self._encode(np.pad(waveform, (0, -len(waveform) % FRAME)).reshape(-1, FRAME)) for waveform in waveforms]

    def _encode(self, frames: NDArray[np.float32]) -> NDArray[np.uint16]:
        amplitude = np.abs(frames).mean(axis=1) * 1023
        crossings = (np.diff(np.signbit(frames), axis=1)).sum(axis=1)
        return np.stack([amplitude, crossings]).astype(np.uint16)

    def decode(self, codes: NDArray[np.uint16]) -> NDArray[np.float32]:
        return np.repeat(codes[0] / np.float32(1023), FRAME).astype(np.float32)


CODECS._entries["toy"] = "tests.toy_codec:ToyCodec"
