"""lhotse: corpora that its recipes have prepared, as a CutSet in JSON lines or as Shar folders.

From https://github.com/lhotse-speech/lhotse, which has recipes for more than 100 corpora; the licence is that of the corpus. Layout:

    cuts.jsonl.gz                                 a cut a line: recording, start, duration, supervisions (text, speaker, language)
    shar/cuts.000000.jsonl.gz                     the same in shards, beside
    shar/recording.000000.tar                     the recordings of their cuts, in the same order, read where they lie

One supervision is one utterance. Cuts that are mixed, padded or changed on the fly exist in no file: save them with `save_audios` first.
"""

import fnmatch
import os
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import Field

from valle_data.corpora.base import Corpus, CorpusConfig, Item, Refusal
from valle_data.corpora.reading.languages import language_tag
from valle_data.corpora.reading.pairs import Sample, read_samples
from valle_data.corpora.reading.table import bad_row, check_path, check_utf8, json_rows, seconds
from valle_data.corpora.reading.walk import walk
from valle_data.errors import InputError, ReasonCode, UsageError

ROUNDING_S = 1e-3
"""Durations are rounded in manifests; a stretch that ends this close to the end of its recording goes to the end."""


class LhotseCorpus(Corpus):
    """See the module."""

    class Config(CorpusConfig):
        """Which manifests."""

        name: str = "lhotse"
        table: str = Field(default="*cuts*.jsonl*", description="glob of manifests below root, `*` crosses folders")

    def scan(self) -> Iterator[Item | Refusal]:
        has_any = False
        for found in walk(self.root, ("jsonl", "jsonl.gz")):
            if fnmatch.fnmatchcase(found.path, self.config.table):
                has_any = True
                yield from self._manifest(found.path)
        if not has_any:
            raise UsageError(f"No manifest below {self.root!r} fits `corpus.table` = {self.config.table!r}. Correct one of the two.")

    def _manifest(self, table: str) -> Iterator[Item | Refusal]:
        folder, name = os.path.split(table)
        archive = os.path.join(folder, name.replace("cuts", "recording", 1).partition(".jsonl")[0] + ".tar")
        samples = read_samples(self.place(archive), archive) if os.path.isfile(self.place(archive)) else None
        for line, cut in json_rows(self.place(table)):
            try:
                sample = None
                if samples is not None:
                    sample = yield from _next(samples)
                    _check_pair(cut, sample, archive)
                yield from self._items(table, cut, archive, sample)
            except InputError as error:
                yield Refusal(table, error.reason, str(error.args[0]), line)
                if error.reason is ReasonCode.CORRUPT_ARCHIVE:
                    return

    def _items(self, table: str, cut: Any, archive: str, sample: Sample | None) -> Iterator[Item]:
        if not isinstance(cut, dict):
            raise bad_row(cut if isinstance(cut, str) else f"is {type(cut).__name__} and not an object")
        if cut.get("type", "MonoCut") != "MonoCut":
            raise bad_row(f"is a {cut['type']}, which exists in no file: save it with `save_audios`, or convert it with `to_mono`")
        recording = cut.get("recording")
        if not isinstance(recording, dict) or recording.get("transforms"):
            raise bad_row("has no recording, or one that is changed on the fly: save it with `save_audios`")
        place = _source(recording, cut.get("channel")) if sample is None else _member(archive, sample, cut)
        supervisions = cut.get("supervisions") or [{}]
        if not isinstance(supervisions, list) or not all(isinstance(each, dict) for each in supervisions):
            raise bad_row("has `supervisions` that are no list of objects")
        for supervision in supervisions:
            start_s, duration_s = _stretch(cut, supervision, recording)
            yield replace(
                place,
                text=_text(supervision, "text").strip(),
                speaker=_text(supervision, "speaker"),
                language=language_tag(_text(supervision, "language")),
                start_s=start_s,
                duration_s=duration_s,
                extra=_extra(supervision),
                key=f"{table}/{cut.get('id')}/{supervision.get('id', '')}",
            )


def _next(samples: Iterator[Sample | Refusal]) -> Generator[Refusal, None, Sample | None]:
    """The next sample as the result, refusals on the way."""
    for sample in samples:
        if isinstance(sample, Sample):
            return sample
        yield sample
    return None


def _source(recording: Mapping[str, Any], channel: Any) -> Item:
    """The file of a recording. Raises InputError `unsafe_member` for a command or an address, `bad_row`."""
    sources = recording.get("sources")
    source = sources[0] if isinstance(sources, list) and len(sources) == 1 and isinstance(sources[0], dict) else {}
    path, channels = source.get("source"), source.get("channels")
    if source.get("type") in ("command", "url"):
        raise InputError(ReasonCode.UNSAFE_MEMBER, f"The recording {path!r} is a {source['type']}; nothing was run or fetched. Save its sound to a file.")
    if source.get("type") != "file" or not isinstance(path, str) or not path:
        raise bad_row(f"has a recording whose sources are {str(sources)[:100]!r}, not one file")
    check_path(path, allows_absolute=True)
    several = channels if isinstance(channels, list) and len(channels) > 1 else []
    return Item(path, channel=several.index(channel) if channel in several else None)


def _member(archive: str, sample: Sample, cut: Mapping[str, Any]) -> Item:
    """The recording that lies beside a cut in a Shar folder, already cut."""
    audio = sample.audio
    if audio is None:
        raise bad_row(f"has no sound in {archive!r}")
    return Item(archive, member=audio.name, offset=audio.offset, nbytes=audio.nbytes)


def _check_pair(cut: Any, sample: Sample | None, archive: str) -> None:
    wanted, found = cut.get("id") if isinstance(cut, dict) else None, sample.key if sample else "the end"
    if wanted != found:
        raise InputError(
            ReasonCode.CORRUPT_ARCHIVE,
            f"The cut {wanted!r} stands beside {found!r} in {archive!r}: the two files do not belong together. The rest is left out.",
        )


def _stretch(cut: Mapping[str, Any], supervision: Mapping[str, Any], recording: Mapping[str, Any]) -> tuple[float, float | None]:
    """Start and duration of a supervision in its recording, within its cut; (0, None) for the whole."""
    cut_start, cut_duration = seconds("start", cut.get("start")) or 0.0, seconds("duration_s", cut.get("duration"))
    whole = seconds("duration_s", recording.get("duration"))
    begin, length = _seconds_from(supervision.get("start")), seconds("duration_s", supervision.get("duration"))
    start = max(cut_start + begin, cut_start)
    ends = [cut_start + begin + length] if length is not None else []
    ends += [cut_start + cut_duration] if cut_duration is not None else []
    end = min(ends) if ends else whole
    if end is not None and end <= start:
        raise bad_row(f"has a supervision from {begin:g} s that lies outside its cut of {cut_duration} s")
    if start < ROUNDING_S and (end is None or (whole is not None and end > whole - ROUNDING_S)):
        return 0.0, None
    return round(start, 6), None if end is None else round(end - start, 6)


def _seconds_from(value: Any) -> float:
    """Seconds that may be negative: a supervision may begin before its cut."""
    return -(seconds("start", -value) or 0.0) if isinstance(value, int | float) and value < 0 else seconds("start", value) or 0.0


def _text(supervision: Mapping[str, Any], name: str) -> str:
    value = supervision.get(name)
    if value is not None and not isinstance(value, str):
        raise bad_row(f"has a supervision with {name} = {value!r:.60}, which is not a string")
    check_utf8(name, value or "")
    return value or ""


def _extra(supervision: Mapping[str, Any]) -> dict[str, str]:
    custom = supervision.get("custom")
    pairs = [("gender", supervision.get("gender")), *(custom.items() if isinstance(custom, dict) else ())]
    return {name: str(value) for name, value in pairs if isinstance(value, str | int | float)}
