"""Small coded utterances and data sets."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from valle_data.records import AudioRef, CodecSpec, CodedUtterance, Rejection, Utterance
from valle_data.shards.base import Sample, ShardFormat
from valle_data.shards.commit import CommitRecord, commit_part
from valle_data.shards.describe import sample_of
from valle_data.shards.index import CORE, PartIdentity, decode_table, encode_table
from valle_data.shards.manifest import DatasetManifest, PhonemizerStamp
from valle_data.shards.tar import TarShard
from valle_data.text.vocabulary import Vocabulary

COLUMNS = {"rms_dbfs": "float", "peak_dbfs": "float"}
SPEC = CodecSpec("mini", "a" * 64, 24000, 25.0, 8, 1024)


def coded(name: str, *, num_frames: int = 10, speaker: str = "s", seed: int = 0) -> CodedUtterance:
    codes = np.random.default_rng([seed, num_frames]).integers(0, 1024, (8, num_frames)).astype(np.uint16)
    utterance = Utterance(name, AudioRef(f"corpus/{name}.wav"), "one two ü", speaker, "g", "en-us")
    return CodedUtterance(utterance, tuple("wˈʌn"), codes, num_frames / 25, f"{hash_of(name)}", "one two ü", {"rms_dbfs": -20.0, "peak_dbfs": -3.0}, 16000)


def samples(utterances: Sequence[CodedUtterance]) -> list[Sample]:
    """The utterances as a shard holds them."""
    return [sample_of(utterance) for utterance in utterances]


def hash_of(name: str) -> str:
    return name.encode().hex().ljust(32, "0")[:32]


def manifest() -> DatasetManifest:
    return DatasetManifest(SPEC, {"name": "mini"}, PhonemizerStamp("espeak", "1.52", {"name": "espeak"}), Vocabulary(tuple("wˈʌn")), "c" * 64, {}, COLUMNS)


def identity(part: int = 0, part_id: str = "p") -> PartIdentity:
    return PartIdentity(part=part, part_id=part_id, input_hash="i", config_hash="c" * 64, codec="mini", columns=COLUMNS)


def empty_dataset(path: Path) -> Path:
    for folder in ("shards", "quarantine", "vectors"):
        (path / folder).mkdir(parents=True)
    manifest().save(path)
    return path


def add_part(
    dataset: Path, part: int, *, num_utterances: int = 3, rejections: list[Rejection] | None = None, shards: ShardFormat | None = None
) -> CommitRecord:
    utterances = [coded(f"p{part}-u{index}", num_frames=5 + index, seed=part) for index in range(num_utterances)]
    return commit_part(dataset, identity(part, f"id{part}"), utterances, rejections or [], shards or TarShard())


def write_index(path: Path, table: pa.Table) -> None:
    path.write_bytes(encode_table(table))


def read_index(path: Path) -> pa.Table:
    return decode_table(path.read_bytes(), path=path, schema=CORE)
