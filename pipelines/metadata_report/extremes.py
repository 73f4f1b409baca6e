"""The page with the ends of every score: the lowest and the highest utterances, to read and to hear."""

from collections.abc import Callable, Iterator, Sequence

from pipelines.metadata_report.charts import histogram_figure
from pipelines.metadata_report.choose import NUM_EXTREMES, Extremes
from pipelines.metadata_report.html import Markup, number, tag
from pipelines.metadata_report.samples import Sample
from pipelines.metadata_report.shell import document, subpage_header
from pipelines.metadata_report.utterances import card
from pipelines.metadata_tables.statistics import Statistics

PAGE = "extremes.html"


def link(statistics: Statistics) -> Markup | None:
    """The way from the index to this page."""
    if not statistics.rows.num_rows:
        return None
    sentence = f"The {NUM_EXTREMES} lowest and highest utterances of every score"
    return tag("p", None, tag("a", {"href": PAGE}, sentence), ", to read and to hear.")


def pages(name: str, ends: Sequence[Extremes], statistics: Statistics, show: Callable[[int], Sample]) -> Iterator[tuple[str, bytes]]:
    """File name and page; `show` makes the sample of a row."""
    if not statistics.rows.num_rows:
        return
    contents = tag("nav", None, *(tag("a", {"href": f"#{_anchor(place)}"}, end.score.name) for place, end in enumerate(ends)))
    sections = [_section(place, end, statistics, show) for place, end in enumerate(ends)]
    nothing = None if ends else tag("p", {"class": "quiet"}, "No score differs between two utterances.")
    header = subpage_header(name, "Ends of every score", "What is worst lies at one end or the other. Look here before choosing a threshold for --where.")
    yield PAGE, document(f"{name} - ends of every score", header, contents, nothing, *sections)


def _anchor(place: int) -> str:
    return f"score{place}"


def _section(place: int, end: Extremes, statistics: Statistics, show: Callable[[int], Sample]) -> Markup:
    chart = next(histogram for histogram in statistics.histograms if histogram.name == end.score.name)
    return tag(
        "section",
        {"id": _anchor(place)},
        tag("h2", None, end.score.name),
        tag("div", {"class": "figures"}, histogram_figure(chart)),
        *(_list(title, end, rows, show) for title, rows in (("Lowest", end.lowest), ("Highest", end.highest)) if rows),
    )


def _list(title: str, end: Extremes, rows: Sequence[int], show: Callable[[int], Sample]) -> Markup:
    unit = f" {end.score.unit}" if end.score.unit else ""
    cards = [card(show(row), heading=f"{number(float(end.score.values[row]), 3)}{unit}") for row in rows]
    return tag("div", {"class": "ends"}, tag("h3", None, title), tag("div", {"class": "samples"}, *cards))
