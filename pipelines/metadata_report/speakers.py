"""Pages of speakers, fifty to a page, those with most speech first: figures, scores against the whole data set, and what they say.

Bounds: 20,000 speakers have an entry, 200 of them a sound; the rest is in metadata/speakers.parquet.
"""

# pyarrow makes its compute functions when it is imported, where pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from pipelines.metadata_report.choose import choose_of_each_speaker, join_people
from pipelines.metadata_report.html import Markup, amount_of_time, join, number, tag
from pipelines.metadata_report.samples import Sample
from pipelines.metadata_report.shell import document, subpage_header
from pipelines.metadata_report.utterances import player
from pipelines.metadata_tables.statistics import PERSON, Statistics
from valle_data.shards.manifest import DatasetManifest

SPEAKERS_PER_PAGE = 50
MOST_SPEAKERS = 20_000
MOST_HEARD = 200
EXAMPLES = 3
NEAR = 3
"""Pages on either side of the present one that are linked by their number."""


@dataclass(frozen=True)
class Listing:
    """`speakers` in the order of the pages; `examples` are row numbers by PERSON; `means` of every score by PERSON and of all."""

    speakers: pa.Table
    examples: Mapping[str, Sequence[int]]
    means: Mapping[str, Mapping[str, float | None]]
    overall: Mapping[str, float | None]

    @property
    def num_pages(self) -> int:
        return -(-self.speakers.num_rows // SPEAKERS_PER_PAGE)

    @cached_property
    def people(self) -> list[str]:
        return join_people(self.speakers).to_pylist()

    @property
    def rows(self) -> list[int]:
        """Every row of which something is shown."""
        return [row for person in self.people for row in self.examples.get(person, ())]

    def address(self, place: int) -> str:
        """Where the speaker at `place` in the listing is."""
        return f"{page_name(place // SPEAKERS_PER_PAGE)}#s{place + 1}"


def page_name(page: int) -> str:
    return f"speakers-{page + 1:04d}.html"


def plan(statistics: Statistics) -> Listing:
    """Who is listed, in which order, with which utterances."""
    found = statistics.speakers.sort_by([("hours", "descending"), ("group", "ascending"), ("speaker", "ascending")]).slice(0, MOST_SPEAKERS)
    names = _scores(statistics.manifest)
    rows = statistics.rows.select([PERSON, *names])
    grouped = rows.group_by([PERSON], use_threads=False).aggregate([(name, "mean") for name in names]).to_pylist()
    means = {row[PERSON]: {name: row[f"{name}_mean"] for name in names} for row in grouped}
    overall = rows.group_by([]).aggregate([(name, "mean") for name in names]).to_pylist() if names else []
    whole = {name: overall[0][f"{name}_mean"] for name in names} if overall else {}
    return Listing(found, choose_of_each_speaker(statistics.rows, statistics.rule.seed, EXAMPLES), means, whole)


def _scores(manifest: DatasetManifest) -> list[str]:
    return [name for name, kind in manifest.columns.items() if kind == "float"]


def pages(name: str, listing: Listing, statistics: Statistics, show: Callable[[int, bool], Sample]) -> Iterator[tuple[str, bytes]]:
    """File name and page after page; `show` makes the sample of a row, with a player or without."""
    entries = listing.speakers.to_pylist()
    for page in range(listing.num_pages):
        first = page * SPEAKERS_PER_PAGE
        last = min(first + SPEAKERS_PER_PAGE, len(entries))
        left_out = statistics.totals.num_speakers - len(entries)
        rest = f" {left_out:,} more with less speech are in metadata/speakers.parquet only." if left_out else ""
        header = subpage_header(name, f"Speakers {first + 1:,} to {last:,} of {statistics.totals.num_speakers:,}", f"Those with most speech come first.{rest}")
        pager = _pager(page, listing.num_pages)
        bodies = [_entry(place, entries[place], listing, show) for place in range(first, last)]
        yield page_name(page), document(f"{name} - speakers, page {page + 1}", header, pager, *bodies, pager)


def _pager(page: int, num_pages: int) -> Markup | None:
    if num_pages < 2:
        return None
    near = {0, num_pages - 1, *range(max(0, page - NEAR), min(num_pages, page + NEAR + 1))}
    links: list[Markup | str] = []
    before = -1
    for other in sorted(near):
        if other > before + 1:
            links.append(tag("span", {"class": "quiet"}, "…"))
        links.append(tag("b", None, str(other + 1)) if other == page else tag("a", {"href": page_name(other)}, str(other + 1)))
        before = other
    ends = [tag("a", {"href": page_name(other)}, label) for other, label in ((page - 1, "← previous"), (page + 1, "next →")) if 0 <= other < num_pages]
    return tag("nav", {"aria-label": "Pages"}, *links, *ends)


def _entry(place: int, speaker: Mapping[str, Any], listing: Listing, show: Callable[[int, bool], Sample]) -> Markup:
    person = listing.people[place]
    heldout = [f"{speaker[f'num_{split}']:,} for {split}" for split in ("validation", "test") if speaker[f"num_{split}"]]
    figures = [
        f"{speaker['num_utterances']:,} utterances",
        *heldout,
        f"{amount_of_time(speaker['hours'])} of speech",
        f"{number(speaker['min_duration_s'])} to {number(speaker['max_duration_s'])} s, mean {number(speaker['mean_duration_s'])} s",
        f"{number(speaker['phones_per_s'])} phones/s",
    ]
    rows = listing.examples.get(person, ())
    return tag(
        "section",
        {"class": "reason", "id": f"s{place + 1}"},
        tag("h3", None, f"{speaker['speaker'] or '(no name)'} · {speaker['group']}"),
        tag("p", None, " · ".join(figures)),
        _scores_of(listing, person),
        tag("ul", None, *(_example(show(row, heard)) for heard, row in zip([place < MOST_HEARD, *[False] * EXAMPLES], rows, strict=False))) if rows else None,
    )


def _scores_of(listing: Listing, person: str) -> Markup | None:
    """Means of this speaker, and of the whole data set in brackets."""
    found = listing.means.get(person, {})
    shown = [f"{name} {number(found.get(name))} ({number(listing.overall.get(name))})" for name in listing.overall]
    return tag("p", {"class": "quiet"}, "Means, in brackets of all: ", " · ".join(shown)) if shown else None


def _example(sample: Sample) -> Markup:
    sounds = join(player(label, sound) for label, sound in sample.players)
    return tag("li", None, tag("span", {"dir": "auto"}, sample.text.strip()), " ", tag("code", {"class": "quiet"}, sample.utterance), sounds)
