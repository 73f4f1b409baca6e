"""Given timestamps: who says what from when to when, in a file beside the recording or in the utterance itself.

Beside `talk.wav` one of these is looked for, in this order:

- `talk.json`: a list of `{"start": 1.0, "end": 2.5, "text": ..., "speaker": ..., "language": ...}` in seconds, or an object with such a list as `segments`, as
  Whisper and its relatives write it. `text`, `speaker` and `language` may be missing.
- `talk.srt`, `talk.vtt`: subtitles; `<v Name>` of WebVTT gives the speaker.
- `talk.TextGrid`: Praat, long or short form. The tier is the only interval tier, or one named sentences, utterances, segments, transcript or text.
- `talk.lab`: lines `start end text`, whole numbers in 100 ns as HTK writes them, others in seconds.

Intervals labelled `sil`, `sp` and the like are silence.

`Utterance.extra["segments"]` holds the same JSON list and goes before any file.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

from valle_data.errors import InputError, ReasonCode
from valle_data.records import Utterance
from valle_data.source import file_digest
from valle_data.speech.textgrid import textgrid_labels

EXTRA_KEY = "segments"
MAX_BYTES = 64 * 1024 * 1024
HTK_UNIT_S = 1e-7
CLOCK = re.compile(r"^\s*(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})\s*-->\s*(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})")
VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
SILENCE = frozenset({"sil", "sp", "pau", "<sil>", "<p:>", "#"})
"""Labels with which HTK, festival and forced aligners write that nobody speaks."""
SUBTITLE_TAG = re.compile(r"</?[a-zA-Z][^>]*>|<\d[\d:.]*>|\{\\[^}]*\}")


@dataclass(frozen=True)
class Timed:
    """A text (empty: not known) from `start_s` to `end_s` of a recording."""

    start_s: float
    end_s: float
    text: str = ""
    speaker: str | None = None
    language: str | None = None


def find_timestamps(recording: str) -> Path | None:
    """The file of timestamps beside a recording. A `.json` or `.lab` without times (metadata, a plain transcript) is none."""
    stem = os.path.splitext(recording)[0]
    for suffix in READERS:
        path = Path(stem + suffix)
        if path.is_file() and (suffix not in MAYBE or _read(path)):
            return path
    return None


def given_timestamps(utterance: Utterance) -> list[Timed]:
    """The timestamps of a recording, in order of their starts; none where there are no. Raises InputError `bad_timestamps`, naming file and place."""
    if EXTRA_KEY in utterance.extra:
        return _in_order(_json_rows(utterance.extra[EXTRA_KEY], f"the {EXTRA_KEY!r} of utterance {utterance.id}"), f"utterance {utterance.id}")
    path = find_timestamps(utterance.audio.path) if utterance.audio.offset is None else None
    return _in_order(_read(path), str(path)) if path else []


def timestamps_digest(utterance: Utterance) -> str:
    """Changes whenever the given timestamps of a recording do; empty where there are none. For the fingerprint of what was planned."""
    if EXTRA_KEY in utterance.extra:
        return utterance.extra[EXTRA_KEY]
    path = find_timestamps(utterance.audio.path) if utterance.audio.offset is None else None
    return file_digest(str(path)) if path else ""


def bad_timestamps(where: str, what: str) -> InputError:
    return InputError(ReasonCode.BAD_TIMESTAMPS, f"{where}: {what}")


def _read(path: Path) -> list[Timed]:
    return READERS[path.suffix](_text(path), str(path))


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise bad_timestamps(str(path), f"timestamps take at most {MAX_BYTES >> 20} MB; this file has {path.stat().st_size >> 20} MB.")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(ReasonCode.STORAGE_FAILED, f"{path}: cannot be read: {error.strerror}.") from error
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise bad_timestamps(str(path), f"timestamps are UTF-8 or UTF-16; byte {error.start} is neither. Save the file as UTF-8.") from error


def _in_order(rows: Sequence[Timed], where: str) -> list[Timed]:
    for row in rows:
        if not 0 <= row.start_s < row.end_s < float("inf"):
            raise bad_timestamps(where, f"a segment ends after it starts, and not before 0 s; one goes from {row.start_s:g} to {row.end_s:g} s. Correct it.")
    return sorted(rows, key=lambda row: (row.start_s, row.end_s))


def _json_rows(text: str, where: str) -> list[Timed]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise bad_timestamps(where, f"it is not JSON: {error}.") from error
    rows = data.get("segments", []) if isinstance(data, dict) else data
    if not isinstance(rows, list):
        raise bad_timestamps(where, f"`segments` is a list of objects with `start` and `end`; this is {type(rows).__name__}.")
    return [_json_row(row, index, where) for index, row in enumerate(rows)]


def _json_row(row: Any, index: int, where: str) -> Timed:
    if not isinstance(row, Mapping):
        raise bad_timestamps(where, f"segment {index} is an object with `start` and `end`; this is {json.dumps(row)[:60]}.")
    times = [row.get(key, row.get(f"{key}_s")) for key in ("start", "end")]
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in times):
        raise bad_timestamps(where, f"segment {index} has `start` and `end` in seconds; this has {times[0]!r} and {times[1]!r}.")
    words = {key: row.get(key) for key in ("text", "speaker", "language")}
    if not all(value is None or isinstance(value, str) for value in words.values()):
        raise bad_timestamps(where, f"segment {index}: text, speaker and language are strings.")
    return Timed(float(times[0]), float(times[1]), (words["text"] or "").strip(), words["speaker"], words["language"])


def _subtitles(text: str, where: str) -> list[Timed]:
    """SubRip and WebVTT: blocks between empty lines, of which those with an arrow are cues."""
    return [cue for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n").replace("\r", "\n")) if (cue := _cue(block, where))]


def _cue(block: str, where: str) -> Timed | None:
    lines = block.strip().split("\n")
    arrow = next((index for index, line in enumerate(lines[:2]) if "-->" in line), None)
    if arrow is None or lines[0].startswith("NOTE"):
        return None
    clock = CLOCK.match(lines[arrow])
    if not clock:
        raise bad_timestamps(where, f"a cue has times such as 00:01:02.500 --> 00:01:04.000; this has {lines[arrow][:60]!r}.")
    start_s, end_s = _seconds(clock.groups()[:4]), _seconds(clock.groups()[4:])
    words = " ".join(lines[arrow + 1 :])
    voice = VOICE.search(words)
    text = " ".join(unescape(SUBTITLE_TAG.sub("", words)).split())
    return Timed(start_s, end_s, text, unescape(voice.group(1)).strip() if voice else None) if text else None


def _seconds(clock: Sequence[str | None]) -> float:
    hours, minutes, seconds, fraction = (part or "0" for part in clock)
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{fraction}")


def _textgrid(text: str, where: str) -> list[Timed]:
    return [Timed(label.start_s, label.end_s, label.text.strip()) for label in textgrid_labels(text, where) if _is_said(label.text.strip())]


def _lab(text: str, where: str) -> list[Timed]:
    lines = [line.split(maxsplit=2) for line in text.splitlines() if line.strip()]
    if not lines or not all(_is_number(word) for word in lines[0][:2]) or len(lines[0]) < 2:
        return []
    return [Timed(*times, label) for times, label in _lab_rows(lines, where) if _is_said(label)]


def _is_said(label: str) -> bool:
    return bool(label) and label.lower() not in SILENCE


def _lab_rows(lines: Sequence[Sequence[str]], where: str) -> Iterator[tuple[tuple[float, float], str]]:
    unit_s = HTK_UNIT_S if all(word.isdigit() for line in lines for word in line[:2]) else 1.0
    for number, line in enumerate(lines, start=1):
        if len(line) < 2 or not all(_is_number(word) for word in line[:2]):
            raise bad_timestamps(where, f"line {number} is `start end text`; this is {' '.join(line)[:60]!r}.")
        yield (float(line[0]) * unit_s, float(line[1]) * unit_s), line[2].strip() if len(line) > 2 else ""


def _is_number(word: str) -> bool:
    return re.fullmatch(r"\d+(\.\d+)?", word) is not None


READERS: Mapping[str, Callable[[str, str], list[Timed]]] = {
    ".json": _json_rows,
    ".srt": _subtitles,
    ".vtt": _subtitles,
    ".TextGrid": _textgrid,
    ".lab": _lab,
}
MAYBE = frozenset({".json", ".lab"})
"""Suffixes that other things beside a recording have too."""
