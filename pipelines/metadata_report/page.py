"""The page: what is in a data set, at a glance and by ear."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipelines.metadata_report.charts import histogram_figure
from pipelines.metadata_report.html import Markup, amount_of_time, number, style, table, tag, text
from pipelines.metadata_report.samples import Player, Sample, SampleSet, remove_stale, write_samples
from pipelines.metadata_tables.statistics import Statistics
from valle_data import files
from valle_data.errors import EXPLANATIONS, ReasonCode
from valle_data.shards.commit import CommitRecord

PAGE = "index.html"
MOST_SPEAKERS = 300
RARE = 10
# Nothing in the page may run or be fetched, whatever a transcript holds: sounds beside it and the style within it are all.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; media-src 'self' file:; base-uri 'none'; form-action 'none'"
SECTIONS = ("Histograms", "Listen", "Speakers", "Groups and languages", "Phones", "Quarantine")


@dataclass(frozen=True)
class Report:
    """A written report; `codec_problem` as in `SampleSet`."""

    page: Path
    codec_problem: str


def write_report(dataset: Path, records: Sequence[CommitRecord], statistics: Statistics, where: str | None = None) -> Report:
    """Write `metadata/report/`. The page is replaced after its sounds, so an old one stays whole until then."""
    report = dataset / "metadata" / "report"
    files.make_folder(report)
    heard = write_samples(dataset, report, statistics.manifest, records, statistics.gathered.rows, statistics.rule.seed)
    files.write_atomically(report / PAGE, render(dataset.resolve().name, statistics, heard).encode("utf-8"))
    remove_stale(report, heard.samples)
    return Report(report / PAGE, heard.codec_problem)


def render(name: str, statistics: Statistics, heard: SampleSet) -> str:
    """The whole page."""
    bodies = (
        tag("div", {"class": "figures"}, *(histogram_figure(histogram) for histogram in statistics.histograms)),
        _listen(heard),
        _speakers(statistics.speakers),
        _groups(statistics),
        _phones(statistics),
        _quarantine(statistics),
    )
    sections = [tag("section", {"id": _anchor(title)}, tag("h2", None, title), body) for title, body in zip(SECTIONS, bodies, strict=True)]
    head = tag(
        "head",
        None,
        tag("meta", {"charset": "utf-8"}),
        tag("meta", {"http-equiv": "Content-Security-Policy", "content": POLICY}),
        tag("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        tag("title", None, f"{name} - data set report"),
        style((Path(__file__).parent / "style.css").read_text(encoding="utf-8")),
    )
    body = tag("body", None, tag("main", None, _header(name, statistics), *sections))
    return f"<!DOCTYPE html>\n{tag('html', {'lang': 'en'}, head, body)}\n"


def _anchor(title: str) -> str:
    return title.split()[0].lower()


def _header(name: str, statistics: Statistics) -> Markup:
    manifest, totals = statistics.manifest, statistics.totals
    rule = statistics.rule
    tiles = [
        ("utterances", number(totals.num_utterances)),
        ("of speech", amount_of_time(totals.hours)),
        ("speakers", number(totals.num_speakers)),
        ("groups", number(totals.num_groups)),
        ("languages", number(totals.num_languages)),
        ("phones", number(totals.num_phones)),
        ("parts", number(totals.num_parts)),
        *((split.name, number(split.num_utterances)) for split in statistics.splits),
        ("quarantined", number(totals.num_quarantined)),
    ]
    return tag(
        "header",
        None,
        tag("h1", None, name),
        tag("p", {"class": "quiet"}, f"Codec {manifest.codec}. Phonemizer {manifest.phonemizer}. Configuration {manifest.config_hash[:12]}."),
        tag("p", {"class": "quiet"}, f"Split {rule.describe()}."),
        tag("nav", None, *(tag("a", {"href": f"#{_anchor(title)}"}, title) for title in SECTIONS)),
        tag("div", {"class": "tiles"}, *(tag("div", {"class": "tile"}, tag("b", None, value), tag("span", None, label)) for label, value in tiles)),
    )


def _listen(heard: SampleSet) -> Markup:
    if not heard.samples:
        return tag("p", {"class": "quiet"}, "No utterances.")
    problem = tag("p", {"class": "warn"}, f"No codec round trip. {heard.codec_problem}") if heard.codec_problem else None
    return tag("div", None, problem, tag("div", {"class": "samples"}, *(_sample(sample) for sample in heard.samples)))


def _sample(sample: Sample) -> Markup:
    where = f"{sample.speaker} · {sample.group} · {sample.language} · {sample.duration_s:.1f} s"
    return tag(
        "div",
        {"class": "sample"},
        tag("h3", None, where),
        tag("p", {"dir": "auto"}, sample.text.strip()),
        tag("p", {"class": "phones"}, "".join(sample.phones)),
        tag("p", {"class": "quiet"}, tag("code", None, sample.utterance)),
        tag("div", {"class": "players"}, _player("recording", sample.original), _player("codec round trip", sample.round_trip)),
    )


def _player(label: str, player: Player) -> Markup:
    if player.address is None:
        return tag("div", None, tag("span", {"class": "quiet"}, label), tag("p", {"class": "warn"}, player.problem or "Not there."))
    sound = tag("audio", {"controls": "controls", "preload": "metadata", "src": player.address, "aria-label": label}, "")
    return tag("div", None, tag("span", {"class": "quiet"}, label), sound)


STATISTICS_COLUMNS = {
    "utterances": "num_utterances",
    "validation": "num_validation",
    "speech": "hours",
    "mean s": "mean_duration_s",
    "min s": "min_duration_s",
    "max s": "max_duration_s",
    "phones/s": "phones_per_s",
}


def _statistics_table(found: pa.Table, keys: dict[str, str]) -> Markup:
    """`keys` and STATISTICS_COLUMNS of `found` as a table; `keys`: heading -> column."""
    columns = keys | STATISTICS_COLUMNS
    kinds = {heading: "n" if column not in ("speaker", "group", "language") else "" for heading, column in columns.items()}
    return table(kinds, ([_cell(column, row[column]) for column in columns.values()] for row in found.to_pylist()))


def _cell(column: str, value: str | int | float) -> str | int | float:
    return amount_of_time(value) if column == "hours" and not isinstance(value, str) else value


def _speakers(speakers: pa.Table) -> Markup:
    shown = speakers.sort_by([("hours", "descending"), ("group", "ascending"), ("speaker", "ascending")]).slice(0, MOST_SPEAKERS)
    rest = speakers.num_rows - shown.num_rows
    note = f"The {MOST_SPEAKERS} with most hours; {rest:,} more are in metadata/speakers.parquet." if rest else None
    single = sum(count == 1 for count in speakers["num_utterances"].to_pylist())
    alone = f"{single:,} with a single utterance: there is no other to prompt with." if single else None
    notes = [tag("p", {"class": "quiet"}, sentence) for sentence in (note, alone) if sentence]
    return tag("div", None, *notes, _statistics_table(shown, {"speaker": "speaker", "group": "group"}))


def _groups(statistics: Statistics) -> Markup:
    groups = statistics.groups.slice(0, MOST_SPEAKERS)
    by_language = _statistics_table(statistics.languages, {"language": "language", "speakers": "num_speakers"})
    return tag("div", None, _statistics_table(groups, {"group": "group", "speakers": "num_speakers"}), by_language)


def _phones(statistics: Statistics) -> Markup:
    counts, never = statistics.phones.counts, statistics.phones.never_seen
    seen = sorted(((symbol, count) for symbol, count in counts.items() if count), key=lambda item: (-item[1], item[0]))
    sentence = f"{len(seen)} of the {len(counts)} symbols of the vocabulary occur; those with a coloured border fewer than {RARE} times."
    parts = [tag("p", {"class": "quiet"}, sentence), tag("div", {"class": "chips"}, *(_chip(symbol, count) for symbol, count in seen))]
    if never:
        parts += [tag("h3", None, "Never seen"), tag("div", {"class": "chips"}, *(_chip(symbol, None) for symbol in never))]
    return tag("div", None, *parts)


def _chip(symbol: str, count: int | None) -> Markup:
    label = " ".join(f"U+{ord(letter):04X} {unicodedata.name(letter, 'unnamed')}" for letter in symbol)
    shown = "space" if symbol == " " else f"◌{symbol}" if unicodedata.combining(symbol[:1] or " ") else symbol
    kind = "chip rare" if count is not None and count < RARE else "chip"
    return tag("span", {"class": kind, "title": label}, tag("b", None, shown), tag("span", None, number(count)) if count is not None else None)


def _quarantine(statistics: Statistics) -> Markup:
    quarantine = statistics.gathered.quarantine
    if not quarantine.total:
        return tag("p", {"class": "quiet"}, "Nothing was refused.")
    return tag("div", None, *(_reason(reason, count, statistics) for reason, count in sorted(quarantine.reasons.items(), key=lambda item: (-item[1], item[0]))))


def _reason(reason: str, count: int, statistics: Statistics) -> Markup:
    known = EXPLANATIONS.get(ReasonCode(reason)) if reason in set(ReasonCode) else None
    examples = statistics.gathered.quarantine.examples[reason]
    items = [tag("li", None, tag("code", None, example.path), tag("p", {"class": "quiet"}, f"{example.stage}: {example.message}")) for example in examples]
    more = tag("p", {"class": "quiet"}, f"and {count - len(examples):,} more in quarantine/*.parquet") if count > len(examples) else None
    return tag(
        "div",
        {"class": "reason"},
        tag("h3", None, text(f"{reason}: {count:,}")),
        tag("p", None, f"{known.meaning} {known.remedy}") if known else None,
        tag("ul", None, *items),
        more,
    )
