"""Utterances by silero's voice activity detector (github.com/snakers4/silero-vad): a small network, carried by its package, that knows speech from noise.

Its 16 kHz model is run over blocks of frames; a recording of any length takes the memory of one block beside its samples.
"""

import hashlib
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from valle_data.errors import EnvironmentProblem
from valle_data.segmenters.base import Piece, Recording, Segmenter, SegmenterConfig
from valle_data.speech.intervals import SpeechFrames, SpeechRules, utterances

RATE_HZ = 16_000
FRAME, CONTEXT, BLOCK = 512, 64, 512
"""Samples of a frame, samples of the one before that the network sees with it, frames in a call."""
MODEL = "silero_vad_16k_sequence.onnx"


class SileroSegmenter(Segmenter):
    """See the module."""

    class Config(SegmenterConfig, SpeechRules):
        """`threshold` is the probability of speech, in which the detector is seldom undecided."""

        name: Literal["silero"] = "silero"

        def stamp(self) -> str:
            return f"silero-vad weights {weights_hash()}, onnxruntime {version('onnxruntime')}"

    def __init__(self, config: "SileroSegmenter.Config") -> None:
        self.config = config

    def suits(self, recording: Recording) -> bool:
        return True

    def pieces(self, recording: Recording) -> list[Piece]:
        samples = recording.sound.at(RATE_HZ)
        frames = speech_frames(samples)
        found = utterances(frames, samples, RATE_HZ, self.config, recording.own)
        return [Piece(place, scores={"vad_speech_ratio": frames.ratio(self.config.threshold, start_s=place.start_s, end_s=place.end_s)}) for place in found]


def speech_frames(samples: NDArray[np.float32]) -> SpeechFrames:
    """How probably each 32 ms of `[N]` at 16 kHz hold speech."""
    num_frames = -(-len(samples) // FRAME)
    padded = np.zeros(CONTEXT + num_frames * FRAME, dtype=np.float32)
    padded[CONTEXT : CONTEXT + len(samples)] = samples
    frames = np.lib.stride_tricks.sliding_window_view(padded, CONTEXT + FRAME)[::FRAME] if num_frames else np.zeros((0, CONTEXT + FRAME), dtype=np.float32)
    hidden, cell = np.zeros((1, 1, 128), dtype=np.float32), np.zeros((1, 1, 128), dtype=np.float32)
    probabilities = [np.zeros(0, dtype=np.float32)]
    for first in range(0, num_frames, BLOCK):
        block = np.ascontiguousarray(frames[first : first + BLOCK])
        values, hidden, cell = _session().run(["speech_probs", "hn", "cn"], {"input": block, "h": hidden, "c": cell})
        probabilities.append(np.asarray(values, dtype=np.float32).reshape(-1))
    return SpeechFrames(np.concatenate(probabilities), FRAME / RATE_HZ)


def _model_path() -> Path:
    """The network's file. The package is not imported: doing so would set the number of threads of the whole process."""
    spec = find_spec("silero_vad")
    path = Path((spec.submodule_search_locations or [""])[0]) / "data" / MODEL if spec else None
    if path is None or not path.is_file():
        raise EnvironmentProblem(f"The silero segmenter needs {MODEL} of silero-vad 6.2 or newer. Install it with: pip install 'valle[speech]'")
    return path


@cache
def _session() -> onnxruntime.InferenceSession:
    """One for the process; it keeps no state between calls."""
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(_model_path()), sess_options=options, providers=["CPUExecutionProvider"])


@cache
def weights_hash() -> str:
    """Of the network's file."""
    return hashlib.sha256(_model_path().read_bytes()).hexdigest()[:16]
