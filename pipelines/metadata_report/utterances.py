"""How an utterance looks on a page: who, what is said, and players."""

from pipelines.metadata_report.html import Markup, tag
from pipelines.metadata_report.samples import Player, Sample


def card(sample: Sample, *, heading: str | None = None) -> Markup:
    """Everything known of an utterance; `heading` in place of speaker, group and language."""
    where = f"{sample.speaker} · {sample.group} · {sample.language} · {sample.duration_s:.1f} s"
    return tag(
        "div",
        {"class": "sample"},
        tag("h3", None, heading or where),
        tag("p", {"class": "quiet"}, where) if heading else None,
        tag("p", {"dir": "auto"}, sample.text.strip()),
        tag("p", {"class": "phones"}, "".join(sample.phones)),
        tag("p", {"class": "quiet"}, tag("code", None, sample.utterance)),
        tag("div", {"class": "players"}, *(player(label, sound) for label, sound in sample.players)),
    )


def player(label: str, sound: Player) -> Markup:
    """An audio element, or why there is none."""
    if sound.address is None:
        return tag("div", None, tag("span", {"class": "quiet"}, label), tag("p", {"class": "warn"}, sound.problem or "Not there."))
    element = tag("audio", {"controls": "controls", "preload": "metadata", "src": sound.address, "aria-label": label}, "")
    return tag("div", None, tag("span", {"class": "quiet"}, label), element)
