"""Speech made while a model trains: always the same texts and prompts, so that one can hear it learn."""

from pathlib import Path

import numpy as np
import soundfile
import torch

from pipelines.train_config import SamplesConfig
from valle_data.dataset import Dataset
from valle_model.card import ModelCard
from valle_model.decoding.filters import SamplingConfig
from valle_model.synthesis import SynthesisRequest, Synthesizer
from valle_model.training.log import MetricsLog
from valle_model.valle import Valle
from valle_model.voice import load_codec


class SampleMaker:
    """Texts from the validation split, and prompts of at most `prompt_s` from other utterances of their speakers.

    Writes `RUN/samples/step-.../N.wav`, and once `recording-N.wav`, the codec's version of the real recording.
    """

    def __init__(self, run: Path, card: ModelCard, config: SamplesConfig, data: Dataset, prompt_s: float) -> None:
        self._folder, self._card, self._data = run / "samples", card, data
        self._codec = load_codec(card)
        self._prompt_frames = round(prompt_s * card.codec.frame_rate_hz)
        self._rows = choose_rows(data.columns.speaker, config.num)
        sampling = SamplingConfig(temperature=config.temperature, top_p=config.top_p, seed=0)
        self._requests = [
            SynthesisRequest(
                phones=data.phones(row).tolist(), language=data.language(row), prompt=self._prompt(row), sampling=sampling, max_duration_s=config.max_duration_s
            )
            for row in self._rows
        ]

    def _prompt(self, row: int) -> np.ndarray | None:
        others = np.flatnonzero((self._data.columns.speaker == self._data.columns.speaker[row]) & (np.arange(len(self._data)) != row))
        return self._data.codes(int(others[0]), 0, self._prompt_frames) if len(others) else None

    def make(self, step: int, model: Valle, log: MetricsLog) -> None:
        """Speak every text with the model as it is."""
        folder = self._folder / f"step-{step:09d}"
        folder.mkdir(parents=True, exist_ok=True)
        rate = self._card.codec.sample_rate_hz
        for place, row in enumerate(self._rows):
            recording = self._folder / f"recording-{place}.wav"
            if not recording.exists():
                soundfile.write(recording, np.clip(self._codec.decode(self._data.codes(row)), -1, 1), rate)
        for place, result in enumerate(Synthesizer(model, self._card.layout, self._codec).synthesize(self._requests)):
            soundfile.write(folder / f"{place}.wav", np.clip(result.waveform, -1, 1), rate)
            if len(result.waveform):
                log.audio(step, f"sample/{place}", torch.from_numpy(result.waveform).clamp(-1, 1), rate)


def choose_rows(speakers: np.ndarray, num: int) -> list[int]:
    """One row of each speaker in turn, until there are `num`."""
    rank = np.zeros(len(speakers), dtype=np.int64)
    seen: dict[int, int] = {}
    for row, speaker in enumerate(speakers.tolist()):
        rank[row] = seen.get(speaker, 0)
        seen[speaker] = seen.get(speaker, 0) + 1
    return np.argsort(rank, kind="stable")[:num].tolist()
