"""Training and validation: which utterances are kept apart.

Whether a key (a recording or a speaker) is for validation depends on a hash of the seed and the key alone, so adding data moves nobody. The one choice that
depends on the others - the key that is forced into a split that would be empty - is kept by reading the splits made before. The key of an utterance is
what was recorded, not its name: copies of one recording are on the same side, so that none is validated on what it was trained on.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from valle_data import files
from valle_data.errors import InputError, ReasonCode, UsageError
from valle_data.shards.index import decode_table

TRAIN, VALIDATION = "train", "validation"
SEPARATOR = "\0"
SPLIT_SCHEMA = pa.schema(
    [pa.field("utt_id", pa.string(), nullable=False), pa.field("split", pa.string(), nullable=False), pa.field("rule", pa.string(), nullable=False)]
)
KEY_COLUMNS = {"utterance": ("source_digest", "start_s", "end_s"), "speaker": ("group", "speaker")}
"""What a key is made of, by `split_by`. A speaker is a person, so the same name in two groups is two."""


@dataclass(frozen=True)
class SplitRule:
    """`split_by` is "utterance" or "speaker": what is never divided. `validation_fraction` is the expected share of keys, 0 for none at all."""

    split_by: str
    seed: int
    validation_fraction: float

    def __post_init__(self) -> None:
        if self.split_by not in KEY_COLUMNS:
            raise UsageError(f"A split is made by {' or '.join(KEY_COLUMNS)}, not by {self.split_by!r}.")
        if not 0 <= self.validation_fraction < 1:
            raise UsageError(f"The validation fraction is at least 0 and less than 1, not {self.validation_fraction}.")

    def __str__(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    def draw(self, key: str) -> float:
        """A number in 0..1 that depends on the seed and the key and on nothing else."""
        return xxhash.xxh3_64_intdigest(f"{self.seed}\0{key}".encode()) / 2**64


@dataclass(frozen=True)
class Splits:
    """`is_validation` `[rows]`; `num_moved` utterances were in the other split before."""

    is_validation: NDArray[np.bool_]
    num_moved: int

    def table(self, rows: pa.Table, rule: SplitRule) -> pa.Table:
        """One row an utterance: id, split, and the rule it was made by."""
        names = np.where(self.is_validation, VALIDATION, TRAIN)
        return pa.table([rows["utt_id"], pa.array(names, pa.string()), pa.array([str(rule)] * rows.num_rows, pa.string())], schema=SPLIT_SCHEMA)


def load_splits(path: Path) -> pa.Table:
    """The splits made before, empty where there are none; InputError `corrupt_shard` when they cannot be read."""
    if not path.is_file():
        return SPLIT_SCHEMA.empty_table()
    try:
        return decode_table(files.read(path), path=path, schema=SPLIT_SCHEMA)
    except InputError as error:
        if error.reason is ReasonCode.STORAGE_FAILED:
            raise
        message = f"{error.args[0]} Restore {path}, or remove it: the splits are then drawn anew by the rule you give."
        raise InputError(ReasonCode.CORRUPT_SHARD, message) from error


def make_splits(rows: pa.Table, rule: SplitRule, earlier: pa.Table) -> Splits:
    """Assign each of `rows` (columns `utt_id` and those of `KEY_COLUMNS`). What `earlier` assigned by the same rule stays where it is.

    With two keys or more (and a fraction above 0) each split has at least one. Raises UsageError when speakers are to be kept apart and there is only one.
    """
    before = dict(zip(earlier["utt_id"].to_pylist(), earlier["split"].to_pylist(), strict=True))
    keys = _keys(rows, rule)
    if rule.split_by == "speaker" and rule.validation_fraction and len(keys) > 1 and len(set(keys)) == 1:
        name = keys[0].replace(SEPARATOR, "/")
        raise UsageError(f"Splitting by speaker needs two speakers, this data set has one ({name!r}). Use --split-by utterance, or --validation-fraction 0.")
    utterances = rows["utt_id"].to_pylist()
    known: dict[str, bool] = {}
    if set(earlier["rule"].to_pylist()) == {str(rule)}:
        for utterance, key in zip(utterances, keys, strict=True):
            if utterance in before:
                known[key] = known.get(key, False) or before[utterance] == VALIDATION
    chosen = _choose(list(dict.fromkeys(keys)), rule, known)
    assigned = np.fromiter((chosen[key] for key in keys), dtype=np.bool_, count=len(keys))
    moved = sum((before.get(utterance, now) == VALIDATION) != (now == VALIDATION) for utterance, now in _named(utterances, assigned))
    return Splits(assigned, moved)


def _keys(rows: pa.Table, rule: SplitRule) -> list[str]:
    """What is never divided, for every row."""
    columns = (rows[name].to_pylist() for name in KEY_COLUMNS[rule.split_by])
    return [SEPARATOR.join(map(str, parts)) for parts in zip(*columns, strict=True)]


def _named(utterances: list[str], is_validation: NDArray[np.bool_]) -> list[tuple[str, str]]:
    return [(utterance, VALIDATION if chosen else TRAIN) for utterance, chosen in zip(utterances, is_validation.tolist(), strict=True)]


def _choose(keys: list[str], rule: SplitRule, known: Mapping[str, bool]) -> dict[str, bool]:
    """Whether each key is for validation."""
    if not rule.validation_fraction or len(keys) < 2:
        return dict.fromkeys(keys, False)
    draws = {key: rule.draw(key) for key in keys}
    chosen = {key: known.get(key, draws[key] < rule.validation_fraction) for key in keys}
    free = [key for key in keys if key not in known] or keys
    if not any(chosen.values()):
        chosen[min(free, key=lambda key: (draws[key], key))] = True
    elif all(chosen.values()):
        chosen[max(free, key=lambda key: (draws[key], key))] = False
    return chosen
