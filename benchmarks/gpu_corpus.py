"""The made-up speech of `benchmarks/gpu.py`: the law of `benchmarks/corpus_law.py`, which itself needs pyarrow, and draws from it."""

import numpy as np

from valle_data.ids import IdSpace
from valle_data.tasks import TASKS
from valle_data.tasks.base import Draw

NUM_LEVELS, CODEBOOK_SIZE, PHONES_PER_S = 8, 1024, 12
FRAME_RATE_HZ, MINI_FRAME_RATE_HZ = 75, 25
NUM_SYMBOLS = 40
SPACE = 0  # the symbols of the law are phones 1..40
IDS = IdSpace(NUM_SYMBOLS + 1, ("en-us",), tuple(TASKS), NUM_LEVELS, CODEBOOK_SIZE)


def utterance(seed: int, speaker: int, index: int, shortest_s: float = 2.0, longest_s: float = 12.0) -> tuple[np.ndarray, np.ndarray]:
    """Codes `[Q, T]` and phones `[P]` of one utterance of the law of `benchmarks/corpus_law.py`, which itself needs pyarrow."""
    random = np.random.default_rng([seed, speaker, index])
    num_frames = round(FRAME_RATE_HZ * random.uniform(shortest_s, longest_s))
    codes = random.integers(0, CODEBOOK_SIZE, size=(num_frames, NUM_LEVELS), dtype=np.uint16)
    phones = random.integers(0, NUM_SYMBOLS, size=round(PHONES_PER_S * num_frames / FRAME_RATE_HZ)) + 1
    becomes_space = random.random(len(phones)) < 1 / 6
    for place in np.flatnonzero(becomes_space[1:-1]) + 1:
        if phones[place - 1] != SPACE:
            phones[place] = SPACE
    return codes.T, phones


def draws(num: int, shortest_s: float, longest_s: float, prompt_s: float) -> list[Draw]:
    """Half of them level 0, the others level by level, each with a prompt of a third to the whole of `prompt_s` by the same speaker."""
    found = []
    for row in range(num):
        speaker, index = divmod(row, 10)
        codes, phones = utterance(0, speaker, index, shortest_s, longest_s)
        other, _ = utterance(0, speaker, (index + 1) % 10, shortest_s, longest_s)
        length = min(other.shape[1], round(np.random.default_rng([1, row]).uniform(1 / 3, 1) * prompt_s * FRAME_RATE_HZ))
        level = 0 if row % 2 == 0 else 1 + row // 2 % (NUM_LEVELS - 1)
        found.append(Draw(row, level, "en-us", phones, codes, other[:, :length], cut=0.0))
    return found
