"""One example per stage: options that run here and works to run it on. The contract test over the table takes them from here."""

import atexit
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from tests.spoken import DIGITS, spoken
from tests.toy_codec import ToyCodec
from valle_data.records import AudioRef, PlannedUtterance, Utterance
from valle_data.sound import Sound
from valle_data.source import file_digest
from valle_data.stages.base import Tools, Work
from valle_data.text.phonemizers.characters import CharacterPhonemizer

TOOLS = Tools(lambda: ToyCodec(ToyCodec.Config()), lambda: CharacterPhonemizer(CharacterPhonemizer.Config()))


def speech_like(duration_s: float, rate: int, *, seed: int = 0, pitch_hz: float = 120.0) -> np.ndarray:
    """`[N]` float32: harmonics with moving formants in syllables of a quarter of a second with pauses between, over faint noise. Nobody's words."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(duration_s * rate)) / rate
    syllables = rng.uniform(0.2, 1.0, int(duration_s / 0.25) + 1)[(time / 0.25).astype(int)]
    envelope = syllables * np.clip(2.5 * np.sin(np.pi * (time % 0.25) / 0.25) - 0.8, 0, 1)
    phase = 2 * np.pi * np.cumsum(pitch_hz * (1 + 0.1 * np.sin(2 * np.pi * time * rng.uniform(0.3, 0.9)))) / rate
    voice = np.zeros(len(time))
    for harmonic in range(1, int(min(4000, rate / 2) / pitch_hz)):
        formants = sum(np.exp(-(((harmonic * pitch_hz - f) / 150) ** 2)) for f in rng.uniform((300, 900, 2200), (800, 2000, 3200)))
        voice += (0.02 + formants) / harmonic * np.sin(harmonic * phase)
    voice *= envelope
    return (0.3 * voice / max(float(np.abs(voice).max(initial=0)), 1e-9) + 1e-4 * rng.standard_normal(len(time))).astype(np.float32)


def work_of(samples: np.ndarray, rate: int, *, name: str = "u0", text: str = "one two", language: str = "en-us") -> Work:
    """A decoded work of these samples `[N]`."""
    duration_s = len(samples) / rate
    utterance = Utterance(name, AudioRef(f"{name}.wav"), text, "s0", "g0", language)
    work = Work.begin(PlannedUtterance(utterance, "d" * 32, rate, duration_s, f"fingerprint of {name}"))
    return replace(work, sound=Sound(samples, rate), duration_s=duration_s)


def sounds() -> Sequence[Work]:
    """Four that a stage can use, and silence, one sample and no sample, which must give nulls and no crash."""
    usable = [work_of(speech_like(1.0 + 0.7 * index, 16000, seed=index, pitch_hz=90 + 40 * index), 16000, name=f"u{index}") for index in range(4)]
    return [*usable, *(work_of(np.zeros(length, np.float32), 16000, name=f"z{length}") for length in (16000, 1, 0))]


@dataclass(frozen=True)
class StageExample:
    """`options` are the stage's configuration, `make_works` gives fresh works, `needs` names the packages without which the example cannot run."""

    make_works: Callable[[], Sequence[Work]] = sounds
    options: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()


def on_disk() -> Sequence[Work]:
    """Recordings in a folder of their own: two, a stretch of one of them, and a web page."""
    folder = Path(tempfile.mkdtemp(prefix="stage-example-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    works = []
    for index, stretch_s in enumerate((None, None, 0.5)):
        path = folder / f"u{index}.wav"
        soundfile.write(path, speech_like(1.0 + index, 16000, seed=index), 16000)
        works.append(_planned(path, f"u{index}", stretch_s))
    (folder / "page.wav").write_bytes(b"<html>")
    return [*works, _planned(folder / "page.wav", "page", None)]


def _planned(path: Path, name: str, stretch_s: float | None) -> Work:
    utterance = Utterance(name, AudioRef(str(path), duration_s=stretch_s), "one two", "s0", "g0", "en-us")
    return Work.begin(PlannedUtterance(utterance, file_digest(str(path)), 16000, 1.0, f"fingerprint of {name}"))


def usable_sounds() -> Sequence[Work]:
    return sounds()[:4]


def texts() -> Sequence[Work]:
    """Two that can be spoken, one with markup, one empty."""
    return [work_of(np.zeros(160, np.float32), 16000, name=f"t{index}", text=text) for index, text in enumerate(("one two", "three", "<speak>x</speak>", ""))]


def digits() -> Sequence[Work]:
    """Spoken digits with silence around them and no text, and sounds in which nobody speaks."""
    spoken_ones = [work_of(np.pad(one.samples, 16000), 16000, name=f"d{index}", text="") for index, one in enumerate(spoken("slt", count=2))]
    return [*spoken_ones, *(work_of(np.zeros(length, np.float32), 16000, name=f"z{length}", text="") for length in (16000, 1, 0))]


EXAMPLES: dict[str, StageExample] = {
    "decode": StageExample(on_disk),
    "segment": StageExample(digits, needs=("onnxruntime", "silero_vad")),
    "transcribe": StageExample(digits, {"recogniser": {"name": "pocketsphinx", "words": DIGITS}}, needs=("pocketsphinx", "onnxruntime", "silero_vad")),
    "language": StageExample(texts),
    "phonemize": StageExample(texts),
    "quantize": StageExample(usable_sounds),
    "loudness": StageExample(options={"target_lufs": -23.0}),
    "quality": StageExample(),
    "speaker": StageExample(needs=("resemblyzer",)),
    "fingerprint": StageExample(),
}
