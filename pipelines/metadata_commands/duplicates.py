"""`valle metadata duplicates`: utterances with the same content, whatever their files and names are. Nothing is removed."""

# pyarrow makes its compute functions when it is imported, where pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.console import Console
from pipelines.metadata import holding
from pipelines.metadata_tables.rows import read_rows
from pipelines.metadata_tables.vectors import gather_vectors, spread
from pipelines.metadata_tables.write import DUPLICATES, FOLDER, write_table
from valle_data.errors import ExitCode, UsageError
from valle_data.registry import nearest
from valle_data.shards.index import index_schema
from valle_data.shards.manifest import DatasetManifest
from valle_data.shards.record import CommitRecord, committed_parts

SIDE = "fingerprint"
FINGERPRINT = ("audio_hash", "active_s")
"""What the stage `fingerprint` writes beside its vectors."""
STRETCH = ("source_digest", "start_s", "end_s")
"""The same bytes of the same recording: what is compared where no stage has made fingerprints."""
MOST_SHOWN = 20
SCHEMA = pa.schema(
    [
        pa.field("utt_id", pa.string(), nullable=False),
        pa.field("group", pa.int32(), nullable=False),
        pa.field("duplicate_of", pa.string()),
        pa.field("similarity", pa.float32(), nullable=False),
    ]
)


def run(dataset: Path, *, console: Console, by: Sequence[str] = (), where: str | None = None, take_over: bool = False) -> ExitCode:
    """Write `metadata/duplicates.parquet`: every utterance that is not alone with its content, its group, and the first of the group (null for that one).

    Content is equality of the columns `by`; without them the fingerprint of the sound, or where there is none the stretch of the recording. Null is like
    nothing. Raises UsageError for a column that does not exist, and what `read_rows` and `gather_vectors` raise.
    """
    manifest = DatasetManifest.load(dataset)
    schema = index_schema(manifest.columns)
    for column in by:
        if column not in schema.names:
            raise UsageError(f"The index has no column {column!r}.{nearest(column, schema.names)} Columns: {', '.join(schema.names)}.")
    has_fingerprints = set(FINGERPRINT) <= manifest.columns.keys() and not by
    keys = tuple(by) or (FINGERPRINT if has_fingerprints else STRETCH)
    if not by and not has_fingerprints:
        console.warning(f"{dataset} has no fingerprints, so only the same stretches of the same files are found. Prepare it with `{SIDE}: {{}}` to find more.")
    records = committed_parts(dataset)
    path = dataset / FOLDER / DUPLICATES
    with holding(dataset, console, take_over), console.progress((1 + has_fingerprints) * len(records), "Reading", "parts read") as progress:
        rows = read_rows(dataset, manifest, records, [*keys, "part", "duration_s"], where=where, seen=lambda record, table: progress.advance()).rows
        firsts, similarity = _by_sound(dataset, records, rows, progress.advance) if has_fingerprints else first_of_each(rows, keys)
        found = groups_of(rows, firsts, similarity)
        write_table(dataset, DUPLICATES, SCHEMA, [found])
    _show(console, path, rows, found, SIDE if has_fingerprints else ", ".join(keys))
    return ExitCode.DONE


def _by_sound(dataset: Path, records: Sequence[CommitRecord], rows: pa.Table, looked_at: Callable[[], None]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For each row the first that it is a copy of, and how similar it is to a copy."""
    from valle_data.duplicates import find_duplicates

    if not any(SIDE in record.sides for record in records):  # nothing sounds for long enough to have a vector
        return first_of_each(rows, FINGERPRINT[:1])
    vectors = spread(gather_vectors(dataset, records, rows, SIDE, looked_at), rows.num_rows)
    if not rows.num_rows:
        return first_of_each(rows, FINGERPRINT[:1])
    found = find_duplicates(vectors, rows["active_s"].cast(pa.float64()).to_numpy(), rows["audio_hash"].to_pylist())
    return found.groups, found.similarity


def first_of_each(rows: pa.Table, keys: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For each row the first with the same `keys`, itself where a key is null; and 1 as similarity."""
    whole = np.ones(rows.num_rows, dtype=np.bool_)
    codes = np.zeros(rows.num_rows, dtype=np.int64)
    for key in keys:
        column = rows[key].combine_chunks()
        whole &= column.is_valid().to_numpy(zero_copy_only=False)
        numbers = column.dictionary_encode().indices.fill_null(0).to_numpy(zero_copy_only=False)
        codes = np.unique(codes * (int(numbers.max(initial=0)) + 1) + numbers, return_inverse=True)[1]
    firsts = np.arange(rows.num_rows)
    candidates = np.flatnonzero(whole)
    _, first, inverse = np.unique(codes[candidates], return_index=True, return_inverse=True)
    firsts[candidates] = candidates[first][inverse]
    return firsts, np.ones(rows.num_rows, dtype=np.float32)


def groups_of(rows: pa.Table, firsts: NDArray[np.int64], similarity: NDArray[np.float32]) -> pa.Table:
    """Rows of `SCHEMA` in the order of `rows`; groups of two or more count from 1 by their first utterance."""
    sizes = np.bincount(firsts, minlength=rows.num_rows)
    members = np.flatnonzero(sizes[firsts] > 1)
    groups = np.unique(firsts[members], return_inverse=True)[1] + 1
    names = rows["utt_id"].combine_chunks()
    originals = pc.if_else(pa.array(firsts[members] == members), pa.scalar(None, pa.string()), names.take(pa.array(firsts[members])))
    return pa.table([names.take(pa.array(members)), pa.array(groups, pa.int32()), originals, pa.array(similarity[members])], schema=SCHEMA)


def _show(console: Console, path: Path, rows: pa.Table, found: pa.Table, compared: str) -> None:
    sizes = np.bincount(found["group"].to_numpy())
    groups = [number for number in np.argsort(-sizes, kind="stable").tolist() if sizes[number]]
    copies = found.filter(pc.is_valid(found["duplicate_of"]))["utt_id"]
    hours = float(pc.sum(rows["duration_s"].filter(pc.is_in(rows["utt_id"], value_set=copies))).as_py() or 0.0) / 3600
    shown = []
    for number in groups[:MOST_SHOWN]:
        mine = found.filter(pc.equal(found["group"], number))
        shown.append((number, int(sizes[number]), pc.min(mine["similarity"]).as_py(), ", ".join(mine["utt_id"].slice(0, 4).to_pylist())))
    if shown:
        rest = f" ({len(groups) - MOST_SHOWN:,} more groups)" if len(groups) > MOST_SHOWN else ""
        console.table(f"The same by {compared}{rest}", ["group", "utterances", "least similarity", "first of them"], shown)
    values = {"file": str(path), "num_groups": len(groups), "num_duplicates": len(copies), "hours": round(hours, 4), "by": compared}
    console.result(values, f"{path}: {len(copies):,} of {rows.num_rows:,} utterances ({hours:.3f} h) repeat another one, in {len(groups):,} groups.")
