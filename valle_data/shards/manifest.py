"""`dataset.json`: what every part of a data set shares. A folder never mixes two codecs, phonemizers or configurations."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from valle_data import files
from valle_data.errors import InputError, ReasonCode
from valle_data.records import CodecSpec
from valle_data.text.vocabulary import Vocabulary

SCHEMA_VERSION = 2
NAME = "dataset.json"


@dataclass(frozen=True)
class PhonemizerStamp:
    """Which phonemizer made the phones; two versions may disagree, so they never mix."""

    name: str
    version: str
    config: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class DatasetManifest:
    """See the module. `stages` are the options, version and stamp of each stage, in the order of running; `columns` the scores they write
    (as in `index_schema`); `config_hash` is a hash over all of it.
    """

    codec: CodecSpec
    codec_config: Mapping[str, Any]
    phonemizer: PhonemizerStamp
    vocabulary: Vocabulary
    config_hash: str
    stages: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> dict[str, Any]:
        return {
            "schema_version": self.schema_version,
            "codec": self.codec.to_json(),
            "codec_config": dict(self.codec_config),
            "phonemizer": asdict(self.phonemizer),
            "vocabulary": list(self.vocabulary.symbols),
            "vocabulary_hash": self.vocabulary.hash,
            "stages": dict(self.stages),
            "columns": dict(self.columns),
            "config_hash": self.config_hash,
        }

    def save(self, dataset: Path) -> None:
        files.write_atomically(dataset / NAME, _render(self.to_json()))

    @classmethod
    def load(cls, dataset: Path) -> Self:
        """The manifest of the folder `dataset`.

        Raises InputError: `missing_shard` where there is none, `corrupt_shard` where it cannot be read or its vocabulary has another hash,
        `dataset_mismatch` for another schema version.
        """
        path = dataset / NAME
        if not path.is_file():
            raise InputError(
                ReasonCode.MISSING_SHARD, f"{dataset} is not a prepared data set: it has no {NAME}. Make one with `valle prepare CONFIG -o {dataset}`."
            )
        try:
            content = files.read(path)
            data = json.loads(content)
            version = data["schema_version"]
            if version != SCHEMA_VERSION:
                raise InputError(
                    ReasonCode.DATASET_MISMATCH,
                    f"{path} has schema version {version}, this program reads {SCHEMA_VERSION}. Prepare the data again, or use the program that wrote it.",
                )
            manifest = cls(
                codec=CodecSpec.from_json(data["codec"]),
                codec_config=data["codec_config"],
                phonemizer=PhonemizerStamp(**data["phonemizer"]),
                vocabulary=Vocabulary(tuple(data["vocabulary"])),
                config_hash=data["config_hash"],
                stages=data["stages"],
                columns=data["columns"],
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                ReasonCode.CORRUPT_SHARD, f"{path} is damaged ({type(error).__name__}: {error}). Restore it, or prepare the data again."
            ) from error
        if manifest.vocabulary.hash != data.get("vocabulary_hash"):
            raise InputError(
                ReasonCode.CORRUPT_SHARD,
                f"{path}: the vocabulary has hash {manifest.vocabulary.hash[:12]}, but {str(data.get('vocabulary_hash'))[:12]} is written there.",
            )
        data.pop("checksum", None)
        if _render(data) != content:
            raise InputError(
                ReasonCode.CORRUPT_SHARD, f"{path} does not match its checksum: it was damaged, or edited by hand. Restore it, or prepare the data again."
            )
        return manifest


def _render(data: Mapping[str, Any]) -> bytes:
    """The one way these values are written, their checksum among them."""
    checksum = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
    return (json.dumps({**data, "checksum": checksum}, indent=2, ensure_ascii=False) + "\n").encode()
