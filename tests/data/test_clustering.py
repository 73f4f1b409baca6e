"""Speakers of unlabelled utterances: made-up voices whose number is known, real vectors of real voices, and memory."""

import tracemalloc

import numpy as np
import pytest

from tests.data.recordings import VOICES, recordings_of
from tests.data.stage_examples import TOOLS, work_of
from valle_data.clustering import cluster_speakers, purity
from valle_data.errors import UsageError
from valle_data.sound import Sound
from valle_data.stages.base import Work
from valle_data.stages.speaker import SpeakerStage


def voices(counts: list[int], *, dimension: int = 32, spread: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around one direction per speaker, in random order, and whose they are."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((len(counts), dimension))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    truth = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    vectors = centres[truth] + spread * rng.standard_normal((len(truth), dimension)) / np.sqrt(dimension) * 3
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16), truth


@pytest.fixture(scope="module")
def flite() -> tuple[np.ndarray, np.ndarray]:
    """Resemblyzer vectors of 20 recordings of 2 s or more of each of four voices, and whose they are."""
    stage = SpeakerStage(SpeakerStage.Config(), TOOLS)
    works = [work_of(sound.samples, sound.sample_rate_hz) for voice in VOICES for sound in _long(voice)]
    done = [work for work in stage.process(works) if isinstance(work, Work)]
    order = np.random.default_rng(0).permutation(80)
    return np.stack([work.vectors["speaker"] for work in done])[order], np.repeat(np.arange(4), 20)[order]


def _long(voice: str) -> list[Sound]:
    return sorted(recordings_of(voice, 90), key=lambda sound: sound.duration_s)[-20:]


@pytest.mark.parametrize("options", [{"threshold": 0.65}, {"threshold": 0.7}, {"num_speakers": 4}])
def test_four_real_voices(flite: tuple[np.ndarray, np.ndarray], options: dict) -> None:
    vectors, truth = flite
    found = cluster_speakers(vectors, **options)
    assert found.num_speakers == 4 and purity(found.labels, truth) == 1.0
    assert found.scores.min() > 0.7 and found.margins.min() > 0


@pytest.mark.parametrize("options", [{"threshold": 0.6}, {"num_speakers": 12}])
@pytest.mark.parametrize("sample_size", [100, 3000])
def test_made_up_voices_are_found(options: dict, sample_size: int) -> None:
    vectors, truth = voices([100] * 12)
    found = cluster_speakers(vectors, sample_size=sample_size, **options)
    assert found.num_speakers == 12 and purity(found.labels, truth) == 1.0
    assert found.labels[0] == 0 and (np.diff([np.argmax(found.labels == label) for label in range(12)]) > 0).all()


def test_a_rare_speaker_is_found_beyond_the_sample() -> None:
    vectors, truth = voices([2000, 2000, 3, 1])
    found = cluster_speakers(vectors, threshold=0.6, sample_size=50)
    assert found.num_speakers == 4 and purity(found.labels, truth) == 1.0 and sorted(np.bincount(found.labels)) == [1, 3, 2000, 2000]


def test_the_same_call_gives_the_same_result() -> None:
    vectors, _ = voices([50] * 20, spread=0.3)
    one, other = (cluster_speakers(vectors, threshold=0.5, sample_size=80, seed=3) for _ in range(2))
    assert (one.labels == other.labels).all() and (one.scores == other.scores).all() and (one.centroids == other.centroids).all()


def test_scores_are_those_of_the_centroids() -> None:
    vectors, _ = voices([30, 30, 30], spread=0.3)
    found = cluster_speakers(vectors, num_speakers=3, num_rounds=20)
    cosines = vectors.astype(np.float32) @ found.centroids.T
    ranked = np.sort(cosines, axis=1)
    assert (cosines.argmax(axis=1) == found.labels).all()
    assert np.allclose(found.scores, ranked[:, -1], atol=1e-5) and np.allclose(found.margins, ranked[:, -1] - ranked[:, -2], atol=1e-5)
    for label, centroid in enumerate(found.centroids):
        mean = vectors[found.labels == label].astype(np.float64).mean(axis=0)
        assert np.allclose(centroid, mean / np.linalg.norm(mean), atol=1e-5)


@pytest.mark.parametrize("options", [{"threshold": 0.9}, {"num_speakers": 2}])
@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_few_utterances(count: int, options: dict) -> None:
    vectors = np.array([[1, 0, 0], [0, 1, 0], [0, 0.8, -0.6]], np.float32)[:count]
    found = cluster_speakers(vectors, **options)
    assert len(found.labels) == count and found.num_speakers == len(set(found.labels.tolist())) <= count
    assert found.num_speakers == (count if "threshold" in options else min(2, count))
    assert count != 1 or (found.scores[0] == 1 and found.margins[0] == 2)


def test_rows_without_a_vector_are_nobodys() -> None:
    vectors = np.ones((3, 4), np.float32) / 2
    vectors[1] = np.nan
    found = cluster_speakers(vectors, threshold=0.5)
    assert found.labels.tolist() == [0, -1, 0] and np.isnan(found.scores[1]) and np.isnan(found.margins[1]) and found.num_speakers == 1


def test_memory_does_not_grow_with_the_corpus() -> None:
    """20,000 utterances: all pairs would be 1.6 GB, a float32 copy of the vectors 5 MB."""
    vectors, truth = voices([2000] * 10, dimension=64)
    tracemalloc.start()
    found = cluster_speakers(vectors, threshold=0.6, sample_size=500)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert purity(found.labels, truth) == 1.0 and peak < 60e6


def test_purity_of_mixed_clusters() -> None:
    assert purity(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])) == 0.75 and purity(np.zeros(0, int), np.zeros(0, int)) == 1.0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "give one of the two"),
        ({"threshold": 0.5, "num_speakers": 2}, "give one of the two"),
        ({"threshold": 1.5}, r"cosine between -1 and 1; it is 1\.5"),
        ({"num_speakers": 0}, r"1 to 3000 \(`sample_size`\); it is 0"),
        ({"threshold": 0.5, "sample_size": 1}, "`sample_size` is 1"),
    ],
)
def test_wrong_calls_are_refused(options: dict, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        cluster_speakers(np.eye(3, dtype=np.float32), **options)
