"""`model.json`: everything a checkpoint's weights mean, beside the weights."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from valle_data.errors import InputError, ReasonCode
from valle_data.ids import IdSpace
from valle_data.records import CodecSpec
from valle_data.tasks.base import Layout
from valle_data.text.vocabulary import Vocabulary
from valle_model.valle import ModelConfig, Valle

SCHEMA_VERSION = 1
NAME = "model.json"


@dataclass(frozen=True)
class ModelCard:
    """A model's configuration and what it was trained on: codec, phonemizer, vocabulary, languages and tasks.

    `config.frames_per_phone` is always set here. `codec_config` and `phonemizer_config` are what their tables build them from.
    """

    config: ModelConfig
    vocabulary: Vocabulary
    languages: tuple[str, ...]
    tasks: tuple[str, ...]
    codec: CodecSpec
    codec_config: Mapping[str, Any]
    phonemizer_config: Mapping[str, Any]
    phonemizer_version: str

    @property
    def ids(self) -> IdSpace:
        return IdSpace(len(self.vocabulary), self.languages, self.tasks, self.codec.num_levels, self.codec.codebook_size)

    @property
    def layout(self) -> Layout:
        if self.config.frames_per_phone is None:
            raise ValueError("A model card states frames_per_phone; measure it on the training data first.")
        return Layout(self.ids, self.config.frames_per_phone)

    def build(self) -> Valle:
        """The model with fresh weights."""
        return Valle(self.config, self.ids)

    def differences(self, other: Self) -> list[str]:
        """What keeps weights or data of `other` from being used with this card, a sentence each."""
        pairs = (
            ("codec", self.codec, other.codec),
            ("phonemizer", self.phonemizer_version, other.phonemizer_version),
            ("vocabulary", f"{len(self.vocabulary)} phones, {self.vocabulary.hash[:12]}", f"{len(other.vocabulary)} phones, {other.vocabulary.hash[:12]}"),
            ("languages", ", ".join(self.languages), ", ".join(other.languages)),
            ("tasks", ", ".join(self.tasks), ", ".join(other.tasks)),
            ("model", self.config.model_dump_json(), other.config.model_dump_json()),
        )
        return [f"{what}: {mine} here, {theirs} there" for what, mine, theirs in pairs if mine != theirs]

    def to_json(self) -> str:
        data = {**asdict(self), "schema_version": SCHEMA_VERSION, "config": self.config.model_dump(mode="json"), "vocabulary": list(self.vocabulary.symbols)}
        return json.dumps(data, indent=2, ensure_ascii=False, default=dict) + "\n"

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The card in a checkpoint folder. Raises InputError `broken_checkpoint` where it is missing or unreadable."""
        path = folder / NAME
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data["schema_version"] != SCHEMA_VERSION:
                raise InputError(
                    ReasonCode.CHECKPOINT_MISMATCH,
                    f"{path} has schema version {data['schema_version']}, this program reads {SCHEMA_VERSION}. Use the version that wrote it.",
                )
            return cls(
                config=ModelConfig.model_validate(data["config"]),
                vocabulary=Vocabulary(tuple(data["vocabulary"])),
                languages=tuple(data["languages"]),
                tasks=tuple(data["tasks"]),
                codec=CodecSpec.from_json(data["codec"]),
                codec_config=data["codec_config"],
                phonemizer_config=data["phonemizer_config"],
                phonemizer_version=data["phonemizer_version"],
            )
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise InputError(
                ReasonCode.CHECKPOINT_MISMATCH, f"{path} describes a model that this version cannot build ({wrong}). Use the version that wrote it."
            ) from None
        except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise InputError(ReasonCode.BROKEN_CHECKPOINT, f"{path} cannot be read ({type(error).__name__}: {error}). Use another checkpoint.") from error
