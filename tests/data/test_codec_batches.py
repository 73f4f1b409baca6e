"""Grouping, halving and windows by themselves; on real codecs: test_codecs.py."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.codec_dummies import make_dac_codec, make_small_vocos
from tests.conftest import ROOT
from valle_data.codecs.batches import groups, halving, windowed
from valle_data.codecs.mini import MiniCodec
from valle_data.codecs.vocos import CONTEXT_FRAMES, HOP


def test_groups_hold_one_key_and_similar_sizes():
    keys, sizes = ["a", "b", "a", "a", "b", "a"], [9, 1, 3, 7, 2, 5]
    assert groups(keys, sizes, 2) == [[1, 4], [2, 5], [3, 0]]
    assert groups(keys, sizes, 1) == [[1], [4], [2], [5], [3], [0]]
    assert groups([], [], 4) == []


@pytest.mark.parametrize("room", [1, 2, 3, 100])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_halving_gives_every_result_in_order(room: int, count: int):
    def run(items: Sequence[int]) -> list[int]:
        if len(items) > room:
            raise torch.OutOfMemoryError
        return [item * item for item in items]

    assert halving(run, range(count)) == [item * item for item in range(count)]


def test_halving_passes_other_failures_on_at_once():
    tried = []

    def run(items: Sequence[int]) -> list[int]:
        tried.append(len(items))
        raise RuntimeError("not the memory")

    with pytest.raises(RuntimeError, match="not the memory"):
        halving(run, range(8))
    assert tried == [8]


def test_halving_lets_go_of_what_failed():
    """What the failed batch allocated must be free again when its halves run."""
    alive: list[bool] = []
    kept: list[object] = []

    class Block:
        def __del__(self) -> None:
            kept.clear()

    def run(items: Sequence[int]) -> list[int]:
        alive.append(bool(kept))
        if len(items) > 1:
            block = Block()
            kept.append(id(block))
            raise torch.OutOfMemoryError
        return list(items)

    assert halving(run, [1, 2]) == [1, 2]
    assert alive == [False, False, False]


@pytest.mark.parametrize("total", [1, 10, 11, 25, 30])
@pytest.mark.parametrize(("into", "out"), [(1, 1), (4, 1), (1, 3)])
def test_windowed_equals_one_pass(total: int, into: int, out: int):
    """A network that sums the frames up to three to each side, in whole numbers: exact."""
    seen: list[int] = []

    def run(x: torch.Tensor) -> torch.Tensor:
        frames = x.reshape(*x.shape[:-1], -1, into).sum(-1)
        seen.append(frames.shape[-1])
        padded = torch.nn.functional.pad(frames, (3, 3))
        return padded.unfold(-1, 7, 1).sum(-1).repeat_interleave(out, dim=-1)

    x = torch.randint(0, 100, (2, total * into), generator=torch.Generator().manual_seed(total))
    whole = run(x)
    seen.clear()
    assert torch.equal(windowed(run, x, into=into, out=out, window=10, context=3), whole)
    assert max(seen) <= 16 and len(seen) == -(-total // 10)
    if total > 10:
        assert not torch.equal(windowed(run, x, into=into, out=out, window=10, context=2), whole)


def mini_parts(folder: Path) -> list[tuple[Callable[[torch.Tensor], torch.Tensor], int, int, int, int]]:
    network = MiniCodec().network.double()
    return [
        (network.latent, 1, 960, 1, network.encoder_context),
        (network.synthesise, network.shape.latent_width, 1, 960, network.decoder_context),
    ]


def dac_parts(folder: Path) -> list[tuple[Callable[[torch.Tensor], torch.Tensor], int, int, int, int]]:
    codec = make_dac_codec(folder, 44_100)
    model = codec.model.double()
    return [(model.encoder, 1, codec.hop, 1, codec.encoder_context), (model.decoder, model.latent_dim, 1, codec.hop, codec.decoder_context)]


def vocos_parts(folder: Path) -> list[tuple[Callable[[torch.Tensor], torch.Tensor], int, int, int, int]]:
    model: Any = make_small_vocos(folder).model.double()
    return [(lambda features: model(features, torch.tensor([1])), 128, 1, HOP, CONTEXT_FRAMES)]


@pytest.mark.parametrize("parts", [mini_parts, dac_parts, vocos_parts])
def test_windows_have_all_the_context_their_network_hears(parts: Callable[[Path], list[Any]], tmp_path: Path):
    """In double precision there is no rounding to hide behind; a third of the context is too little, so the figure is no mere excess."""
    for network, channels, into, out, context in parts(tmp_path):
        torch.manual_seed(0)
        x = torch.randn(1, channels, 90 * into, dtype=torch.float64) * 0.1
        x = x[:, 0] if parts is mini_parts and channels == 1 else x

        def run(piece: torch.Tensor, network: Any = network) -> torch.Tensor:
            return network(piece)

        with torch.inference_mode():
            whole = run(x)
            exact = windowed(run, x, into=into, out=out, window=30, context=context)
            short = windowed(run, x, into=into, out=out, window=30, context=context // 3)
        torch.testing.assert_close(exact, whole, atol=1e-10, rtol=1e-8)
        assert (short - whole).abs().max() > 1e-8


@pytest.mark.slow
def test_an_hour_needs_little_more_memory_than_two_minutes():
    """Peak of the process, in MiB, beyond the waveform and its copies, which are 4 bytes a sample each."""
    program = """
import resource, numpy as np, torch
from valle_data.codecs.mini import MiniCodec
torch.set_num_threads(1)
codec, peaks = MiniCodec(), []
for minutes in (2, 60):
    noise = np.random.default_rng(0).standard_normal(minutes * 60 * 24_000, dtype=np.float32) * 0.1
    codec.decode(codec.encode([noise])[0])
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print(peaks[1] - peaks[0], noise.nbytes / 2**20)
"""
    found = subprocess.run([sys.executable, "-W", "ignore", "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    grown, waveform = (float(figure) for figure in found.split())
    assert grown < 4 * waveform + 100
