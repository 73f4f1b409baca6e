"""Histograms as inline SVG: no script, no font, no library; colours come from the page, so dark and light both work."""

from pipelines.metadata_report.html import Markup, number, tag, text
from pipelines.metadata_tables.histograms import Histogram, nice_step

WIDTH, HEIGHT = 520, 190
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 10, 24
NUM_TICKS = 6


def histogram_figure(histogram: Histogram) -> Markup:
    """The chart of one quantity, with its range, mean and what lies outside below it."""
    heading = tag("h3", None, histogram.name + (f" [{histogram.unit}]" if histogram.unit else ""))
    if not histogram.num_values:
        return tag("figure", None, heading, tag("p", {"class": "quiet"}, f"No values: {histogram.num_missing:,} missing."))
    return tag("figure", None, heading, _svg(histogram), tag("figcaption", None, _caption(histogram)))


def _caption(histogram: Histogram) -> str:
    values = (("min", histogram.minimum), ("median", histogram.median), ("mean", histogram.mean), ("max", histogram.maximum))
    sentence = " · ".join(f"{name} {number(value)}" for name, value in values)
    outside = (("below the chart", histogram.num_below), ("above the chart", histogram.num_above), ("missing", histogram.num_missing))
    return sentence + "".join(f" · {count:,} {where}" for where, count in outside if count)


def _svg(histogram: Histogram) -> Markup:
    low, high, most = histogram.edges[0], histogram.edges[-1], max(*histogram.counts, 1)
    y_step = max(nice_step(most / 3), 1)
    top = y_step * -(-most // y_step)
    plot_width, plot_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(value: float) -> float:
        return round(LEFT + (value - low) / (high - low) * plot_width, 2)

    def y(count: float) -> float:
        return round(TOP + plot_height * (1 - count / top), 2)

    parts: list[Markup] = []
    for index in range(int(top // y_step) + 1):
        count = index * y_step
        parts.append(tag("line", {"class": "grid", "x1": LEFT, "x2": WIDTH - RIGHT, "y1": y(count), "y2": y(count)}))
        parts.append(tag("text", {"class": "tick", "x": LEFT - 6, "y": y(count) + 4, "text-anchor": "end"}, text(number(int(count)))))
    for start, end, count in zip(histogram.edges, histogram.edges[1:], histogram.counts, strict=False):
        if count:
            label = tag("title", None, f"{start:g} to {end:g}{f' {histogram.unit}' if histogram.unit else ''}: {count:,}")
            place = {
                "class": "bar",
                "x": x(start) + 0.5,
                "y": y(count),
                "width": max(x(end) - x(start) - 1, 0.5),
                "height": round(TOP + plot_height - y(count), 2),
            }
            parts.append(tag("rect", place, label))
    step = nice_step((high - low) / NUM_TICKS)
    tick = -(-low // step)
    while tick * step <= high + step * 1e-6:
        parts.append(tag("text", {"class": "tick", "x": x(tick * step), "y": HEIGHT - 6, "text-anchor": "middle"}, text(f"{round(tick * step, 9):g}")))
        tick += 1
    described = f"Histogram of {histogram.name}: {_caption(histogram)}"
    return tag("svg", {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "role": "img", "aria-label": described}, *parts)
