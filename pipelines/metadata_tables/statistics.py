"""Statistics of a data set: totals, per speaker and group, histograms, phones against the vocabulary, quarantine, splits."""

# pyarrow makes its compute functions when it is imported, where pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.metadata_tables.gather import Gathered
from pipelines.metadata_tables.histograms import Histogram, histogram
from pipelines.metadata_tables.quantiles import Quantiles, quantiles
from pipelines.metadata_tables.splits import NAMES, TEST, SplitRule
from valle_data.shards.manifest import DatasetManifest

STATS_VERSION = 2
PERSON = "person"
"""A column of group and speaker: the same name in two groups is two speakers."""
SCORE_UNITS = {"dbfs": "dBFS", "db": "dB", "hz": "Hz", "s": "s"}


@dataclass(frozen=True)
class Totals:
    """Sums over a data set. `num_phones` counts symbols of the vocabulary: stress, length and pauses too."""

    num_parts: int
    num_utterances: int
    num_speakers: int
    num_groups: int
    num_languages: int
    num_frames: int
    num_phones: int
    hours: float
    num_quarantined: int


@dataclass(frozen=True)
class SplitTotals:
    """One side of the split."""

    name: str
    num_utterances: int
    num_speakers: int
    hours: float


@dataclass(frozen=True)
class PhoneInventory:
    """`counts` of every symbol of the vocabulary in the order of ids; `never_seen` are those that no utterance has."""

    counts: dict[str, int]
    never_seen: tuple[str, ...]


@dataclass(frozen=True)
class Statistics:
    """Everything `stats.json` and the report say. `speakers`, `groups`, `languages`, `corpora` have one row each, sorted by name.

    `rows` are those gathered, with columns `split` and PERSON.
    """

    manifest: DatasetManifest
    gathered: Gathered
    rows: pa.Table
    rule: SplitRule
    totals: Totals
    splits: tuple[SplitTotals, ...]
    histograms: tuple[Histogram, ...]
    quantiles: tuple[Quantiles, ...]
    phones: PhoneInventory
    speakers: pa.Table
    groups: pa.Table
    languages: pa.Table
    corpora: pa.Table

    def to_json(self) -> dict[str, Any]:
        quarantine = self.gathered.quarantine
        return {
            "stats_version": STATS_VERSION,
            "inputs": self.gathered.inputs,
            "codec": self.manifest.codec.to_json(),
            "phonemizer": {"name": self.manifest.phonemizer.name, "version": self.manifest.phonemizer.version},
            "totals": asdict(self.totals),
            "split_rule": asdict(self.rule),
            "splits": [asdict(split) for split in self.splits],
            "languages": self.languages.to_pylist(),
            "corpora": self.corpora.to_pylist(),
            "histograms": [histogram.to_json() for histogram in self.histograms],
            "quantiles": [quantile.to_json() for quantile in self.quantiles],
            "phones": {
                "vocabulary_hash": self.manifest.vocabulary.hash,
                "num_in_vocabulary": len(self.manifest.vocabulary),
                "num_seen": len(self.manifest.vocabulary) - len(self.phones.never_seen),
                "counts": self.phones.counts,
                "never_seen": list(self.phones.never_seen),
            },
            "quarantine": {"reasons": quarantine.reasons, "stages": quarantine.stages},
        }


def compute(manifest: DatasetManifest, gathered: Gathered, splits: pa.Array | pa.ChunkedArray, rule: SplitRule) -> Statistics:
    """Statistics of what was gathered, `splits` naming the split of every row; an empty data set has zeros and empty tables."""
    rows = with_person(with_split(gathered.rows, splits))
    figures = scores(rows, manifest)
    counts = {symbol: gathered.phones.get(symbol, 0) for symbol in manifest.vocabulary.symbols}
    totals = Totals(
        num_parts=gathered.num_parts,
        num_utterances=rows.num_rows,
        num_speakers=_distinct(rows, PERSON),
        num_groups=_distinct(rows, "group"),
        num_languages=_distinct(rows, "language"),
        num_frames=_sum(rows, "num_frames"),
        num_phones=_sum(rows, "num_phones"),
        hours=_hours(rows),
        num_quarantined=gathered.quarantine.total,
    )
    return Statistics(
        manifest=manifest,
        gathered=gathered,
        rows=rows,
        rule=rule,
        totals=totals,
        splits=tuple(totals for name in NAMES if (totals := _split_totals(rows, name)).num_utterances or name != TEST),
        histograms=tuple(histogram(score.name, score.unit, score.values, whole=score.whole) for score in figures),
        quantiles=tuple(quantiles(score.name, score.values) for score in figures),
        phones=PhoneInventory(counts, tuple(symbol for symbol, count in counts.items() if not count)),
        speakers=per(rows, ["group", "speaker"]),
        groups=per(rows, ["group"], count_speakers=True),
        languages=per(rows, ["language"], count_speakers=True),
        corpora=per(rows, ["corpus"], count_speakers=True),
    )


def _distinct(rows: pa.Table, column: str) -> int:
    return pc.count_distinct(rows[column]).as_py()


def _sum(rows: pa.Table, column: str) -> int:
    return pc.sum(rows[column]).as_py() or 0


def _hours(rows: pa.Table) -> float:
    return float(pc.sum(rows["duration_s"].cast(pa.float64())).as_py() or 0.0) / 3600


def _split_totals(rows: pa.Table, name: str) -> SplitTotals:
    chosen = rows.filter(pc.equal(rows["split"], name))
    return SplitTotals(name, chosen.num_rows, _distinct(chosen, PERSON), _hours(chosen))


def with_split(rows: pa.Table, splits: pa.Array | pa.ChunkedArray) -> pa.Table:
    """`rows` with the column `split`."""
    return (rows.drop_columns(["split"]) if "split" in rows.column_names else rows).append_column("split", splits)


def with_person(rows: pa.Table) -> pa.Table:
    """`rows` with the column PERSON."""
    return rows.append_column(PERSON, pc.binary_join_element_wise(rows["group"], rows["speaker"], "\0"))


def per(rows: pa.Table, keys: list[str], count_speakers: bool = False) -> pa.Table:
    """One row for each value of `keys`, sorted: utterances, hours, durations, phones, phones per second, how many are for validation and test.

    Of `rows` it reads `keys`, `duration_s`, `num_phones`, and where they are there `split` and PERSON.
    """
    held = [name for name in NAMES[1:] if "split" in rows.column_names]
    for name in held:
        rows = rows.append_column(name, pc.equal(rows["split"], name).cast(pa.int64()))
    aggregates = [("duration_s", name) for name in ("count", "sum", "min", "max")] + [("num_phones", "sum"), *((name, "sum") for name in held)]
    if count_speakers:
        aggregates.append((PERSON, "count_distinct"))
    found = rows.group_by(keys, use_threads=False).aggregate(aggregates).sort_by([(key, "ascending") for key in keys])
    utterances, total_s = found["duration_s_count"], found["duration_s_sum"].cast(pa.float64())
    columns = {
        **({"num_speakers": found[f"{PERSON}_count_distinct"]} if count_speakers else {}),
        "num_utterances": utterances,
        **{f"num_{name}": found[f"{name}_sum"] for name in held},
        "hours": pc.divide(total_s, 3600.0),
        "mean_duration_s": pc.divide(total_s, utterances.cast(pa.float64())),
        "min_duration_s": found["duration_s_min"],
        "max_duration_s": found["duration_s_max"],
        "num_phones": found["num_phones_sum"],
        "phones_per_s": pc.divide(found["num_phones_sum"].cast(pa.float64()), total_s),
    }
    return pa.table({key: found[key] for key in keys} | {name: values for name, values in columns.items() if name not in keys})


@dataclass(frozen=True)
class Score:
    """A quantity that every utterance has or lacks (NaN): `values` `[rows]`. `column` is a column of the index, empty for one computed from several."""

    name: str
    unit: str
    values: NDArray[np.float64]
    whole: bool = False
    column: str = ""


def scores(rows: pa.Table, manifest: DatasetManifest) -> list[Score]:
    """Duration, phones, speed, and every score column of the data set."""
    duration_s, num_phones = _values(rows, "duration_s"), _values(rows, "num_phones")
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = num_phones / duration_s
    columns = [name for name, kind in manifest.columns.items() if kind == "float"]
    return [
        Score("duration", "s", duration_s, column="duration_s"),
        Score("phones an utterance", "", num_phones, whole=True, column="num_phones"),
        Score("phones per second", "", rate),
        *(Score(name, SCORE_UNITS.get(name.rpartition("_")[2], ""), _values(rows, name), column=name) for name in columns),
    ]


def _values(rows: pa.Table, column: str) -> NDArray[np.float64]:
    return rows[column].cast(pa.float64()).to_numpy()
