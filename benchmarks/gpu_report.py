"""What `benchmarks/gpu.py` finds: figures with their goals, as lines of JSON from a section's process and as rows of the table."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from record import median_and_spread

COLUMNS = ("#", "what", "ours", "peer", "peer is", "times better", "target", "reached")


@dataclass(frozen=True)
class Goal:
    """What a figure should reach: how many times better than the peer, and its own value."""

    times_better: float | None = None
    at_least: float | None = None
    at_most: float | None = None

    def __str__(self) -> str:
        parts = [f">= {self.times_better:g}x"] if self.times_better is not None else []
        parts += [f">= {self.at_least:g}"] if self.at_least is not None else []
        parts += [f"<= {self.at_most:g}"] if self.at_most is not None else []
        return ", ".join(parts) or "-"

    def reached(self, value: float, times_better: float | None) -> bool:
        """Whether all of it holds; a comparison that was not made holds nothing."""
        return (
            (self.times_better is None or (times_better is not None and times_better >= self.times_better))
            and (self.at_least is None or value >= self.at_least)
            and (self.at_most is None or value <= self.at_most)
        )


@dataclass(frozen=True)
class Figure:
    """One row. `ours` and `peer` hold one value a round, of the same rounds; no `peer` values where the goal is a number.

    `judged` is false where the goal was set for another size or device; `essential` figures fail the program when they are missed.
    """

    number: str
    what: str
    unit: str
    ours: tuple[float, ...]
    peer_name: str = ""
    peer: tuple[float, ...] = ()
    more_is_better: bool = True
    goal: Goal = field(default_factory=Goal)
    judged: bool = True
    essential: bool = False

    @property
    def times_better(self) -> tuple[float, ...]:
        """Round by round, how many times better ours is."""
        pairs = zip(self.ours, self.peer, strict=False)
        return tuple((a / b if self.more_is_better else b / a) for a, b in pairs)

    @property
    def reached(self) -> bool | None:
        """None where there is nothing to judge."""
        if not self.judged or self.goal == Goal():
            return None
        return self.goal.reached(statistics.median(self.ours), statistics.median(self.times_better) if self.peer else None)

    def cells(self) -> tuple[str, ...]:
        """The row under `COLUMNS`."""
        unit = f" {self.unit}" if self.unit else ""
        verdict = {True: "yes", False: "NO", None: "not judged"}[self.reached]
        peer, times = (_cell(self.peer, unit), _cell(self.times_better, "x")) if self.peer else ("-", "-")
        return (self.number, self.what, _cell(self.ours, unit), peer, self.peer_name or "-", times, str(self.goal), verdict)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        known = {**data, "ours": tuple(data["ours"]), "peer": tuple(data["peer"]), "goal": Goal(**data["goal"])}
        return cls(**known)


@dataclass(frozen=True)
class Findings:
    """What a section has written down: figures, remarks for the record, and facts about the device."""

    figures: tuple[Figure, ...]
    remarks: tuple[str, ...]
    facts: dict[str, Any]


class Notebook:
    """A file of JSON lines that a section adds to while it runs, so that a section stopped midway keeps what it has measured."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def figure(self, figure: Figure) -> None:
        self._add("figure", asdict(figure))
        print(f"  {figure.number:8} {figure.what}: {' | '.join(figure.cells()[2:])}", flush=True)

    def remark(self, sentence: str) -> None:
        self._add("remark", sentence)
        print(f"  {sentence}", flush=True)

    def fact(self, name: str, value: object) -> None:
        self._add("fact", [name, value])

    def _add(self, kind: str, value: object) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([kind, value]) + "\n")

    def read(self) -> Findings:
        """Everything so far; a line that a killed process left half written is left out."""
        lines = self.path.read_text(encoding="utf-8").split("\n")[:-1] if self.path.exists() else []
        entries = [json.loads(line) for line in lines]
        return Findings(
            tuple(Figure.from_json(value) for kind, value in entries if kind == "figure"),
            tuple(value for kind, value in entries if kind == "remark"),
            dict(value for kind, value in entries if kind == "fact"),
        )


def _cell(values: Sequence[float], unit: str) -> str:
    return f"{values[0]:.3g}{unit}" if len(values) == 1 else median_and_spread(values, unit)


def text_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell."""
    widths = [max(len(line[place]) for line in (columns, *rows)) for place in range(len(columns))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in (columns, *rows))
