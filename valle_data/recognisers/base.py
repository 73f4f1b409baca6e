"""What a recogniser owes."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from valle_data.config import EntryConfig, StageConfig
from valle_data.errors import InputError
from valle_data.text.languages import UNDETERMINED

RATE_HZ = 16_000


def is_undetermined(language: str) -> bool:
    """Whether nobody has said which language it is."""
    return language.lower() in ("", UNDETERMINED)


class RecogniserConfig(EntryConfig, StageConfig):
    """Configuration of a recogniser. Its `stamp` names packages and weights, without which no text is what it was."""


@dataclass(frozen=True)
class Word:
    """A recognised word, in seconds from the start of the waveform."""

    text: str
    start_s: float
    end_s: float
    confidence: float | None = None


@dataclass(frozen=True)
class Transcript:
    """What was heard. `language` is a BCP 47 tag; `confidence`, `language_prob` and `no_speech_prob` are in 0..1, None where a recogniser has no idea."""

    text: str
    language: str
    words: tuple[Word, ...] = ()
    confidence: float | None = None
    language_prob: float | None = None
    no_speech_prob: float | None = None


class Recogniser(ABC):
    """Waveforms float32 `[N]` at 16 kHz -> transcripts. A class names its configuration as `Config` and is made from one.

    A waveform is at most `max_duration_s` long. `listens_for` says whether it makes use of an expected text.
    """

    Config: ClassVar[Any]
    max_duration_s: ClassVar[float]
    listens_for: ClassVar[bool] = False

    @abstractmethod
    def transcribe(
        self, waveforms: Sequence[NDArray[np.float32]], languages: Sequence[str], expected: Sequence[str] | None = None
    ) -> list[Transcript | InputError]:
        """The transcript of each waveform, or InputError `unknown_language`.

        `languages` are BCP 47 tags, `und` to be found out. `expected` gives for each waveform a longer text of which it says a part: words in lower case
        with spaces between. Empty strings and None promise nothing.
        """
