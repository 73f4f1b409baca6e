"""Text and a voice in, speech out."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from valle_data.codecs.base import Codec
from valle_data.errors import InputError, ReasonCode
from valle_data.tasks.base import Layout, Speech
from valle_model.decoding.autoregressive import ArRequest, decode_level_0
from valle_model.decoding.filters import SamplingConfig, make_generator
from valle_model.decoding.parallel import decode_upper_levels
from valle_model.valle import Valle

IMITATION, CONTINUATION = "tts", "tts-c"


@dataclass(frozen=True)
class SynthesisRequest:
    """What to say and how.

    `phones` are ids. `prompt` codes `[Q, T]` of a stretch of the voice, or none for any voice; with `prompt_phones` (what the prompt says) the
    model continues the prompt instead of imitating it. `nar_temperature` 0 takes the most likely code of the levels above 0.
    """

    phones: Sequence[int]
    language: str
    prompt: NDArray[np.integer] | None = None
    prompt_phones: Sequence[int] | None = None
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    nar_temperature: float = 0.0
    max_duration_s: float = 30.0


@dataclass(frozen=True)
class SynthesisResult:
    """`waveform` `[N]` at the codec's rate, the `codes` `[Q, T]` behind it, and why decoding ended (`stop`, `max_frames`).

    `elapsed_s` is this request's share, by length, of the seconds that all requests took together.
    """

    waveform: NDArray[np.float32]
    codes: NDArray[np.uint16]
    stop_reason: str
    elapsed_s: float


class Synthesizer:
    """A model and the codec it was trained on, ready to speak."""

    def __init__(self, model: Valle, layout: Layout, codec: Codec) -> None:
        self.model, self.layout, self.codec = model.eval(), layout, codec

    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[SynthesisResult]:
        """Speak all requests together; each sounds as it would alone (but for rounding, which depends on how many there are)."""
        begin = time.monotonic()
        speeches = [self._speech(request) for request in requests]
        frame_rate_hz = self.codec.spec.frame_rate_hz
        decoded = decode_level_0(
            self.model,
            [ArRequest(s, r.sampling, max(1, round(r.max_duration_s * frame_rate_hz))) for s, r in zip(speeches, requests, strict=True)],
            self.layout,
        )
        spoken = [place for place, result in enumerate(decoded) if len(result.codes)]
        codes = [np.zeros((self.layout.ids.num_levels, 0), dtype=np.int64) for _ in requests]
        if spoken:
            full = decode_upper_levels(
                self.model,
                [_with_target(speeches[place], decoded[place].codes) for place in spoken],
                self.layout,
                temperatures=[requests[place].nar_temperature for place in spoken],
                generators=[make_generator(requests[place].sampling) for place in spoken],
            )
            for place, result in zip(spoken, full, strict=True):
                codes[place] = result
        stored = [c.astype(np.uint16) for c in codes]
        waveforms = [self.codec.decode(c) for c in stored]
        per_sample_s = (time.monotonic() - begin) / max(1, sum(map(len, waveforms)))
        return [
            SynthesisResult(waveform, code, result.stop_reason, per_sample_s * len(waveform))
            for waveform, code, result in zip(waveforms, stored, decoded, strict=True)
        ]

    def _speech(self, request: SynthesisRequest) -> Speech:
        if not len(request.phones):
            raise InputError(ReasonCode.TEXT_EMPTY, "There is nothing to say: the text has no phones.")
        levels = self.layout.ids.num_levels
        prompt = request.prompt if request.prompt is not None else np.zeros((levels, 0), dtype=np.int64)
        if prompt.shape[0] != levels:
            raise InputError(
                ReasonCode.DATASET_MISMATCH, f"This model has {levels} levels, the prompt has {prompt.shape[0]}. Encode it with {self.codec.spec}."
            )
        known = request.prompt_phones
        phones = [*(known if known is not None else ()), *request.phones]
        return Speech(
            task=IMITATION if known is None else CONTINUATION,
            level=0,
            language=request.language,
            phones=np.array(phones, dtype=np.int64),
            prompt=prompt,
            target=np.zeros((levels, 0), dtype=np.int64),
            text_covers_prompt=known is not None,
        )


def _with_target(speech: Speech, level_0: np.ndarray) -> Speech:
    return Speech(speech.task, 1, speech.language, speech.phones, speech.prompt, level_0[None], speech.text_covers_prompt)


def real_time_factor(result: SynthesisResult, sample_rate_hz: int) -> float:
    """Seconds of computing per second of speech."""
    return result.elapsed_s / max(1e-9, len(result.waveform) / sample_rate_hz)
