"""Grouping, halving and windows by themselves; on real codecs: test_codecs.py."""

from collections.abc import Sequence

import pytest
import torch

from valle_data.codecs.batches import groups, halving, windowed


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
