"""Batches for a device that may run out of memory, and windows for utterances that are too long to be computed at once."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor

Item = TypeVar("Item")
Result = TypeVar("Result")


def groups(keys: Sequence[Hashable], sizes: Sequence[int], batch_size: int) -> list[list[int]]:
    """Indices in batches of one key, of similar size within it; the same input gives the same batches."""
    by_key: dict[Hashable, list[int]] = {}
    for index in sorted(range(len(keys)), key=lambda i: (sizes[i], i)):
        by_key.setdefault(keys[index], []).append(index)
    return [members[start : start + batch_size] for members in by_key.values() for start in range(0, len(members), batch_size)]


def halving(run: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item]) -> list[Result]:
    """`run(items)`; where the device runs out of memory, of both halves instead, down to single items.

    torch.OutOfMemoryError reaches the caller only for one item alone: until then nothing tells which item was too large, or whether any was.
    """
    try:
        return run(items)
    except torch.OutOfMemoryError:
        if len(items) == 1:
            raise
    # Not in the handler: its traceback would hold the tensors of the failed batch.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    middle = len(items) // 2
    return [*halving(run, items[:middle]), *halving(run, items[middle:])]


@contextmanager
def repeatable_arithmetic() -> Iterator[None]:
    """Within the block cuDNN neither times its algorithms nor rounds to TF32: the same input gives the same codes on one kind of GPU."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield


def windowed(run: Callable[[Tensor], Tensor], x: Tensor, *, into: int, out: int, window: int, context: int) -> Tensor:
    """`run(x)` of a network that sees at most `context` frames to each side, `window` frames at a time.

    A frame is `into` steps of the last axis of `x` and `out` steps of the result. Every window is computed with `context` frames on both sides,
    which are then cut off: where the network sees no further, the result is `run(x)` to fp32 rounding. Up to `window` frames it is `run(x)` itself.
    """
    total = x.shape[-1] // into
    if total <= window:
        return run(x)
    pieces = []
    for start in range(0, total, window):
        end = min(start + window, total)
        first, last = max(0, start - context), min(end + context, total)
        y = run(x[..., first * into : last * into])
        pieces.append(y[..., (start - first) * out : (end - first) * out])
    return torch.cat(pieces, dim=-1)
