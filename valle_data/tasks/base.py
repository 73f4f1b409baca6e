"""What a task owes: laying an utterance, and maybe a prompt, down as a training example.

Every document has the order `<text> <level, task> <language> <prompt> <begin> <target>` (VALL-E, Wang et al. 2023, section 4). Each position stands
at a time, counted in frames: target frame t at time t, the prompt just before it, and phone i where it is likely to be spoken, at
`text_start + i * frames_per_phone`. With rotary embeddings, phones and frames that belong together are then close to each other (after LARoPE,
Kim et al. 2025, arXiv:2509.11084, but with a fixed rate, so that it needs no length in advance). In the first 200 steps it learns no faster than
positions counted one by one do (docs/log.md).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from valle_data.ids import IdSpace
from valle_data.records import Example, Segment


@dataclass(frozen=True)
class Layout:
    """How a model wants its documents: its id space, and the frames an average phone lasts."""

    ids: IdSpace
    frames_per_phone: float


@dataclass(frozen=True)
class Draw:
    """One draw of the sampler with its data: `phones` ids `[P]`, `codes` `[Q, T]`, `prompt` codes `[Q, T']` of another utterance or none.

    `cut` in 0..1 is where a task that continues an utterance cuts it.
    """

    row: int
    level: int
    language: str
    phones: NDArray[np.integer]
    codes: NDArray[np.integer]
    prompt: NDArray[np.integer] | None
    cut: float


class Task(ABC):
    """Turns draws into examples for one model layout."""

    name: str

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    @abstractmethod
    def example(self, draw: Draw) -> Example:
        """One document."""


def one_id_each(ids: NDArray[np.integer] | list[int]) -> NDArray[np.int64]:
    """Ids `[L]` -> bags `[L, 1]`."""
    return np.asarray(ids, dtype=np.int64)[:, None]


@dataclass(frozen=True)
class Speech:
    """What a text-to-speech document is made of; `target` may hold just the frames known so far.

    `text_covers_prompt`: the text begins with what the prompt says, so its time begins with the prompt.
    """

    task: str
    level: int
    language: str
    phones: NDArray[np.integer]
    prompt: NDArray[np.integer]
    target: NDArray[np.integer]
    text_covers_prompt: bool


def speech_segments(speech: Speech, layout: Layout) -> tuple[Segment, ...]:
    """Segments of a document that predicts level `speech.level` of `target` from the levels below it; training and synthesis both use it.

    For level 0 the target shows level 0 (its frames predict the next one); for level l > 0 the sum of levels 0..l-1.
    """
    ids = layout.ids
    prompt_frames = speech.prompt.shape[1]
    prompt_start = -1.0 - prompt_frames
    shown = speech.target[: max(1, speech.level)]
    level_and_task = np.array([[ids.level(speech.level), ids.task(speech.task)]], dtype=np.int64)
    return (
        Segment("text", one_id_each(speech.phones), start=prompt_start if speech.text_covers_prompt else 0.0, step=layout.frames_per_phone),
        Segment("level", level_and_task, start=prompt_start - 2),
        Segment("language", one_id_each([ids.language(speech.language)]), start=prompt_start - 1),
        Segment("prompt", ids.codes(speech.prompt), start=prompt_start),
        Segment("begin", one_id_each([ids.marker("begin")]), start=-1.0),
        Segment("target", ids.codes(shown), start=0.0),
    )


def speech_example(speech: Speech, layout: Layout, row: int) -> Example:
    """The training document: level 0 is causal and learns every target frame and then stop; a higher level sees the whole document."""
    segments = speech_segments(speech, layout)
    before_target = sum(len(segment.bags) for segment in segments[:-1])
    targets = speech.target[speech.level].astype(np.int64)
    causal = speech.level == 0
    if causal:
        targets = np.append(targets, layout.ids.stop)
    return Example(
        task=speech.task, level=speech.level, segments=segments, head=speech.level, target_start=before_target - causal, targets=targets, causal=causal, row=row
    )
