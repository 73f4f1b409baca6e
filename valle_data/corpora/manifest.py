"""Manifest: recordings anywhere, named by tables of JSON lines, CSV or TSV.

NeMo's manifests (`audio_filepath`, `duration`, `text`, `offset`) and our own columns (`path`, `text`, `speaker`, `group`, `language`, `start_s`,
`duration_s`, `channel`); every other column is kept beside the utterance. Layout: `root/TABLE`, with paths that are absolute or relative to `root`.
Licence: whatever the recordings' is. The tables are the truth: recordings that none of them names are not looked for.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from valle_data.corpora.base import Corpus, CorpusConfig, Item, Refusal
from valle_data.corpora.reading.table import COLUMNS, Dialect, Row, read_table
from valle_data.registry import nearest

NAMES: Mapping[str, tuple[str, ...]] = {
    "path": ("path", "audio_filepath", "audio_path", "audio", "wav"),
    "text": ("text", "transcript", "transcription", "sentence"),
    "speaker": ("speaker", "speaker_id", "spk"),
    "group": ("group",),
    "language": ("language", "lang", "locale"),
    "start_s": ("start_s", "offset", "start"),
    "duration_s": ("duration_s", "duration"),
    "channel": ("channel",),
}


class _Dialect(Dialect):
    """A bare `duration` beside no start tells how long the file is, rounded; as a stretch it would reach behind the end."""

    def rename(self, values: Mapping[str, Any]) -> dict[str, Any]:
        row = super().rename(values)
        if "start_s" not in row and "duration_s" not in values and "duration" in values and "duration_s" in row:
            row["duration"] = row.pop("duration_s")
        return row


class ManifestCorpus(Corpus):
    """See the module."""

    class Config(CorpusConfig):
        """Which tables, and what their columns mean."""

        name: str = "manifest"
        table: tuple[Path, ...] = Field(description="a .jsonl, .csv or .tsv file, or several; relative to root")
        columns: dict[str, str] = Field(default_factory=dict, description="our name -> the table's, where it is not one of the usual ones")
        channel: int | None = Field(default=None, ge=0, description="of recordings with several; empty: all are mixed")

        @field_validator("table", mode="before")
        @classmethod
        def _one_or_several(cls, value: Any) -> Any:
            return [value] if isinstance(value, str | Path) else value

        @field_validator("columns")
        @classmethod
        def _columns_are_ours(cls, value: dict[str, str]) -> dict[str, str]:
            for name in value:
                if name not in COLUMNS:
                    raise ValueError(f"maps our columns to the table's; {name!r} is none of ours.{nearest(name, COLUMNS)} Ours: {', '.join(COLUMNS)}")
            return value

    def scan(self) -> Iterator[Item | Refusal]:
        dialect = _Dialect({**NAMES, **{ours: (theirs,) for ours, theirs in self.config.columns.items()}}, allows_absolute=True)
        for table in self.config.table:
            for row in read_table(self.place(os.fspath(table)), os.fspath(table), dialect):
                yield row if isinstance(row, Refusal) else self._item(row)

    def _item(self, row: Row) -> Item:
        return Item(
            path=os.path.normpath(row.path),
            text=row.text,
            speaker=row.speaker or "",
            group=row.group or "",
            language=row.language or "",
            start_s=row.start_s,
            duration_s=row.duration_s,
            channel=self.config.channel if row.channel is None else row.channel,
            extra=row.extra,
            key="" if row.channel is None else f"{row.path}:{row.channel}",  # both sides of a telephone call are one stretch
        )
