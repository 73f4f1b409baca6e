"""A data set folder belongs to one configuration: the manifest that says which, and the refusal of any other."""

import hashlib
import json
from pathlib import Path
from typing import Any

from pipelines.prepare_config import CONFIG_NAME, PrepareConfig
from valle_data.config import is_path
from valle_data.errors import InputError, ReasonCode
from valle_data.records import CodecSpec
from valle_data.shards.manifest import NAME, DatasetManifest, PhonemizerStamp
from valle_data.shards.plan import committed_numbers, plan_files, withdraw
from valle_data.stages import STAGES
from valle_data.stages.base import Tools
from valle_data.text.vocabulary import Vocabulary


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


def claim(output: Path, manifest: DatasetManifest) -> None:
    """Write the manifest of a folder that has no part yet; refuse one whose parts were made with something else. Only for the holder of the lock."""
    if not (output / NAME).exists():
        if committed_numbers(output):
            raise InputError(ReasonCode.MISSING_SHARD, f"{output} holds committed parts but no {NAME}. Restore it, or prepare into a new folder.")
        manifest.save(output)
        return
    refuse_other(output, manifest)
    if not _is_same(DatasetManifest.load(output), manifest):
        withdraw(output, {part for file in plan_files(output) for part in range(file.first, file.last + 1)})
        manifest.save(output)


def _is_same(existing: DatasetManifest, wanted: DatasetManifest) -> bool:
    return existing.config_hash == wanted.config_hash and dict(existing.columns) == dict(wanted.columns)


def refuse_other(output: Path, manifest: DatasetManifest) -> None:
    """Raise InputError `dataset_mismatch` where parts were made with another configuration than that of `manifest`."""
    existing = DatasetManifest.load(output)
    if _is_same(existing, manifest) or not committed_numbers(output):
        return
    raise InputError(
        ReasonCode.DATASET_MISMATCH,
        f"{output} was prepared with {difference(existing, manifest)}. One folder never mixes two: "
        f"choose another output folder, or the configuration in {output / CONFIG_NAME}.",
    )


def difference(existing: DatasetManifest, wanted: DatasetManifest) -> str:
    """`codec X, this configuration has Y` for the first thing that differs."""
    old, new = _identity(existing), _identity(wanted)
    name = next(name for name in (*new, *old) if old.get(name) != new.get(name))
    return f"{name} {old.get(name)}, this configuration has {new.get(name)}"


def _identity(manifest: DatasetManifest) -> dict[str, str]:
    stages = {name: {**stage["options"], "version": stage["version"], "stamp": stage["stamp"]} for name, stage in manifest.stages.items()}
    options = {"phonemizer": manifest.phonemizer.config, **stages, "codec": manifest.codec_config}
    return {
        "codec": str(manifest.codec),
        "phonemizer": str(manifest.phonemizer),
        "vocabulary": manifest.vocabulary.hash[:12],
        "stages": ", ".join(manifest.stages),
        **{f"`{stage}.{name}`": str(value) for stage, values in options.items() for name, value in values.items() if name != "weights"},
        "score columns": ", ".join(f"{name} ({kind})" for name, kind in manifest.columns.items()),
        "configuration hash": manifest.config_hash[:12],
    }
