"""The committed parts of a data set, read once: the columns statistics need, phone counts and the quarantine."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipelines.metadata_tables.rows import Chosen, count_phones, read_rows
from valle_data.shards.commit import CommitRecord, read_part_index, read_quarantine
from valle_data.shards.manifest import DatasetManifest

COLUMNS = ("utt_id", "part", "corpus", "group", "speaker", "language", "num_frames", "duration_s", "num_phones")
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
    """`rows` has one row an utterance, by part and then by id, with `COLUMNS`, the scores that are numbers, and what else was asked for.

    `phones` counts symbols; `inputs` hashes what was read.
    """

    rows: pa.Table
    phones: dict[str, int]
    quarantine: Quarantine
    num_parts: int
    inputs: str


def gather(
    dataset: Path,
    manifest: DatasetManifest,
    records: Sequence[CommitRecord],
    looked_at: Callable[[], None] = lambda: None,
    *,
    where: str | None = None,
    more: Sequence[str] = (),
) -> Gathered:
    """Read the index and quarantine of every part, verified against its commit record; `more` columns of the index are kept beside those of every `Gathered`.

    With `where` rows and phones are those of the utterances that it chooses. Speakers are the attributed ones where there are such.
    Raises UsageError and InputError as `read_rows` does.
    """
    numbers = [name for name, kind in manifest.columns.items() if kind == "float"]
    phones, reasons, stages = Counter[str](), Counter[str](), Counter[str]()
    examples: dict[str, tuple[QuarantineExample, ...]] = {}

    def see(record: CommitRecord, table: pa.Table) -> None:
        if where is None:
            phones.update(count_phones(table))
        for row in read_quarantine(dataset, record).to_pylist():
            reasons[row["reason"]] += 1
            stages[row["stage"]] += 1
            known = examples.get(row["reason"], ())
            if len(known) < EXAMPLES_PER_REASON:
                examples[row["reason"]] = (*known, QuarantineExample(row["path"], row["stage"], row["message"]))
        looked_at()

    chosen = read_rows(dataset, manifest, records, [*COLUMNS, *numbers, *more], where=where, seen=see)
    if where is not None:
        phones = _phones_of(dataset, records, chosen)
    quarantine = Quarantine(dict(sorted(reasons.items())), dict(sorted(stages.items())), dict(sorted(examples.items())))
    return Gathered(chosen.rows, dict(sorted(phones.items())), quarantine, len(records), inputs_hash(manifest, records, chosen.sha256))


def _phones_of(dataset: Path, records: Sequence[CommitRecord], chosen: Chosen) -> Counter[str]:
    """Phone counts of the chosen utterances alone; which they are is known only once every part was read."""
    phones, first = Counter[str](), 0
    for record in records:
        table = read_part_index(dataset, record)
        phones.update(count_phones(table.filter(pa.array(chosen.mask[first : first + table.num_rows]))))
        first += table.num_rows
    return phones


def inputs_hash(manifest: DatasetManifest, records: Sequence[CommitRecord], attribution: str) -> str:
    """sha256 over what the parts hold and who speaks (`attribution`, a hash): metadata with another value here was made from something else."""
    digest = hashlib.sha256(f"{manifest.config_hash}{attribution}".encode())
    for record in records:
        digest.update(record.to_bytes())
    return digest.hexdigest()
