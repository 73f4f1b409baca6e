"""Which columns of a data set are sounds, texts and speakers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from valle_data.errors import UsageError

OURS: Mapping[str, tuple[str, ...]] = {
    "audio": ("audio",),
    "text": ("text", "sentence", "transcription", "transcript", "text_normalized", "normalized_text"),
    "speaker": ("speaker", "speaker_id", "client_id"),
    "group": ("group",),
    "language": ("language", "lang", "locale"),
    "start_s": ("start_s",),
    "duration_s": ("duration_s",),
}
"""Our columns, and what data sets usually call them."""


@dataclass(frozen=True)
class Columns:
    """`audio` is the column of sounds, `others` all that hold single values, `ours` what of them means something here, `labels` the words for numbers."""

    audio: str
    others: tuple[str, ...]
    ours: Mapping[str, str]
    labels: Mapping[str, tuple[str, ...]]

    @classmethod
    def find(cls, schema: pa.Schema, configured: Mapping[str, str], path: str) -> "Columns":
        """Raises UsageError when a configured column is missing or there are no sounds."""
        for ours, theirs in configured.items():
            if theirs not in schema.names:
                raise UsageError(f"{path!r} has no column {theirs!r} (`corpus.columns.{ours}`), only {', '.join(map(repr, schema.names))}.")
        names = {ours: (configured[ours],) if ours in configured else usual for ours, usual in OURS.items()}
        found = {ours: next((name for name in usual if name in schema.names), None) for ours, usual in names.items()}
        features = _features(schema)
        audio = found.pop("audio") or next((name for name in schema.names if _is_sound(features.get(name))), None)
        if audio is None:
            raise UsageError(f"{path!r} has no column of sounds, only {', '.join(map(repr, schema.names))}. Name it in `corpus.columns.audio`.")
        labels = {name: tuple(feature["names"]) for name, feature in features.items() if isinstance(feature, dict) and isinstance(feature.get("names"), list)}
        others = tuple(field.name for field in schema if field.name != audio and _is_single(field.type))
        return cls(audio, others, {ours: name for ours, name in found.items() if name and name in others}, labels)

    def words(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The row without nulls, with the words that numbers stand for."""
        return {name: self._word(name, value) for name, value in row.items() if value is not None}

    def _word(self, name: str, value: Any) -> Any:
        labels = self.labels.get(name, ())
        return labels[value] if isinstance(value, int) and 0 <= value < len(labels) else value


def _features(schema: pa.Schema) -> dict[str, Any]:
    """What `datasets` wrote about its columns."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return features if isinstance(features, dict) else {}


def _is_sound(feature: Any) -> bool:
    return isinstance(feature, dict) and feature.get("_type") == "Audio"


def _is_single(kind: pa.DataType) -> bool:
    return any(
        test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
    )
