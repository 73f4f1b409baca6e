"""What a `valle prepare` run is."""

import hashlib
import json
from typing import Any, Literal

from pydantic import Field, model_validator

from pipelines.executors.pools import Pool, divided
from valle_data.codecs import CODECS
from valle_data.config import StageConfig, from_table, is_path, stage_options
from valle_data.corpora import CORPORA
from valle_data.records import CodecSpec
from valle_data.shards.manifest import DatasetManifest, PhonemizerStamp
from valle_data.stages import ALWAYS, STAGES
from valle_data.stages.base import Tools
from valle_data.text.phonemizers import PHONEMIZERS
from valle_data.text.vocabulary import Vocabulary

StageOptions = stage_options(STAGES, ALWAYS)


class PrepareConfig(StageOptions):
    """Configuration of `valle prepare`: a field for each stage, `true` or a mapping of its options to have it run, and what follows.

    `part_duration_s`: about how much audio makes a part, the unit of work, retry and commit. `duplicate_audio`: the second utterance with the
    same sound goes to quarantine or stays. `max_quarantine_fraction`: when more of the utterances are refused, the run ends with exit code 3.
    """

    corpus: from_table(CORPORA)  # pyright: ignore[reportInvalidTypeForm]
    codec: from_table(CODECS) = "mini"  # pyright: ignore[reportInvalidTypeForm]
    phonemizer: from_table(PHONEMIZERS) = "espeak"  # pyright: ignore[reportInvalidTypeForm]
    duplicate_audio: Literal["quarantine", "keep"] = "quarantine"
    part_duration_s: float = Field(default=900.0, ge=1, le=86_400)
    max_quarantine_fraction: float = Field(default=0.05, ge=0, le=1)
    pools: tuple[Pool, ...] = Field(default=(), description="how stages are divided among workers of a cluster; none: each worker runs all of them")

    @model_validator(mode="after")
    def _pools_have_every_stage(self) -> "PrepareConfig":
        divided(self.pools, list(self.stages()))
        return self

    def stages(self) -> dict[str, StageConfig]:
        """The stages that run, in their order, and their options."""
        return {name: options for name in STAGES if (options := getattr(self, name)) is not None}

    def columns(self) -> dict[str, str]:
        """The scores that the stages write, in order."""
        return {column: kind for name in self.stages() for column, kind in STAGES[name].columns.items()}


def manifest_for(config: PrepareConfig, tools: Tools) -> DatasetManifest:
    """The manifest of a data set made with this configuration: everything that decides what codes and phones an utterance gets."""
    phonemizer = PhonemizerStamp(config.phonemizer.name, tools.phonemizer.version, config.phonemizer.model_dump(mode="json"))
    vocabulary = Vocabulary(tools.phonemizer.symbols)
    stages = {name: {"version": STAGES[name].version, "stamp": options.stamp(), "options": options.options()} for name, options in config.stages().items()}
    return DatasetManifest(
        codec=tools.codec.spec,
        codec_config=config.codec.model_dump(mode="json"),
        phonemizer=phonemizer,
        vocabulary=vocabulary,
        config_hash=_config_hash(tools.codec.spec, config, phonemizer, vocabulary, stages),
        stages=stages,
        columns=config.columns(),
    )


def _config_hash(codec: CodecSpec, config: PrepareConfig, phonemizer: PhonemizerStamp, vocabulary: Vocabulary, stages: dict[str, Any]) -> str:
    # Where weights lie is no part of what they are: their hash is in the codec's spec.
    fields = type(config.codec).model_fields
    options = {name: None if is_path(fields[name].annotation) else value for name, value in config.codec}
    identity = [codec.to_json(), options, phonemizer.name, phonemizer.version, dict(phonemizer.config), vocabulary.hash, stages]
    return hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()
