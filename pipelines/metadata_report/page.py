"""The pages of the report: what is in a data set, at a glance and by ear."""

import itertools
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipelines.metadata_report import extremes, speakers
from pipelines.metadata_report.charts import histogram_figure
from pipelines.metadata_report.choose import choose_extremes, choose_rows
from pipelines.metadata_report.html import Markup, amount_of_time, number, table, tag, text
from pipelines.metadata_report.samples import AUDIO, RECORDING, ROUND_TRIP, Sample, Sounds, fetch, load_codec
from pipelines.metadata_report.shell import INDEX, document
from pipelines.metadata_report.utterances import card
from pipelines.metadata_tables.statistics import Statistics, scores
from valle_data import files
from valle_data.errors import EXPLANATIONS, ReasonCode
from valle_data.shards.record import CommitRecord

MOST_SPEAKERS = 300
RARE = 10
SECTIONS = ("Histograms", "Listen", "Speakers", "Groups and languages", "Phones", "Quarantine")


@dataclass(frozen=True)
class Report:
    """A written report; `codec_problem` says why no round trip can be heard, empty where it can."""

    page: Path
    codec_problem: str


def write_report(dataset: Path, records: Sequence[CommitRecord], statistics: Statistics, where: str | None = None) -> Report:
    """Write `metadata/report/`. The index is replaced after all that it links, so an old one stays whole until then."""
    report, rows = dataset / "metadata" / "report", statistics.rows
    files.make_folder(report)
    for folder in (report, report / AUDIO):
        files.sweep(folder)  # what a killed run left
    chosen = choose_rows(rows, statistics.rule.seed)
    ends = choose_extremes(scores(rows, statistics.manifest))
    listing = speakers.plan(statistics)
    wanted = [*chosen, *(row for end in ends for row in (*end.lowest, *end.highest)), *listing.rows]
    details = fetch(dataset, records, rows, wanted)
    codec, problem = load_codec(statistics.manifest) if chosen else (None, "")
    sounds = Sounds(dataset, report, statistics.manifest, records, codec)
    heard = [sounds.sample(details[row], (RECORDING, ROUND_TRIP)) for row in chosen]
    heard.sort(key=lambda sample: (sample.group, sample.speaker, sample.utterance))
    name = dataset.resolve().name
    written = set()
    for file, page in itertools.chain(
        extremes.pages(name, ends, statistics, lambda row: sounds.sample(details[row])),
        speakers.pages(name, listing, statistics, lambda row, heard: sounds.sample(details[row], (RECORDING,) if heard else ())),
        [(INDEX, render(name, statistics, heard, problem, listing, where))],
    ):
        files.write_atomically(report / file, page)
        written.add(file)
    sounds.remove_stale()
    for path in report.glob("*.html"):
        if path.name not in written:
            files.discard(path)
    return Report(report / INDEX, problem)


def render(name: str, statistics: Statistics, heard: Sequence[Sample], problem: str, listing: speakers.Listing, where: str | None) -> bytes:
    """The index."""
    bodies = (
        tag("div", None, extremes.link(statistics), tag("div", {"class": "figures"}, *(histogram_figure(histogram) for histogram in statistics.histograms))),
        _listen(heard, problem),
        _speakers(statistics.speakers, listing),
        _groups(statistics),
        _phones(statistics),
        _quarantine(statistics),
    )
    sections = [tag("section", {"id": _anchor(title)}, tag("h2", None, title), body) for title, body in zip(SECTIONS, bodies, strict=True)]
    return document(f"{name} - data set report", _header(name, statistics, where), *sections)


def _anchor(title: str) -> str:
    return title.split()[0].lower()


def _header(name: str, statistics: Statistics, where: str | None) -> Markup:
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
        tag("p", {"class": "warn"}, f"Only utterances where {where}.") if where else None,
        tag("nav", None, *(tag("a", {"href": f"#{_anchor(title)}"}, title) for title in SECTIONS)),
        tag("div", {"class": "tiles"}, *(tag("div", {"class": "tile"}, tag("b", None, value), tag("span", None, label)) for label, value in tiles)),
    )


def _listen(heard: Sequence[Sample], problem: str) -> Markup:
    if not heard:
        return tag("p", {"class": "quiet"}, "No utterances.")
    warning = tag("p", {"class": "warn"}, f"No codec round trip. {problem}") if problem else None
    return tag("div", None, warning, tag("div", {"class": "samples"}, *(card(sample) for sample in heard)))


STATISTICS_COLUMNS = {
    "utterances": "num_utterances",
    "validation": "num_validation",
    "test": "num_test",
    "speech": "hours",
    "mean s": "mean_duration_s",
    "min s": "min_duration_s",
    "max s": "max_duration_s",
    "phones/s": "phones_per_s",
}
TEXTS = ("speaker", "group", "language", "corpus")


def _statistics_table(found: pa.Table, keys: dict[str, str], links: Sequence[str] = ()) -> Markup:
    """`keys` and STATISTICS_COLUMNS of `found` as a table; `keys`: heading -> column. The first column of row i leads to `links[i]`, where there is one."""
    columns = keys | {heading: column for heading, column in STATISTICS_COLUMNS.items() if column != "num_test" or any(found["num_test"].to_pylist())}
    kinds = {heading: "" if column in TEXTS else "n" for heading, column in columns.items()}
    rows = [[_cell(column, row[column]) for column in columns.values()] for row in found.to_pylist()]
    for cells, link in zip(rows, links, strict=False):
        cells[0] = tag("a", {"href": link}, cells[0] if cells[0] != "" else "(no name)")
    return table(kinds, rows)


def _cell(column: str, value: str | int | float) -> Markup | str | int | float:
    return amount_of_time(value) if column == "hours" and not isinstance(value, str) else value


def _speakers(found: pa.Table, listing: speakers.Listing) -> Markup:
    shown = listing.speakers.slice(0, MOST_SPEAKERS)
    rest = found.num_rows - shown.num_rows
    note = f"The {MOST_SPEAKERS} with most hours; {rest:,} more are on the pages of speakers and in metadata/speakers.parquet." if rest else None
    single = sum(count == 1 for count in found["num_utterances"].to_pylist())
    alone = f"{single:,} with a single utterance: there is no other to prompt with." if single else None
    notes = [tag("p", {"class": "quiet"}, sentence) for sentence in (note, alone) if sentence]
    links = [listing.address(place) for place in range(shown.num_rows)]
    return tag("div", None, *notes, _statistics_table(shown, {"speaker": "speaker", "group": "group"}, links))


def _groups(statistics: Statistics) -> Markup:
    groups = statistics.groups.slice(0, MOST_SPEAKERS)
    tables = ((groups, "group"), (statistics.languages, "language"), (statistics.corpora, "corpus"))
    return tag("div", None, *(_statistics_table(found, {column: column, "speakers": "num_speakers"}) for found, column in tables))


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
