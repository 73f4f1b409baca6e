"""What every page of the report has: head, policy, style, and the way back."""

from pathlib import Path

from pipelines.metadata_report.html import Markup, style, tag

# Nothing in a page may run or be fetched, whatever a transcript holds: sounds beside it and the style within it are all.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; media-src 'self' file:; base-uri 'none'; form-action 'none'"
INDEX = "index.html"


def document(title: str, *body: Markup | None) -> bytes:
    """A whole page as UTF-8."""
    head = tag(
        "head",
        None,
        tag("meta", {"charset": "utf-8"}),
        tag("meta", {"http-equiv": "Content-Security-Policy", "content": POLICY}),
        tag("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        tag("title", None, title),
        style((Path(__file__).parent / "style.css").read_text(encoding="utf-8")),
    )
    page = tag("html", {"lang": "en"}, head, tag("body", None, tag("main", None, *body)))
    return f"<!DOCTYPE html>\n{page}\n".encode()


def subpage_header(name: str, title: str, note: str) -> Markup:
    """The top of a page that the index links."""
    back = tag("nav", None, tag("a", {"href": INDEX}, f"← {name}"))
    return tag("header", None, back, tag("h1", None, title), tag("p", {"class": "quiet"}, note))
