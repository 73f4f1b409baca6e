"""What a segmenter owes."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from valle_data.config import EntryConfig, StageConfig
from valle_data.records import Utterance
from valle_data.sound import Sound
from valle_data.speech.intervals import Interval
from valle_data.speech.stretches import Stretch, own_range


class SegmenterConfig(EntryConfig, StageConfig):
    """Configuration of a segmenter. Its `stamp` names the packages and weights that decide where it cuts."""


@dataclass(frozen=True)
class Recording:
    """What a segmenter sees: a sound, the utterance as it was planned, and which stretch of a recording it is.

    `own` is the part of the sound that no neighbouring stretch deals with.
    """

    sound: Sound
    utterance: Utterance
    stretch: Stretch

    @cached_property
    def own(self) -> Interval:
        return Interval(*own_range(self.sound, self.stretch))


@dataclass(frozen=True)
class Piece:
    """One utterance of a recording, in seconds of its sound. `text`, `speaker` and `language` are None where the segmenter does not know them."""

    interval: Interval
    text: str | None = None
    speaker: str | None = None
    language: str | None = None
    scores: Mapping[str, float] = field(default_factory=dict)


class Segmenter(ABC):
    """A segmenter names its configuration as `Config` and is made from one. Its pieces depend on the recording alone.

    `gives_text` says that its pieces come with their texts; one that does not must not cut a recording whose text is given.
    """

    Config: ClassVar[Any]
    gives_text: ClassVar[bool] = False

    @abstractmethod
    def suits(self, recording: Recording) -> bool:
        """Whether there is something to go by: timestamps for one that follows them, a text for one that aligns."""

    @abstractmethod
    def pieces(self, recording: Recording) -> list[Piece]:
        """The utterances of a recording that suits, in order; none where nobody speaks. Raises InputError for one that cannot be segmented."""
