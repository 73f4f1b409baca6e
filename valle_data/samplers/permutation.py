"""Random numbers that need no state: a keyed permutation of 0..n-1, and generators keyed by what they are for."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ROUNDS = 4
_WORD = (1 << 64) - 1


class Purpose(IntEnum):
    """What a block's random numbers are drawn for; each has a stream of its own, so one more use never shifts another."""

    ORDER = 0
    PROMPT = 1
    CUT = 2
    PACK = 3
    STRATA = 4
    SEQUENCE = 5


def generator(seed: int, block: int, purpose: Purpose) -> np.random.Generator:
    """The Philox stream (Salmon et al. 2011, SC11) of one purpose in one block."""
    return np.random.Generator(np.random.Philox(key=np.array([seed & _WORD, (block * len(Purpose) + purpose) & _WORD], dtype=np.uint64)))


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The splitmix64 finaliser (Steele et al. 2014, OOPSLA): a bijection of 64-bit words in which every bit depends on every bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def keys(seed: int, *parts: NDArray[np.integer] | int) -> NDArray[np.uint64]:
    """One 64-bit key for each row of `parts`, broadcast against each other."""
    key = mix(np.array([seed & _WORD], dtype=np.uint64) + _GOLDEN)
    for part in parts:
        key = mix((key ^ np.asarray(part).astype(np.uint64)) + _GOLDEN)
    return key


def permute(positions: NDArray[np.integer], sizes: NDArray[np.integer], key: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Where element `positions[i]` of 0..sizes[i]-1 goes under the permutation that `key[i]` names; all three have shape `[L]`.

    A balanced Feistel network over the next power of four, walked along its cycles until it lands below the size (Black and Rogaway 2002, CT-RSA):
    at most four steps on average, and no buffer however large the set.
    """
    half = np.maximum(1, (np.frexp((sizes - 1).astype(np.float64))[1] + 1) // 2).astype(np.uint64)
    values = positions.astype(np.uint64)
    result = np.empty(len(values), dtype=np.int64)
    limits = sizes.astype(np.uint64)
    todo = np.arange(len(values))
    while len(todo):
        values = _feistel(values, half, key)
        done = values < limits
        result[todo[done]] = values[done]
        walking = ~done
        todo, values, half, key, limits = todo[walking], values[walking], half[walking], key[walking], limits[walking]
    return result


def _feistel(values: NDArray[np.uint64], half: NDArray[np.uint64], key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = values >> half, values & mask
    for turn in range(_ROUNDS):
        left, right = right, left ^ (mix(right + key + np.uint64(turn * int(_GOLDEN) & _WORD)) & mask)
    return (left << half) | right
