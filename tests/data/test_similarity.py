"""Similar utterances against a loop that looks at every pair."""

import tracemalloc

import numpy as np
import pytest

from valle_data.similarity import top_k_similar


def brute_force(vectors: np.ndarray, speakers: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    indices, scores = np.full((len(vectors), k), -1), np.zeros((len(vectors), k), np.float32)
    for row, vector in enumerate(vectors):
        others = [i for i in range(len(vectors)) if i != row and speakers[i] == speakers[row] >= 0]
        ranked = sorted((-float(np.float32(vector) @ np.float32(vectors[i])), i) for i in others)[:k]
        for place, (score, index) in enumerate(ranked):
            indices[row, place], scores[row, place] = index, -score
    return indices, scores


def grid(count: int, dimension: int, seed: int) -> np.ndarray:
    """Vectors of small whole numbers: their inner products are exact and often equal."""
    return np.random.default_rng(seed).integers(-2, 3, (count, dimension)).astype(np.float32)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 3, 50])
@pytest.mark.parametrize("block_scores", [1, 37, 1 << 20])
def test_all_agrees_with_every_pair(dtype: type, k: int, block_scores: int) -> None:
    rng = np.random.default_rng(k)
    vectors, speakers = grid(60, 4, k).astype(dtype), rng.integers(-1, 6, 60)
    found = top_k_similar(vectors, speakers, k, block_scores=block_scores)
    indices, scores = brute_force(vectors, speakers, k)
    assert (found.indices == indices).all() and (found.scores == scores).all()
    assert found.indices.dtype == np.int64 and found.scores.dtype == np.float32


def test_real_vectors_agree_to_rounding() -> None:
    vectors = np.random.default_rng(0).standard_normal((200, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    speakers = np.arange(200) % 3
    found, (indices, scores) = top_k_similar(vectors, speakers, 5, block_scores=999), brute_force(vectors, speakers, 5)
    assert np.allclose(found.scores, scores, atol=1e-6) and (found.indices == indices).mean() > 0.99
    assert (found.indices != np.arange(200)[:, None]).all() and (np.diff(found.scores, axis=1) <= 0).all()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_utterances(count: int) -> None:
    found = top_k_similar(np.eye(2, 3, dtype=np.float32)[:count], np.zeros(count, np.int64), 2)
    assert found.indices.tolist() == [[], [[-1, -1]], [[1, -1], [0, -1]]][count]


def test_itself_is_never_similar_even_among_equals() -> None:
    found = top_k_similar(np.ones((5, 2), np.float16), np.zeros(5, np.int64), 3)
    assert found.indices.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2], [0, 1, 2]]


def test_nobody_and_rows_without_a_vector_are_left_alone() -> None:
    vectors = np.ones((4, 2), np.float32)
    vectors[1] = np.nan
    found = top_k_similar(vectors, np.array([0, 0, 0, -1]), 2)
    assert found.indices.tolist() == [[2, -1], [-1, -1], [0, -1], [-1, -1]] and np.isfinite(found.scores).all()


def test_memory_is_that_of_a_block() -> None:
    """All pairs of 6,000 utterances would be 144 MB of scores."""
    vectors = np.random.default_rng(0).standard_normal((6000, 8)).astype(np.float16)
    tracemalloc.start()
    top_k_similar(vectors, np.zeros(6000, np.int64), 2, block_scores=1 << 18)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(ValueError, match="3 vectors and 2 speakers"):
        top_k_similar(np.ones((3, 2), np.float32), np.zeros(2, np.int64), 1)
    with pytest.raises(ValueError, match="count from 1; they are 0"):
        top_k_similar(np.ones((3, 2), np.float32), np.zeros(3, np.int64), 0)
