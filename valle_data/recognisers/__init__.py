"""Recognisers: what is said in a recording."""

from functools import lru_cache
from typing import Any

from valle_data.recognisers.base import Recogniser
from valle_data.registry import Table

RECOGNISERS = Table(
    "recogniser",
    {
        "faster_whisper": "valle_data.recognisers.faster_whisper:FasterWhisperRecogniser",
        "pocketsphinx": "valle_data.recognisers.pocketsphinx:PocketsphinxRecogniser",
    },
    extras={"faster_whisper": "speech", "pocketsphinx": "speech"},
)


@lru_cache(maxsize=1)
def held(config: Any) -> Recogniser:
    """The recogniser that `config` chooses: one model per process, whoever asks for it."""
    return RECOGNISERS.build(config)
