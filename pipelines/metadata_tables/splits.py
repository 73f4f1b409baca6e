"""Training, validation and test: which utterances are kept apart.

Whether a key (a stretch of a recording, a recording or a speaker) is held out depends on a hash of the seed and the key alone, so adding data moves nobody.
The one choice that depends on the others - the key that is forced into a split that would be empty - is kept by reading the splits made before. The key of an
utterance is what was recorded, not its name: copies of one recording are on the same side, so that none is validated on what it was trained on.

A list of utterances comes before filters, filters before drawing; whatever claims one utterance of a key claims the whole key.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from valle_data import files
from valle_data.errors import InputError, ReasonCode, UsageError
from valle_data.filters import parse
from valle_data.shards.index import decode_table

TRAIN, VALIDATION, TEST = NAMES = ("train", "validation", "test")
SEPARATOR = "\0"
SPLIT_SCHEMA = pa.schema(
    [pa.field("utt_id", pa.string(), nullable=False), pa.field("split", pa.string(), nullable=False), pa.field("rule", pa.string(), nullable=False)]
)
KEY_COLUMNS = {"utterance": ("source_digest", "start_s", "end_s"), "recording": ("source_digest",), "speaker": ("group", "speaker")}
"""What a key is made of, by `split_by`. A speaker is a person, so the same name in two groups is two."""


@dataclass(frozen=True)
class SplitRule:
    """`split_by` is a name of `KEY_COLUMNS`: what is never divided. Fractions are the expected shares of keys that are drawn, 0 for none at all.

    `validation_where` and `test_where` are filters, empty for none; `listed` is the sha256 of a list of utterances, empty for none.
    """

    split_by: str = "utterance"
    seed: int = 0
    validation_fraction: float = 0.05
    test_fraction: float = 0.0
    validation_where: str = ""
    test_where: str = ""
    listed: str = ""

    def __post_init__(self) -> None:
        if self.split_by not in KEY_COLUMNS:
            raise UsageError(f"A split is made by {', '.join(KEY_COLUMNS)}, not by {self.split_by!r}.")
        for name, fraction in (("validation", self.validation_fraction), ("test", self.test_fraction)):
            if not 0 <= fraction < 1:
                raise UsageError(f"The {name} fraction is at least 0 and less than 1, not {fraction}.")
        if self.validation_fraction + self.test_fraction >= 1:
            raise UsageError(f"Validation ({self.validation_fraction:g}) and test ({self.test_fraction:g}) together leave nothing to train on.")

    def __str__(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def of(cls, earlier: pa.Table) -> "SplitRule":
        """The rule that the splits `earlier` were made by; the default rule where there are none."""
        if not earlier.num_rows:
            return cls()
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in json.loads(earlier["rule"][0].as_py()).items() if name in known})

    def draw(self, key: str) -> float:
        """A number in 0..1 that depends on the seed and the key and on nothing else."""
        return xxhash.xxh3_64_intdigest(f"{self.seed}\0{key}".encode()) / 2**64

    def drawn(self, draw: float) -> str:
        """The split that a draw belongs to."""
        if draw < self.validation_fraction:
            return VALIDATION
        return TEST if draw < self.validation_fraction + self.test_fraction else TRAIN

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """Which draws belong to each split."""
        held = self.validation_fraction + self.test_fraction
        return {VALIDATION: (0.0, self.validation_fraction), TEST: (self.validation_fraction, held), TRAIN: (held, 1.0)}

    def columns(self, schema: pa.Schema) -> tuple[str, ...]:
        """The columns that the rule reads; UsageError for one that `schema` does not have."""
        filtered = {name for text in (self.validation_where, self.test_where) if text for name in parse(text, schema).columns}
        return tuple(sorted({*KEY_COLUMNS[self.split_by], *filtered}))

    def describe(self) -> str:
        """The rule in words."""
        drawn = [f"{share:.1%} {name}" for name, share in ((VALIDATION, self.validation_fraction), (TEST, self.test_fraction)) if share]
        filtered = [f"{name} where {text}" for name, text in ((VALIDATION, self.validation_where), (TEST, self.test_where)) if text]
        sources = [*(["a list"] if self.listed else []), *filtered, *([f"{' and '.join(drawn)} drawn with seed {self.seed}"] if drawn else [])]
        return f"by {self.split_by}: {'; '.join(sources) or 'nothing is held out'}"


@dataclass(frozen=True)
class Splits:
    """`codes` `[rows]` are places in `NAMES`; `num_moved` utterances were in another split before."""

    codes: NDArray[np.uint8]
    num_moved: int

    @property
    def names(self) -> pa.Array:
        """The name of each row's split."""
        return pa.array(np.array(NAMES)[self.codes], pa.string())

    @property
    def is_validation(self) -> NDArray[np.bool_]:
        return self.codes == NAMES.index(VALIDATION)

    def table(self, rows: pa.Table, rule: SplitRule) -> pa.Table:
        """One row an utterance: id, split, and the rule it was made by."""
        return pa.table([rows["utt_id"], self.names, pa.array([str(rule)] * rows.num_rows, pa.string())], schema=SPLIT_SCHEMA)


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


def read_list(data: bytes, where: Path) -> dict[str, str]:
    """Utterance -> split from lines of two words; blank lines and those that begin with # are passed over. UsageError names a line that is neither."""
    found: dict[str, str] = {}
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), start=1):
        words = line.replace(",", " ").split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2 or words[1] not in NAMES:
            raise UsageError(f"{where}, line {number}: a line is an utterance id and one of {', '.join(NAMES)}, not {line.strip()[:80]!r}.")
        if found.setdefault(words[0], words[1]) != words[1]:
            raise UsageError(f"{where}, line {number}: {words[0]} is in {found[words[0]]} and in {words[1]}. Leave it in one.")
    return found


def make_splits(rows: pa.Table, rule: SplitRule, earlier: pa.Table, listed: Mapping[str, str] | None = None) -> Splits:
    """Assign each of `rows` (columns `utt_id`, those of `KEY_COLUMNS` and of the rule's filters). What `earlier` assigned by the same rule stays.

    With as many keys as splits that are drawn for, each has at least one. Raises UsageError when speakers are to be kept apart and there is only one, and
    when `listed` or the filters claim one key for two splits.
    """
    before = dict(zip(earlier["utt_id"].to_pylist(), earlier["split"].to_pylist(), strict=True))
    keys = _keys(rows, rule)
    if rule.split_by == "speaker" and rule.validation_fraction and len(keys) > 1 and len(set(keys)) == 1:
        name = keys[0].replace(SEPARATOR, "/")
        raise UsageError(f"Splitting by speaker needs two speakers, this data set has one ({name!r}). Use --split-by utterance, or --validation-fraction 0.")
    utterances = rows["utt_id"].to_pylist()
    claimed = _claims(rows, rule, utterances, keys, listed or {})
    known = dict(claimed)
    if earlier["rule"].unique().to_pylist() == [str(rule)]:
        for utterance, key in zip(utterances, keys, strict=True):
            if utterance in before and key not in claimed and known.get(key, TRAIN) == TRAIN:
                known[key] = before[utterance]
    chosen = _choose(list(dict.fromkeys(keys)), rule, known, claimed)
    if claimed and TRAIN not in chosen.values():
        raise UsageError(f"The list and the filters hold out every utterance ({rule.describe()}): nothing is left to train on. Make them narrower.")
    codes = np.fromiter((NAMES.index(chosen[key]) for key in keys), dtype=np.uint8, count=len(keys))
    moved = sum(before.get(utterance, chosen[key]) != chosen[key] for utterance, key in zip(utterances, keys, strict=True))
    return Splits(codes, moved)


def _keys(rows: pa.Table, rule: SplitRule) -> list[str]:
    """What is never divided, for every row."""
    columns = (rows[name].to_pylist() for name in KEY_COLUMNS[rule.split_by])
    return [SEPARATOR.join(map(str, parts)) for parts in zip(*columns, strict=True)]


def _claims(rows: pa.Table, rule: SplitRule, utterances: Sequence[str], keys: Sequence[str], listed: Mapping[str, str]) -> dict[str, str]:
    """Key -> split as the list says, else as the filters say."""
    by_list: dict[str, tuple[str, str]] = {}
    for utterance, key in zip(utterances, keys, strict=True):
        if utterance in listed:
            first, split = by_list.setdefault(key, (utterance, listed[utterance]))
            if split != listed[utterance]:
                raise UsageError(
                    f"The list has {first} in {split} and {utterance} in {listed[utterance]}, but both are of one {rule.split_by}. "
                    "Put both in one split, or split by something smaller."
                )
    by_filter: dict[str, str] = {}
    for split, text in ((VALIDATION, rule.validation_where), (TEST, rule.test_where)):
        for row in np.flatnonzero(parse(text, rows.schema).mask(rows)).tolist() if text else ():
            if by_filter.setdefault(keys[row], split) != split and keys[row] not in by_list:
                raise UsageError(f"The filters claim one {rule.split_by} for validation and for test: that of {utterances[row]}. Make one of them narrower.")
    return by_filter | {key: split for key, (_, split) in by_list.items()}


def _choose(keys: list[str], rule: SplitRule, known: Mapping[str, str], claimed: Mapping[str, str]) -> dict[str, str]:
    """The split of each key; none that is drawn for is left empty while another has two keys of which one is not `claimed`."""
    bounds = rule.bounds
    draws = {key: rule.draw(key) for key in keys}
    chosen = {key: known.get(key) or rule.drawn(draws[key]) for key in keys}
    if len(keys) < 2:
        return {key: known.get(key, TRAIN) for key in keys}
    for split in (VALIDATION, TRAIN, TEST):
        low, high = bounds[split]
        members = Counter(chosen.values()) if low < high else Counter[str]()
        if low < high and not members[split]:
            spare = [key for key in keys if key not in claimed and (members[chosen[key]] > 1 or (split == TRAIN and len(keys) < len(NAMES)))]
            free = [key for key in spare if key not in known] or spare
            if free:
                chosen[min(free, key=lambda key: (max(low - draws[key], draws[key] - high), key))] = split
    return chosen
