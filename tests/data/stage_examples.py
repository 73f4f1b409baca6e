"""One example per stage: options that run here and works to run it on. The contract test over the table takes them from here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tests.toy_codec import ToyCodec
from valle_data.records import AudioRef, PlannedUtterance, Utterance
from valle_data.sound import Sound
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


EXAMPLES: dict[str, StageExample] = {
    "loudness": StageExample(options={"target_lufs": -23.0}),
    "quality": StageExample(),
    "speaker": StageExample(needs=("resemblyzer",)),
    "fingerprint": StageExample(),
}
