"""`valle metadata duplicates`: utterances with the same content, whatever their files and names are. Nothing is removed."""

# pyarrow makes its compute functions when it is imported, where pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.console import Console
from pipelines.metadata import holding
from pipelines.metadata_tables.rows import read_rows
from pipelines.metadata_tables.write import DUPLICATES, FOLDER
from valle_data import files
from valle_data.errors import ExitCode, UsageError
from valle_data.registry import nearest
from valle_data.shards.index import encode_table, index_schema
from valle_data.shards.manifest import DatasetManifest
from valle_data.shards.record import committed_parts

FINGERPRINT = "fingerprint"
STRETCH = ("source_digest", "start_s", "end_s")
"""The same bytes of the same recording: what is compared where no stage has made fingerprints."""
MOST_SHOWN = 20
SCHEMA = pa.schema(
    [
        pa.field("utt_id", pa.string(), nullable=False),
        pa.field("group", pa.int32(), nullable=False),
        pa.field("duplicate_of", pa.string()),
    ]
)


def run(dataset: Path, *, console: Console, by: Sequence[str] = (), where: str | None = None, take_over: bool = False) -> ExitCode:
    """Write `metadata/duplicates.parquet`: every utterance that is not alone with its content, its group, and the first of the group (null for that one).

    Content is what `by` says; without it the fingerprint of the sound, or where there is none the stretch of the recording. Null is like nothing.
    Raises UsageError for a column that does not exist, and what `read_rows` raises.
    """
    manifest = DatasetManifest.load(dataset)
    schema = index_schema(manifest.columns)
    for column in by:
        if column not in schema.names:
            raise UsageError(f"The index has no column {column!r}.{nearest(column, schema.names)} Columns: {', '.join(schema.names)}.")
    keys = tuple(by) or ((FINGERPRINT,) if manifest.columns.get(FINGERPRINT) == "text" else STRETCH)
    records = committed_parts(dataset)
    path = dataset / FOLDER / DUPLICATES
    with holding(dataset, console, take_over), console.progress(len(records), "Reading", "parts") as progress:
        rows = read_rows(dataset, manifest, records, [*keys, "duration_s"], where=where, seen=lambda record, table: progress.advance()).rows
        found = find_groups(rows, keys)
        files.write_atomically(path, encode_table(found))
    _show(console, path, rows, found, keys)
    return ExitCode.DONE


def find_groups(rows: pa.Table, keys: Sequence[str]) -> pa.Table:
    """Rows of `SCHEMA` in the order of `rows` (columns `utt_id` and `keys`); groups count from 1 by their first utterance."""
    whole = np.ones(rows.num_rows, dtype=np.bool_)
    codes = np.zeros(rows.num_rows, dtype=np.int64)
    for key in keys:
        column = rows[key].combine_chunks()
        whole &= column.is_valid().to_numpy(zero_copy_only=False)
        numbers = column.dictionary_encode().indices.fill_null(0).to_numpy(zero_copy_only=False)
        codes = np.unique(codes * (int(numbers.max(initial=0)) + 1) + numbers, return_inverse=True)[1]
    candidates = np.flatnonzero(whole)
    _, first, inverse, counts = np.unique(codes[candidates], return_index=True, return_inverse=True, return_counts=True)
    several = np.flatnonzero(counts > 1)
    rank = np.zeros(len(counts), dtype=np.int32)
    rank[several[np.argsort(first[several])]] = np.arange(1, len(several) + 1)
    mine = rank[inverse] > 0
    members, groups, firsts = candidates[mine], rank[inverse][mine], candidates[first][inverse][mine]
    names = rows["utt_id"].combine_chunks()
    originals = pc.if_else(pa.array(members == firsts), pa.scalar(None, pa.string()), names.take(pa.array(firsts)))
    return pa.table([names.take(pa.array(members)), pa.array(groups, pa.int32()), originals], schema=SCHEMA)


def _show(console: Console, path: Path, rows: pa.Table, found: pa.Table, keys: Sequence[str]) -> None:
    sizes = np.bincount(found["group"].to_numpy())
    groups = [number for number in np.argsort(-sizes, kind="stable").tolist() if sizes[number]]
    copies = found.filter(pc.is_valid(found["duplicate_of"]))["utt_id"]
    hours = float(pc.sum(rows["duration_s"].filter(pc.is_in(rows["utt_id"], value_set=copies))).as_py() or 0.0) / 3600
    shown = [
        (number, int(sizes[number]), ", ".join(found["utt_id"].filter(pc.equal(found["group"], number)).slice(0, 4).to_pylist()))
        for number in groups[:MOST_SHOWN]
    ]
    if shown:
        rest = f" ({len(groups) - MOST_SHOWN:,} more groups)" if len(groups) > MOST_SHOWN else ""
        console.table(f"The same {', '.join(keys)}{rest}", ["group", "utterances", "first of them"], shown)
    values = {"file": str(path), "num_groups": len(groups), "num_duplicates": len(copies), "hours": round(hours, 4), "by": list(keys)}
    console.result(values, f"{path}: {len(copies):,} of {rows.num_rows:,} utterances ({hours:.3f} h) repeat another one, in {len(groups):,} groups.")
