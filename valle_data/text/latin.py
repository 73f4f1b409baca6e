"""Latin words inside a text of another script, read by espeak's English voice: names and brands in Chinese and Korean."""

import re
from collections.abc import Iterator

from valle_data.text.espeak_library import espeak_library
from valle_data.text.phonemizers.espeak import read_aloud

VOICE = "en-us"
RUNS = re.compile(r"[A-Za-z\u00c0-\u024f]+(?:['’.\- ]*[A-Za-z\u00c0-\u024f]+)*")


def latin_runs(text: str) -> Iterator[tuple[str, bool]]:
    """The text in order as stretches that are Latin words (True) and stretches of anything else (False)."""
    start = 0
    for run in RUNS.finditer(text):
        yield text[start : run.start()], False
        yield run.group(), True
        start = run.end()
    yield text[start:], False


def read_latin(run: str) -> str:
    """Phones of Latin words, separated by a space."""
    return read_aloud(run, VOICE)


def latin_version() -> str:
    return f"espeak-ng {espeak_library().version} for Latin words"
