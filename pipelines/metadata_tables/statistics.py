"""Statistics of a data set: totals, per speaker and group, histograms, phones against the vocabulary, quarantine, splits."""

# pyarrow makes its compute functions when it is imported, where pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.metadata_tables.gather import Gathered
from pipelines.metadata_tables.histograms import Histogram, histogram
from pipelines.metadata_tables.splits import TRAIN, VALIDATION, SplitRule, Splits
from valle_data.shards.manifest import DatasetManifest

STATS_VERSION = 1
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
    """Everything `stats.json` and the report say. `speakers` and `groups` have one row each, sorted by name."""

    manifest: DatasetManifest
    gathered: Gathered
    rule: SplitRule
    totals: Totals
    splits: tuple[SplitTotals, ...]
    histograms: tuple[Histogram, ...]
    phones: PhoneInventory
    speakers: pa.Table
    groups: pa.Table
    languages: pa.Table

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
            "histograms": [histogram.to_json() for histogram in self.histograms],
            "phones": {
                "vocabulary_hash": self.manifest.vocabulary.hash,
                "num_in_vocabulary": len(self.manifest.vocabulary),
                "num_seen": len(self.manifest.vocabulary) - len(self.phones.never_seen),
                "counts": self.phones.counts,
                "never_seen": list(self.phones.never_seen),
            },
            "quarantine": {"reasons": quarantine.reasons, "stages": quarantine.stages},
        }


def compute(manifest: DatasetManifest, gathered: Gathered, splits: Splits, rule: SplitRule) -> Statistics:
    """Statistics of what was gathered; an empty data set has zeros and empty tables."""
    rows = gathered.rows.append_column("validation", pa.array(splits.is_validation.astype(np.int64)))
    rows = rows.append_column(PERSON, pc.binary_join_element_wise(rows["group"], rows["speaker"], "\0"))
    speakers = _per(rows, ["group", "speaker"])
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
        rule=rule,
        totals=totals,
        splits=tuple(_split_totals(rows, name, flag) for name, flag in ((TRAIN, 0), (VALIDATION, 1))),
        histograms=_histograms(rows, [name for name, kind in manifest.columns.items() if kind == "float"]),
        phones=PhoneInventory(counts, tuple(symbol for symbol, count in counts.items() if not count)),
        speakers=speakers,
        groups=_per(rows, ["group"], count_speakers=True),
        languages=_per(rows, ["language"], count_speakers=True),
    )


def _distinct(rows: pa.Table, column: str) -> int:
    return pc.count_distinct(rows[column]).as_py()


def _sum(rows: pa.Table, column: str) -> int:
    return pc.sum(rows[column]).as_py() or 0


def _hours(rows: pa.Table) -> float:
    return float(pc.sum(rows["duration_s"].cast(pa.float64())).as_py() or 0.0) / 3600


def _split_totals(rows: pa.Table, name: str, flag: int) -> SplitTotals:
    chosen = rows.filter(pc.equal(rows["validation"], flag))
    return SplitTotals(name, chosen.num_rows, _distinct(chosen, PERSON), _hours(chosen))


def _per(rows: pa.Table, keys: list[str], count_speakers: bool = False) -> pa.Table:
    """One row for each value of `keys`, sorted: utterances, hours, durations, phones, phones per second, how many are for validation."""
    aggregates = [("duration_s", name) for name in ("count", "sum", "min", "max")] + [("num_phones", "sum"), ("validation", "sum")]
    if count_speakers:
        aggregates.append((PERSON, "count_distinct"))
    found = rows.group_by(keys, use_threads=False).aggregate(aggregates).sort_by([(key, "ascending") for key in keys])
    utterances, total_s = found["duration_s_count"], found["duration_s_sum"].cast(pa.float64())
    columns = {key: found[key] for key in keys}
    if count_speakers:
        columns["num_speakers"] = found[f"{PERSON}_count_distinct"]
    columns |= {
        "num_utterances": utterances,
        "num_validation": found["validation_sum"],
        "hours": pc.divide(total_s, 3600.0),
        "mean_duration_s": pc.divide(total_s, utterances.cast(pa.float64())),
        "min_duration_s": found["duration_s_min"],
        "max_duration_s": found["duration_s_max"],
        "num_phones": found["num_phones_sum"],
        "phones_per_s": pc.divide(found["num_phones_sum"].cast(pa.float64()), total_s),
    }
    return pa.table(columns)


def _values(rows: pa.Table, column: str) -> NDArray[np.float64]:
    return rows[column].cast(pa.float64()).to_numpy()


def _histograms(rows: pa.Table, scores: Sequence[str]) -> tuple[Histogram, ...]:
    duration_s, num_phones = _values(rows, "duration_s"), _values(rows, "num_phones")
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = num_phones / duration_s
    return (
        histogram("duration", "s", duration_s),
        histogram("phones an utterance", "", num_phones, whole=True),
        histogram("phones per second", "", rate),
        *(histogram(score, SCORE_UNITS.get(score.rpartition("_")[2], ""), _values(rows, score)) for score in scores),
    )
