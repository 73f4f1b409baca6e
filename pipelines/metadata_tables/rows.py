"""Rows of all committed parts: chosen columns, with split and attributed speaker laid over, of the utterances that a filter chooses."""

# pyarrow makes its compute functions when it is imported, where pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.metadata_tables.splits import load_splits
from valle_data.attribution import NOBODY, load_attribution
from valle_data.errors import InputError, ReasonCode
from valle_data.filters import Filter, parse
from valle_data.shards.base import index_path
from valle_data.shards.commit import CommitRecord, read_part_index
from valle_data.shards.index import index_schema
from valle_data.shards.manifest import DatasetManifest

SPLITS_FILE = "metadata/splits.parquet"


@dataclass(frozen=True)
class Chosen:
    """`rows`: one an utterance, by part and then by id. `mask` `[all rows]` says which of the committed utterances they are."""

    rows: pa.Table
    mask: NDArray[np.bool_]
    sha256: str
    """Of the attribution that was laid over."""


def read_rows(
    dataset: Path,
    manifest: DatasetManifest,
    records: Sequence[CommitRecord],
    columns: Sequence[str],
    *,
    where: str | None = None,
    attributed: bool = True,
    seen: Callable[[CommitRecord, pa.Table], None] = lambda record, table: None,
) -> Chosen:
    """`columns` of the utterances of which `where` is true (None: of all); `seen` hears of every part's whole index.

    Speakers are the attributed ones where there are such, or with `attributed` False those of the corpus.

    Raises UsageError for a filter that cannot be read; InputError `foreign_shard`, `unknown_phone`, `duplicate_id`, and what reading a damaged part raises.
    """
    schema = index_schema(manifest.columns)
    chosen = parse(where, schema) if where is not None else None
    wanted = list(dict.fromkeys(["utt_id", *columns, *(chosen.columns if chosen else ())]))
    tables = [schema.empty_table().select(wanted)]
    for record in records:
        table = _read(dataset, manifest, record)
        tables.append(table.select(wanted))
        seen(record, table)
    rows = pa.concat_tables(tables).combine_chunks()
    _refuse_duplicates(dataset, rows)
    attribution = load_attribution(dataset) if attributed else NOBODY
    if "speaker" in wanted:
        rows = attribution.apply(rows)
    if "split" in wanted:
        rows = _with_split(dataset, rows)
    mask = _mask(rows, chosen)
    return Chosen(rows.select(list(dict.fromkeys(["utt_id", *columns]))).filter(pa.array(mask)) if chosen else rows, mask, attribution.sha256)


def _mask(rows: pa.Table, chosen: Filter | None) -> NDArray[np.bool_]:
    return np.ones(rows.num_rows, dtype=np.bool_) if chosen is None else chosen.mask(rows)


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


def count_phones(table: pa.Table) -> dict[str, int]:
    """How often each phone occurs in the rows of `table`."""
    return {item["values"]: item["counts"] for item in pc.value_counts(pc.list_flatten(table["phones"])).to_pylist()}


def _refuse_duplicates(dataset: Path, rows: pa.Table) -> None:
    if pc.count_distinct(rows["utt_id"]).as_py() == rows.num_rows:
        return
    twice = next(item["values"] for item in pc.value_counts(rows["utt_id"]).to_pylist() if item["counts"] > 1)
    raise InputError(
        ReasonCode.DUPLICATE_ID,
        f"Utterance {twice} is in two parts of {dataset}. `valle metadata {dataset} --check` names them; remove one and run `valle prepare` again.",
    )


def _with_split(dataset: Path, rows: pa.Table) -> pa.Table:
    """The split that `valle metadata` made last; null for utterances that came later."""
    splits = load_splits(dataset / SPLITS_FILE)
    found = pc.index_in(rows["utt_id"].combine_chunks(), value_set=splits["utt_id"].combine_chunks())
    return rows.set_column(rows.schema.get_field_index("split"), rows.schema.field("split"), splits["split"].combine_chunks().take(found))
