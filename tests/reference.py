"""Slow and obvious: what fast code is compared with."""

import math
from collections.abc import Sequence

_WORD = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def mix(word: int) -> int:
    """splitmix64's finaliser, in Python's integers."""
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _WORD
    return word ^ (word >> 31)


def permuted(position: int, size: int, key: int) -> int:
    """A four-round Feistel network over the next even number of bits, repeated until the result is below `size`."""
    half = max(1, math.ceil((size - 1).bit_length() / 2))
    mask = (1 << half) - 1
    value = position
    while True:
        left, right = value >> half, value & mask
        for turn in range(4):
            left, right = right, left ^ (mix((right + key + turn * _GOLDEN) & _WORD) & mask)
        value = left << half | right
        if value < size:
            return value


def key_of(seed: int, *parts: int) -> int:
    key = mix((seed & _WORD) + _GOLDEN & _WORD)
    for part in parts:
        key = mix(((key ^ part) + _GOLDEN) & _WORD)
    return key


def drawn_by(weight: float, phase: float, num_draws: int) -> int:
    """Systematic sampling, one draw after the other: the class is drawn whenever its running share passes a whole number."""
    count = 0
    for draw in range(num_draws):
        if math.floor((draw + 1) * weight + phase) > math.floor(draw * weight + phase):
            count += 1
    return count


def first_fit_decreasing(costs: Sequence[int], budget: int) -> int:
    """Number of bins that first-fit decreasing needs."""
    free: list[int] = []
    for cost in sorted(costs, reverse=True):
        for index, room in enumerate(free):
            if cost <= room:
                free[index] -= cost
                break
        else:
            free.append(budget - cost)
    return len(free)
