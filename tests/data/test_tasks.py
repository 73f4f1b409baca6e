"""Tasks lay documents down; collate packs them. Checked position by position against the obvious."""

import numpy as np
import pytest

from valle_data.collate import collate
from valle_data.ids import IdSpace
from valle_data.records import Example
from valle_data.tasks import TASKS
from valle_data.tasks.base import Draw, Layout

IDS = IdSpace(num_phones=5, languages=("en-us",), tasks=("tts", "tts-c"), num_levels=3, codebook_size=10)
LAYOUT = Layout(IDS, frames_per_phone=2.0)
CODES = np.array([[1, 2, 3, 4], [5, 6, 7, 8], [9, 0, 1, 2]], dtype=np.uint16)
PROMPT = np.array([[3, 3], [4, 4], [5, 5]], dtype=np.uint16)


def draw(level: int, *, prompt: np.ndarray | None = PROMPT, cut: float = 0.5) -> Draw:
    return Draw(7, level, "en-us", np.array([0, 4, 2]), CODES, prompt, cut)


def ids_of(example: Example) -> list[list[int]]:
    return [[int(i) for i in bag if i >= 0] for segment in example.segments for bag in segment.bags]


def times_of(example: Example) -> list[float]:
    return [segment.start + segment.step * i for segment in example.segments for i in range(len(segment.bags))]


def code(level: int, value: int) -> int:
    return IDS.code_offset + level * IDS.codebook_size + value


def test_ar_document() -> None:
    example = TASKS["tts"](LAYOUT).example(draw(0))
    assert ids_of(example) == [
        [0], [4], [2],
        [IDS.level(0), IDS.task("tts")], [IDS.language("en-us")],
        [code(0, 3), code(1, 4), code(2, 5)], [code(0, 3), code(1, 4), code(2, 5)],
        [IDS.marker("begin")],
        [code(0, 1)], [code(0, 2)], [code(0, 3)], [code(0, 4)],
    ]  # fmt: skip
    assert times_of(example) == [0, 2, 4, -5, -4, -3, -2, -1, 0, 1, 2, 3]
    assert example.targets.tolist() == [1, 2, 3, 4, IDS.stop]
    assert (example.target_start, example.causal, example.head, example.row) == (7, True, 0, 7)


def test_nar_document_shows_the_levels_below() -> None:
    example = TASKS["tts"](LAYOUT).example(draw(2))
    assert ids_of(example)[-4:] == [[code(0, a), code(1, b)] for a, b in CODES[:2].T.tolist()]
    assert example.targets.tolist() == CODES[2].tolist()
    assert (example.target_start, example.causal, example.head) == (8, False, 2)


def test_without_a_prompt() -> None:
    example = TASKS["tts"](LAYOUT).example(draw(1, prompt=None))
    assert [len(segment.bags) for segment in example.segments] == [3, 1, 1, 0, 1, 4]
    assert times_of(example)[3:6] == [-3, -2, -1]


def test_continuation_cuts_its_own_utterance_and_its_text_starts_with_the_prompt() -> None:
    example = TASKS["tts-c"](LAYOUT).example(draw(0))
    assert ids_of(example)[5:7] == [[code(level, int(c)) for level, c in enumerate(frame)] for frame in CODES[:, :2].T]
    assert times_of(example)[:3] == [-3, -1, 1]
    assert example.targets.tolist() == [3, 4, IDS.stop]


@pytest.mark.parametrize("task", sorted(TASKS))
@pytest.mark.parametrize("level", range(3))
@pytest.mark.parametrize("frames", [1, 2, 4])
def test_every_task_supervises_every_frame_once(task: str, level: int, frames: int) -> None:
    example = TASKS[task](LAYOUT).example(Draw(0, level, "en-us", np.array([1]), CODES[:, :frames], PROMPT, cut=0.0))
    assert len(example.targets) == frames + (level == 0)
    assert example.target_start + len(example.targets) == example.num_positions
    assert np.all(example.targets < IDS.head_sizes[example.head])


def test_packing_keeps_documents_whole_and_puts_causal_ones_first() -> None:
    examples = [TASKS["tts"](LAYOUT).example(draw(level)) for level in (1, 0, 2, 0)]
    batch = collate(examples)
    assert batch.levels.tolist() == [0, 0, 1, 2] and batch.num_causal == 2
    bags = np.split(batch.ids, batch.bag_starts[1:])
    starts = np.cumsum(batch.lengths) - batch.lengths
    ordered = [examples[1], examples[3], examples[0], examples[2]]
    for example, start, length in zip(ordered, starts, batch.lengths, strict=True):
        assert [bag.tolist() for bag in bags[start : start + length]] == ids_of(example)
        assert batch.times[start : start + length].tolist() == times_of(example)
    expected = [(s + e.target_start + i, t, e.head) for s, e in zip(starts, ordered, strict=True) for i, t in enumerate(e.targets)]
    assert list(zip(batch.target_positions, batch.targets, batch.heads, strict=True)) == expected


def test_a_batch_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one example"):
        collate([])
