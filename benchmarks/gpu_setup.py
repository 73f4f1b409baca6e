"""What every section of `benchmarks/gpu.py` works on: sizes, made-up speech, our model and the equal transformers model, timing."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from gpu_corpus import CODEBOOK_SIZE, FRAME_RATE_HZ, IDS, NUM_LEVELS, NUM_SYMBOLS, PHONES_PER_S
from gpu_report import Notebook
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from valle_data.tasks.base import Layout, Speech
from valle_model.decoding.autoregressive import ArRequest
from valle_model.decoding.filters import SamplingConfig
from valle_model.valle import ModelConfig, Valle


@dataclass(frozen=True)
class Scale:
    """The size of everything. `width`, `depth`, `heads`, `feedforward` as in the architecture's configuration.

    Training: `documents` of `shortest_s`..`longest_s` in packed batches of `max_positions`, or padded batches of `padded_batch`.
    Decoding: `prompt_s` of prompt and `speech_s` of speech; `single_steps` tokens for one request; for many, `requests` of them with `context`
    positions before the first of `many_steps`. Codec: width of encoder and decoder, depth of the decoder. `rounds` of everything that is timed.
    """

    name: str
    width: int
    depth: int
    heads: int
    feedforward: int
    documents: int
    shortest_s: float
    longest_s: float
    max_positions: int
    padded_batch: int
    prompt_s: float
    speech_s: float
    single_steps: int
    requests: int
    context: int
    many_steps: int
    codec_width: int
    codec_depth: int
    rounds: int


REFERENCE = Scale("reference", 1024, 12, 16, 4096, 128, 2.0, 12.0, 16_384, 16, 3.0, 10.0, 256, 64, 636, 128, 256, 6, 7)
TINY = Scale("tiny", 32, 2, 2, 48, 10, 0.2, 0.6, 160, 4, 0.1, 0.4, 6, 3, 24, 4, 16, 1, 2)


@dataclass(frozen=True)
class Context:
    """What a section is given. `deadline` is a `time.monotonic()` before which it should end."""

    device: torch.device
    scale: Scale
    deadline: float
    notebook: Notebook

    @property
    def judged(self) -> bool:
        """The goals of speed are for the reference size on a CUDA device."""
        return self.device.type == "cuda" and self.scale is REFERENCE

    def share(self, part: float) -> "Context":
        """The same, to end when `part` of the time that is left has passed."""
        now = time.monotonic()
        return replace(self, deadline=now + part * (self.deadline - now))


def layout(frame_rate_hz: float = FRAME_RATE_HZ) -> Layout:
    return Layout(IDS, frame_rate_hz / PHONES_PER_S)


def our_model(scale: Scale, device: torch.device | str, *, attention: str = "sdpa") -> Valle:
    """Random float32 weights; the same on every device."""
    torch.manual_seed(0)
    sizes = {"width": scale.width, "depth": scale.depth, "heads": scale.heads, "feedforward": scale.feedforward}
    return Valle(ModelConfig.model_validate({"architecture": {"name": "llama", "attention": attention, **sizes}}), IDS).to(device)


@torch.no_grad()
def talkative(model: Valle) -> Valle:
    """The same model with logits so far apart that the class for stop, at 0, is never drawn: every request then has all its frames."""
    model.output.weight.mul_(6)
    model.output.weight[IDS.stop] = 0
    return model.eval()


def equal_llama(scale: Scale, device: torch.device | str, dtype: torch.dtype = torch.float32) -> LlamaForCausalLM:
    """transformers' own causal language model of the same sizes: our backbone, our id space as its vocabulary."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=IDS.size, hidden_size=scale.width, num_hidden_layers=scale.depth, num_attention_heads=scale.heads, intermediate_size=scale.feedforward,
        max_position_embeddings=4096, bos_token_id=None, eos_token_id=None, pad_token_id=None, tie_word_embeddings=False,
    )  # fmt: skip
    model: Any = LlamaForCausalLM(config)  # its `to` has a signature that type checkers misread
    return model.to(device=device, dtype=dtype)


def ar_request(seed: int, *, num_phones: int, prompt_frames: int, max_frames: int, temperature: float = 1.0) -> ArRequest:
    """Random phones and a random prompt; everything of a request follows from its seed."""
    random = np.random.default_rng([2, seed])
    phones = random.integers(1, NUM_SYMBOLS + 1, num_phones)
    prompt = random.integers(0, CODEBOOK_SIZE, (NUM_LEVELS, prompt_frames))
    speech = Speech("tts", 0, "en-us", phones, prompt, np.zeros((NUM_LEVELS, 0), dtype=np.int64), text_covers_prompt=False)
    return ArRequest(speech, SamplingConfig(temperature=temperature, seed=seed), max_frames)


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Wall time of `work`, until the device has finished it."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    begin = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - begin


def interleave(ways: Mapping[str, Callable[[], object]], context: Context) -> dict[str, tuple[float, ...]]:
    """Seconds of each way, one after the other in every round and in the other order in every second; a round that would not end in time is not begun.

    One unmeasured round comes first.
    """
    names = list(ways)
    times: dict[str, list[float]] = {name: [] for name in names}
    longest = 0.0
    for number in range(context.scale.rounds + 1):
        begin = time.monotonic()
        if number > 1 and begin + longest > context.deadline:
            break
        for name in names if number % 2 else reversed(names):
            taken = seconds(ways[name], context.device)
            if number:
                times[name].append(taken)
        longest = max(longest, time.monotonic() - begin) if number else 0.0
    return {name: tuple(values) for name, values in times.items()}


def rates(count: float, times: Sequence[float]) -> tuple[float, ...]:
    """`count` things in each of `times` seconds, as things per second."""
    return tuple(count / value for value in times)


def relative_error(found: Tensor, reference: Tensor) -> float:
    """Norm of the difference over the norm of the reference, in float64."""
    reference = reference.double()
    return float((found.double().to(reference.device) - reference).norm() / reference.norm())
