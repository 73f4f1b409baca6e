"""The model: packed = unpacked, cached = uncached, and nobody sees its own target."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.model.helpers import LAYOUT, draw, model, packed_hidden
from valle_data.collate import collate
from valle_data.records import Example
from valle_data.tasks import TASKS
from valle_data.tasks.base import speech_segments
from valle_model.decoding.autoregressive import ArRequest, prefill
from valle_model.decoding.filters import SamplingConfig
from valle_model.kv_cache import KVCache
from valle_model.loss import LossResult
from valle_model.tensors import TensorBatch
from valle_model.valle import Valle


def examples(seed: int = 0) -> list[Example]:
    """Both tasks, AR and NAR, several lengths."""
    return [TASKS[task](LAYOUT).example(draw(level, frames, seed=seed + frames)) for task in TASKS for level, frames in ((0, 12), (1, 9), (3, 7), (0, 1))]


def loss_of(net: Valle, chosen: Sequence[Example]) -> LossResult:
    return net.loss(TensorBatch.of(collate(chosen)))


def gradients(net: Valle) -> Tensor:
    return torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_packed_loss_and_gradients_equal_those_of_documents_alone(attention: str) -> None:
    net, documents = model(attention), examples()
    loss_of(net, documents).loss.backward()
    together = gradients(net)
    net.zero_grad()
    num_targets = sum(len(document.targets) for document in documents)
    alone = [loss_of(net, [document]) for document in documents]
    for result, document in zip(alone, documents, strict=True):
        (result.loss * len(document.targets) / num_targets).backward()
    assert torch.allclose(together, gradients(net), atol=1e-5)
    assert float(loss_of(net, documents).loss.detach()) == pytest.approx(float(sum(r.sums.sum() for r in alone)) / num_targets, rel=1e-6)


def test_backends_agree() -> None:
    batch = TensorBatch.of(collate(examples()))
    losses = [float(model(name).loss(batch).loss.detach()) for name in ("sdpa", "eager")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_cached_hidden_states_equal_uncached_ones() -> None:
    net = model()
    prompts = [draw(0, frames, seed=frames) for frames in (6, 11)]
    speeches = [replace(d.speech(), target=d.codes[:, :0]) for d in prompts]
    cache = KVCache(net.backbone.num_layers, capacity=64)
    states = [prefill(net, [ArRequest(s, SamplingConfig(), 20) for s in speeches], LAYOUT, cache)]
    tokens = torch.tensor([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])
    for step, token in enumerate(tokens.T):
        ids = token + LAYOUT.ids.code_offset
        states.append(net.hidden(ids, torch.arange(2), torch.full((2,), float(step)), cache.step(), cache))
    for row, speech in enumerate(speeches):
        whole = packed_hidden(net, speech_segments(replace(speech, target=tokens[row : row + 1].numpy()), LAYOUT), num_causal=1)
        assert torch.allclose(torch.stack([s[row] for s in states]), whole[-len(states) :], atol=1e-5)


@pytest.mark.parametrize("level", [0, 1, 2, 3])
@pytest.mark.parametrize("task", ["tts", "tts-c"])
def test_no_target_position_sees_its_own_target(task: str, level: int) -> None:
    """Changing the code at (level, t) must not change the logits that predict it, and for AR none before it either."""
    net, frames, changed = model(), 8, 5
    original = draw(level, frames)
    codes = original.codes.copy()
    codes[level, changed] = (codes[level, changed] + 1) % LAYOUT.ids.codebook_size
    codes[level + 1 :, changed] = (codes[level + 1 :, changed] + 1) % LAYOUT.ids.codebook_size
    before, after = (TASKS[task](LAYOUT).example(d) for d in (original, replace(original, codes=codes)))
    hidden = [packed_hidden(net, example.segments, int(example.causal)) for example in (before, after)]
    place = before.target_start + changed - (frames - (len(before.targets) - before.causal))
    seen = slice(0, place + 1) if before.causal else slice(None)
    assert torch.equal(hidden[0][seen], hidden[1][seen])
    assert not np.array_equal(before.targets, after.targets)


def test_nar_sees_every_lower_level_and_the_whole_utterance() -> None:
    net, level = model(), 3
    original = draw(level, 8)
    for lower in range(level):
        codes = original.codes.copy()
        codes[lower, 7] = (codes[lower, 7] + 1) % LAYOUT.ids.codebook_size
        before, after = (TASKS["tts"](LAYOUT).example(d) for d in (original, replace(original, codes=codes)))
        hidden = [packed_hidden(net, example.segments, 0)[example.target_start] for example in (before, after)]
        assert not torch.allclose(hidden[0], hidden[1], atol=1e-6), f"frame 0 does not see level {lower} of frame 7"


def test_the_first_frame_and_the_stop_are_supervised() -> None:
    example = TASKS["tts"](LAYOUT).example(draw(0, 5))
    assert example.targets.tolist() == [*draw(0, 5).codes[0].tolist(), LAYOUT.ids.stop]
    assert example.segments[-2].role == "begin"
    assert example.target_start == example.num_positions - 5 - 1


def test_documents_cannot_see_each_other() -> None:
    net, first, second = model(), *examples()[:2]
    alone = packed_hidden(net, first.segments, 1)
    batch = TensorBatch.of(collate([first, second]))
    together = net.hidden(batch.ids, batch.bag_starts, batch.times, batch.layout)
    assert torch.allclose(together[: len(alone)], alone, atol=1e-6)


def test_loss_reports_each_level() -> None:
    result = loss_of(model(), examples())
    ar = [len(e.targets) for e in examples() if e.level == 0]
    assert result.counts.tolist() == [sum(ar), *(sum(len(e.targets) for e in examples() if e.level == level) for level in (1, 2, 3))]
    assert torch.all(result.hits <= result.counts)
    assert float(result.loss.detach()) == pytest.approx(float(result.sums.sum() / result.counts.sum()))
