"""The committed parts of a data set, read once: the columns statistics need, phone counts and the quarantine."""

# pyarrow makes its compute functions when it is imported, where pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from valle_data.errors import InputError, ReasonCode
from valle_data.shards.base import index_path
from valle_data.shards.commit import CommitRecord, read_part_index, read_quarantine
from valle_data.shards.index import index_schema
from valle_data.shards.manifest import DatasetManifest

COLUMNS = ("utt_id", "part", "speaker", "group", "source_digest", "start_s", "end_s", "language", "num_frames", "duration_s", "num_phones")
EXAMPLES_PER_REASON = 5


@dataclass(frozen=True)
class QuarantineExample:
    """A quarantined utterance or path, as its quarantine row says."""

    path: str
    stage: str
    message: str


@dataclass(frozen=True)
class Quarantine:
    """Counts by reason code and by stage and, for each reason, the first few cases."""

    reasons: dict[str, int]
    stages: dict[str, int]
    examples: dict[str, tuple[QuarantineExample, ...]]

    @property
    def total(self) -> int:
        return sum(self.reasons.values())


@dataclass(frozen=True)
class Gathered:
    """`rows` has one row an utterance, by part and then by id, with `COLUMNS` and the scores; `phones` counts symbols; `inputs` hashes what was read."""

    rows: pa.Table
    phones: dict[str, int]
    quarantine: Quarantine
    num_parts: int
    inputs: str


def gather(dataset: Path, manifest: DatasetManifest, records: Sequence[CommitRecord], looked_at: Callable[[], None] = lambda: None) -> Gathered:
    """Read the index and quarantine of every part, verified against its commit record.

    Raises InputError: `foreign_shard`, `unknown_phone`, `duplicate_id`, and what reading a damaged part raises.
    """
    columns = [*COLUMNS, *manifest.columns]
    tables, phones = [index_schema(manifest.columns).empty_table().select(columns)], Counter[str]()
    reasons, stages, examples = Counter[str](), Counter[str](), dict[str, tuple[QuarantineExample, ...]]()
    for record in records:
        table = _read(dataset, manifest, record)
        phones.update(count_phones(table))
        tables.append(table.select(columns))
        for row in read_quarantine(dataset, record).to_pylist():
            reasons[row["reason"]] += 1
            stages[row["stage"]] += 1
            known = examples.get(row["reason"], ())
            if len(known) < EXAMPLES_PER_REASON:
                examples[row["reason"]] = (*known, QuarantineExample(row["path"], row["stage"], row["message"]))
        looked_at()
    rows = pa.concat_tables(tables).combine_chunks()
    _refuse_duplicates(dataset, rows)
    quarantine = Quarantine(dict(sorted(reasons.items())), dict(sorted(stages.items())), dict(sorted(examples.items())))
    return Gathered(rows, dict(sorted(phones.items())), quarantine, len(records), inputs_hash(manifest, records))


def inputs_hash(manifest: DatasetManifest, records: Sequence[CommitRecord]) -> str:
    """sha256 over what the parts hold: metadata with another value here was made from other parts."""
    digest = hashlib.sha256(manifest.config_hash.encode())
    for record in records:
        digest.update(record.to_bytes())
    return digest.hexdigest()


def count_phones(table: pa.Table) -> dict[str, int]:
    """How often each phone occurs in the rows of `table`."""
    return {item["values"]: item["counts"] for item in pc.value_counts(pc.list_flatten(table["phones"])).to_pylist()}


def _read(dataset: Path, manifest: DatasetManifest, record: CommitRecord) -> pa.Table:
    if record.config_hash != manifest.config_hash:
        raise InputError(
            ReasonCode.FOREIGN_SHARD,
            f"{record.shard} was committed with the configuration {record.config_hash[:12]}, {dataset} has {manifest.config_hash[:12]}. "
            f"Move its files away, or prepare the data again. `valle metadata {dataset} --check` lists all such parts.",
        )
    table = read_part_index(dataset, record)
    if unknown := manifest.vocabulary.missing(count_phones(table)):
        row = next(row for row in table.select(["utt_id", "phones"]).to_pylist() if set(row["phones"]) & set(unknown))
        raise InputError(
            ReasonCode.UNKNOWN_PHONE,
            f"{index_path(dataset, record.part)}: {row['utt_id']} has the phone {unknown[0]!r}, which is not among the {len(manifest.vocabulary)} "
            "of this data set's vocabulary. Remove the part's commit record and run `valle prepare` again.",
        )
    return table


def _refuse_duplicates(dataset: Path, rows: pa.Table) -> None:
    if pc.count_distinct(rows["utt_id"]).as_py() == rows.num_rows:
        return
    twice = next(item["values"] for item in pc.value_counts(rows["utt_id"]).to_pylist() if item["counts"] > 1)
    raise InputError(
        ReasonCode.DUPLICATE_ID,
        f"Utterance {twice} is in two parts of {dataset}. `valle metadata {dataset} --check` names them; remove one and run `valle prepare` again.",
    )
