"""AR decoding of level 0 with a KV cache: requests go through the model together and leave the batch as they finish."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from valle_data.collate import pack
from valle_data.tasks.base import Layout, Speech, speech_segments
from valle_model.decoding.filters import SamplingConfig, make_generator, sample
from valle_model.kv_cache import KVCache
from valle_model.layout import PackedLayout
from valle_model.valle import Valle


@dataclass(frozen=True)
class ArRequest:
    """One utterance to decode: `speech` with an empty target, how tokens are picked, and the most frames it may have."""

    speech: Speech
    sampling: SamplingConfig
    max_frames: int


@dataclass(frozen=True)
class ArResult:
    """Level 0 `[T]` int64 and why it ended: `stop` (the model said so) or `max_frames`."""

    codes: np.ndarray
    stop_reason: str


class _Request:
    """A request on its way."""

    def __init__(self, request: ArRequest) -> None:
        self.request = request
        self.generator = make_generator(request.sampling)
        self.tokens: list[int] = []
        self.stop_reason = ""

    def take(self, logits: Tensor, stop: int) -> bool:
        """Pick the next token; whether the request goes on."""
        history = torch.tensor(self.tokens[-self.request.sampling.repetition_window :], dtype=torch.int64)
        token = sample(logits, history, self.request.sampling, self.generator)
        if token == stop:
            self.stop_reason = "stop"
        else:
            self.tokens.append(token)
            if len(self.tokens) >= self.request.max_frames:
                self.stop_reason = "max_frames"
        return not self.stop_reason

    def result(self) -> ArResult:
        return ArResult(np.array(self.tokens, dtype=np.int64), self.stop_reason)


def prefill(model: Valle, requests: Sequence[ArRequest], layout: Layout, cache: KVCache) -> Tensor:
    """Run all prompts packed in one pass, fill the cache, return the hidden state `[B, D]` after each."""
    device = model.output.weight.device
    packed = pack([speech_segments(request.speech, layout) for request in requests])
    attention = PackedLayout.of(torch.from_numpy(packed.lengths), len(requests), device)
    cache.fill(attention.groups[0])
    ids, starts, times = (torch.from_numpy(array).to(device) for array in (packed.ids, packed.bag_starts, packed.times))
    return model.hidden(ids, starts, times, attention, cache)[attention.lengths.cumsum(0) - 1]


@torch.inference_mode()
def decode_level_0(model: Valle, requests: Sequence[ArRequest], layout: Layout) -> list[ArResult]:
    """Level 0 of each request. A request's tokens depend on its own prompt and seed, not on its neighbours."""
    device = model.output.weight.device
    longest = max(len(r.speech.phones) + r.speech.prompt.shape[1] + r.max_frames for r in requests)
    cache = KVCache(model.backbone.num_layers, capacity=longest + 4)
    everyone = [_Request(request) for request in requests]
    running = everyone
    hidden = prefill(model, requests, layout, cache)
    while True:
        logits = model.logits(hidden, 0).float().cpu()
        going = [request.take(row, model.ids.stop) for request, row in zip(running, logits, strict=True)]
        if not any(going):
            return [request.result() for request in everyone]
        if not all(going):
            cache.keep(torch.tensor(going, device=device).nonzero()[:, 0])
            running = [request for request, goes_on in zip(running, going, strict=True) if goes_on]
        ids = torch.tensor([r.tokens[-1] for r in running], device=device) + model.ids.code_offset
        times = torch.tensor([len(r.tokens) - 1.0 for r in running], device=device)
        hidden = model.hidden(ids, torch.arange(len(running), device=device), times, cache.step(), cache)
