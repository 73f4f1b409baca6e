"""Where a command speaks: rich text and progress bars for a person, one JSON line per event for a program, and the log file for both.

A command gets one `Console` and prints through nothing else. Off a terminal `progress` writes a line every `interval_s` seconds of work.
"""

import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

from pipelines.run_log import RunLog

Cell = str | int | float | bool | None
PLAIN_WIDTH = 160


class Progress:
    """A count towards `total` (None: unknown). `advance(0)` while waiting keeps the display alive."""

    def __init__(self, total: float | None, report: Callable[["Progress", bool], None], clock: Callable[[], float]) -> None:
        self.total = total
        self.done: float = 0
        self.counts: dict[str, float | str] = {}
        self._report = report
        self._clock = clock
        self._started = clock()
        self._done_at_start: float = 0

    def resume_at(self, done: float) -> None:
        """Say how much an earlier run had finished, so that the remaining time is estimated from this run alone."""
        self.done = self._done_at_start = done
        self._report(self, False)

    def advance(self, num: float = 1, counts: Mapping[str, float | str] | None = None) -> None:
        """`num` more are done; `counts` are shown beside the bar and replace earlier ones of the same name."""
        self.done += num
        self.counts.update(counts or {})
        self._report(self, False)

    @property
    def elapsed_s(self) -> float:
        return self._clock() - self._started

    @property
    def remaining_s(self) -> float | None:
        """Estimated from the mean speed of this run; None before the first advance or without a total."""
        done_here = self.done - self._done_at_start
        if self.total is None or done_here <= 0:
            return None
        return max(0.0, (self.total - self.done) * self.elapsed_s / done_here)


class Console:
    """One per command. `as_json` chooses JSON lines on `stdout`; errors are a sentence on `stderr` either way."""

    def __init__(
        self,
        *,
        as_json: bool = False,
        log: RunLog | None = None,
        interval_s: float = 5.0,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.as_json = as_json
        self.log = log or RunLog(None)
        self.interval_s = interval_s
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr
        self._clock = clock
        self._print: Callable[[str], None] = self._write

    def info(self, message: str) -> None:
        """What a user wants to know as it happens."""
        self._say("info", message, message)

    def warning(self, message: str) -> None:
        """What a user should know even though the command goes on."""
        self._say("warning", message, f"Warning: {message}")

    def error(self, message: str, exit_code: int) -> None:
        """Why the command ends; the wrapper of all commands calls this."""
        self.log.write("error", message)
        if self.as_json:
            self._emit({"event": "error", "message": message, "exit_code": exit_code})
        self._stderr.write(printable(f"Error: {message}") + "\n")
        self._stderr.flush()

    def output(self, text: str) -> None:
        """A result that is text of its own (a configuration, a schema): written as it is in every mode."""
        self._stdout.write(text if text.endswith("\n") else text + "\n")
        self._stdout.flush()

    def result(self, values: Mapping[str, Any], text: str) -> None:
        """What a command ends with: `text` for a person, `values` for a program."""
        self.log.write("result", text)
        if self.as_json:
            self._emit({"event": "result", **values})
        else:
            self._print(printable(text))

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """A small table; a row has one cell for each column."""
        self.log.write("table", "\n".join([title, "\t".join(columns), *("\t".join(map(str, row)) for row in rows)]))
        if self.as_json:
            self._emit({"event": "table", "title": title, "rows": [dict(zip(columns, row, strict=True)) for row in rows]})
            return
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(title=title, title_justify="left", highlight=False, box=SIMPLE_HEAD)
        for column in columns:
            numeric = bool(rows) and all(isinstance(row[columns.index(column)], int | float) for row in rows)
            table.add_column(Text(column), justify="right" if numeric else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(printable(_cell(cell))) for cell in row))
        self._rich().print(table)

    @contextmanager
    def progress(self, total: float | None, description: str, unit: str) -> Iterator[Progress]:
        """Show work towards `total` of `unit`; the last state is always shown, also when the work fails."""
        with self._bar(total, description, unit) if self._on_terminal() else self._lines(description, unit) as report:
            progress = Progress(total, report, self._clock)
            report(progress, False)
            try:
                yield progress
            finally:
                report(progress, True)

    def _on_terminal(self) -> bool:
        return not self.as_json and self._stdout.isatty()

    def _say(self, level: str, logged: str, shown: str) -> None:
        self.log.write(level, logged)
        if self.as_json:
            self._emit({"event": level, "message": logged})
        else:
            self._print(printable(shown))

    def _emit(self, event: Mapping[str, Any]) -> None:
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **_finite(event)}
        self._write(json.dumps(line, default=str, allow_nan=False))

    def _write(self, line: str) -> None:
        self._stdout.write(line + "\n")
        self._stdout.flush()

    def _rich(self) -> Any:
        from rich.console import Console as RichConsole

        return RichConsole(file=self._stdout, width=None if self._on_terminal() else PLAIN_WIDTH)

    @contextmanager
    def _lines(self, description: str, unit: str) -> Iterator[Callable[[Progress, bool], None]]:
        """Progress as events, at most one in `interval_s` seconds and one at the end."""
        last = self._clock()

        def report(progress: Progress, final: bool) -> None:
            nonlocal last
            if final or self._clock() - last >= self.interval_s:
                last = self._clock()
                self._progress_event(progress, description, unit)

        yield report

    def _progress_event(self, progress: Progress, description: str, unit: str) -> None:
        event = {
            "event": "progress",
            "description": description,
            "done": round(progress.done, 3),
            "total": None if progress.total is None else round(progress.total, 3),
            "unit": unit,
            "elapsed_s": round(progress.elapsed_s, 1),
            "remaining_s": None if progress.remaining_s is None else round(progress.remaining_s, 1),
            **progress.counts,
        }
        self.log.write("progress", f"{description}: {_amount(progress)} {unit} {_counts(progress)}")
        if self.as_json:
            self._emit(event)

    @contextmanager
    def _bar(self, total: float | None, description: str, unit: str) -> Iterator[Callable[[Progress, bool], None]]:
        """A rich bar with elapsed and remaining time; messages printed meanwhile appear above it. The log file gets lines."""
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[amount]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]} {task.fields[counts]}", markup=False),
        )
        with RichProgress(*columns, console=self._rich()) as bar, self._lines(description, unit) as log_line:
            task = bar.add_task(description, total=total, amount="", left="", counts="")
            self._print = lambda text: bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

            def report(progress: Progress, final: bool) -> None:
                left = "" if progress.remaining_s is None or final else f"{_clock_text(progress.remaining_s)} left"
                bar.update(task, total=progress.total, completed=progress.done, amount=f"{_amount(progress)} {unit}", left=left, counts=_counts(progress))
                log_line(progress, final)

            try:
                yield report
            finally:
                self._print = self._write


def printable(text: str) -> str:
    """`text` with control characters and lone surrogates (undecodable bytes of file names) written as escapes."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else letter.encode("unicode_escape", "surrogatepass").decode() for letter in text)


def _cell(cell: Cell) -> str:
    if isinstance(cell, float):
        return f"{cell:,.4g}" if abs(cell) < 1000 else f"{cell:,.0f}"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return f"{cell:,}" if isinstance(cell, int) else "" if cell is None else cell


def _amount(progress: Progress) -> str:
    return f"{progress.done:,.0f}" if progress.total is None else f"{progress.done:,.0f}/{progress.total:,.0f}"


def _counts(progress: Progress) -> str:
    return "  ".join(f"{name} {value:,.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in progress.counts.items())


def _clock_text(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"


def _finite(value: Any) -> Any:
    """JSON has no NaN or infinity: they become text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
