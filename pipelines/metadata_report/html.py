"""HTML as nested calls. Whatever is no `Markup` is text and gets escaped, so no path or transcript can become part of the page."""

from collections.abc import Iterable, Mapping
from html import escape

from pipelines.console import printable

VOID = frozenset({"meta", "img", "br", "hr", "line", "rect"})


class Markup(str):
    """Text that is HTML already. Only `tag`, `join` and `style` make it."""

    __slots__ = ()


def text(value: str) -> Markup:
    """Escaped, control and formatting characters (line breaks too) shown as escapes."""
    return Markup(escape(printable(value).replace("\n", "\\n").replace("\t", "\\t"), quote=True))


def tag(name: str, attributes: Mapping[str, str | int | float] | None = None, *children: Markup | str | int | float | None) -> Markup:
    """`<name attributes>children</name>`; a child that is None is left out, a number is written with separators for thousands."""
    opening = name + "".join(f' {key}="{text(_plain(value))}"' for key, value in (attributes or {}).items())
    if name in VOID and not children:
        return Markup(f"<{opening}>" if name in ("meta", "br", "hr", "img") else f"<{opening}/>")
    return Markup(f"<{opening}>{join(children)}</{name}>")


def join(children: Iterable[Markup | str | int | float | None]) -> Markup:
    """Children one after another."""
    return Markup("".join(_child(child) for child in children if child is not None))


def style(sheet: str) -> Markup:
    """A style sheet of this package, put into the page as it is."""
    return Markup(f"<style>\n{sheet}</style>")


def number(value: float | int | None, digits: int = 2) -> str:
    """`12,345`, `3.14`, or a dash for nothing."""
    if value is None or value != value:  # NaN is what differs from itself
        return "–"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.{digits}f}"


def amount_of_time(hours: float) -> str:
    """`12,345 h`, `1.5 h`, `3.2 min` or `4.0 s`."""
    if hours >= 1:
        return f"{hours:,.1f} h" if hours < 100 else f"{hours:,.0f} h"
    return f"{hours * 60:.1f} min" if hours * 60 >= 1 else f"{hours * 3600:.1f} s"


def table(columns: Mapping[str, str], rows: Iterable[Iterable[Markup | str | int | float | None]]) -> Markup:
    """A table that scrolls by itself when it is wide. `columns`: heading -> class of its cells ("n" for numbers, right-aligned)."""
    head = tag("tr", None, *(tag("th", {"scope": "col", **({"class": kind} if kind else {})}, heading) for heading, kind in columns.items()))
    kinds = list(columns.values())
    body = [tag("tr", None, *(tag("td", {"class": kind} if kind else None, cell) for kind, cell in zip(kinds, row, strict=True))) for row in rows]
    return tag("div", {"class": "scroll"}, tag("table", None, tag("thead", None, head), tag("tbody", None, *body)))


def _plain(value: str | int | float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _child(child: Markup | str | int | float) -> str:
    if isinstance(child, Markup):
        return child
    return text(child if isinstance(child, str) else number(child))
