"""`valle metadata stats`: what a data set holds, by any column. Writes nothing."""

# pyarrow makes its compute functions when it is imported, where pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.console import Cell, Console
from pipelines.metadata_tables.gather import gather
from pipelines.metadata_tables.quantiles import LEVELS
from pipelines.metadata_tables.splits import SplitRule
from pipelines.metadata_tables.statistics import PERSON, Statistics, compute, per
from valle_data.errors import ExitCode, UsageError
from valle_data.registry import nearest
from valle_data.shards.commit import committed_parts
from valle_data.shards.index import index_schema
from valle_data.shards.manifest import DatasetManifest

BY = ("corpus", "language", "group", "speaker")
KEYS = {"speaker": ["group", "speaker"]}
"""Columns that mean something only together."""
UNASSIGNED = "in no split"
BRIEF = {"num_speakers": "speakers", "num_utterances": "utterances", "hours": "hours", "mean_duration_s": "mean s", "phones_per_s": "phones/s"}
BRIEF_LEVELS = {"p0": "min", "p5": "p5", "p50": "median", "p95": "p95", "p100": "max"}
"""What a person sees of a table; a program gets every column."""


def run(dataset: Path, *, console: Console, where: str | None = None, by: Sequence[str] = (), most: int = 20) -> ExitCode:
    """Print statistics of the utterances of which `where` is true. As JSON lines every table is whole, else it has `most` rows.

    Raises UsageError for a column that does not exist or cannot be counted by, and for a filter that cannot be read.
    """
    manifest = DatasetManifest.load(dataset)
    schema = index_schema(manifest.columns)
    for column in by:
        _check(column, schema)
    records = committed_parts(dataset)
    texts = [name for name, kind in manifest.columns.items() if kind == "text"]
    with console.progress(len(records), "Reading", "parts") as progress:
        gathered = gather(
            dataset, manifest, records, progress.advance, where=where, more=["split", *by, *(name for name, kind in manifest.columns.items() if kind == "text")]
        )
    statistics = compute(manifest, gathered, pc.fill_null(gathered.rows["split"], UNASSIGNED), SplitRule())
    shown = statistics.rows.num_rows if console.as_json else most
    title = f"{dataset} where {where}" if where else str(dataset)
    console.table(title, ["what", "count"], [(name.replace("num_", ""), _figure(value)) for name, value in asdict(statistics.totals).items()])
    for column in by or BY:
        _by(console, statistics, column, shown)
    _splits(console, statistics)
    _quantiles(console, statistics)
    _texts(console, statistics, texts)
    _quarantine(console, statistics)
    return ExitCode.DONE


def _check(column: str, schema: pa.Schema) -> None:
    if column not in schema.names:
        raise UsageError(f"The index has no column {column!r}.{nearest(column, schema.names)} Columns: {', '.join(schema.names)}.")
    kind = schema.field(column).type
    if not (pa.types.is_string(kind) or pa.types.is_integer(kind)):
        raise UsageError(f"--by counts by texts and whole numbers, column {column} holds {kind}. Use --where {column!r} with a comparison.")


def _figure(value: float) -> Cell:
    return round(value, 4) if isinstance(value, float) else value


def _by(console: Console, statistics: Statistics, column: str, most: int) -> None:
    keys = KEYS.get(column, [column])
    found = per(statistics.rows, keys, count_speakers=PERSON in statistics.rows.column_names and column != "speaker")
    found = found.sort_by([("hours", "descending"), *((key, "ascending") for key in keys)])
    rest = found.num_rows - min(most, found.num_rows)
    title = f"By {column}" + (f" ({found.num_rows:,}; {rest:,} more are not shown, --most raises it)" if rest else f" ({found.num_rows:,})")
    names = {name: BRIEF.get(name, str(name)) for name in map(str, found.column_names) if console.as_json or name in BRIEF or name in keys}
    rows = [tuple(_figure(row[name]) for name in names) for row in found.slice(0, most).to_pylist()]
    console.table(title, list(names) if console.as_json else list(names.values()), rows)


def _splits(console: Console, statistics: Statistics) -> None:
    found = per(statistics.rows, ["split"], count_speakers=True).select(["split", "num_utterances", "num_speakers", "hours"])
    console.table("By split", ["split", "utterances", "speakers", "hours"], [tuple(_figure(cell) for cell in row.values()) for row in found.to_pylist()])


def _quantiles(console: Console, statistics: Statistics) -> None:
    found = [quantile.to_json() for quantile in statistics.quantiles]
    shown = {"name": "score", "num_missing": "missing", "mean": "mean", **BRIEF_LEVELS}
    if console.as_json:
        shown = {name: name for name in ("name", "num_values", "num_missing", "mean", *(f"p{level * 100:g}" for level in LEVELS))}
    console.table("Quantiles", list(shown.values()), [tuple(quantile.get(name) for name in shown) for quantile in found])


def _texts(console: Console, statistics: Statistics, names: Sequence[str]) -> None:
    """Score columns that hold text: how many values they have."""
    if names:
        rows = [(name, pc.count_distinct(statistics.rows[name]).as_py(), statistics.rows[name].null_count) for name in names]
        console.table("Columns of text", ["column", "different values", "missing"], rows)


def _quarantine(console: Console, statistics: Statistics) -> None:
    quarantine = statistics.gathered.quarantine
    if not quarantine.total:
        return
    total = np.float64(quarantine.total + statistics.totals.num_utterances)
    for title, counts in (("Quarantine by reason", quarantine.reasons), ("Quarantine by stage", quarantine.stages)):
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        console.table(title, [title.rpartition(" ")[2], "count", "share"], [(name, count, f"{count / total:.2%}") for name, count in ordered])
