"""What a command prints: JSON lines for programs, text for people, the same in the log file."""

import io
import json
from pathlib import Path

import pytest

from pipelines.console import Console, printable
from pipelines.run_log import RunLog
from valle_data.errors import UsageError


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def json_console(interval_s: float = 5.0) -> tuple[Console, io.StringIO, Clock]:
    out, clock = io.StringIO(), Clock()
    return Console(as_json=True, stdout=out, stderr=io.StringIO(), interval_s=interval_s, clock=clock), out, clock


def events(out: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_json_lines():
    console, out, _ = json_console()
    console.info("a\nb \ud800 ˈ")
    console.warning("careful")
    console.table("T", ("name", "count"), [("x", 1), ("y", None)])
    console.table("empty", ("name",), [])
    console.result({"loss": float("nan"), "path": Path("a")}, "for people")
    found = events(out)
    assert [event["event"] for event in found] == ["info", "warning", "table", "table", "result"]
    assert found[0]["message"] == "a\nb \ud800 ˈ"
    assert found[2]["rows"] == [{"name": "x", "count": 1}, {"name": "y", "count": None}] and found[3]["rows"] == []
    assert found[4]["loss"] == "nan" and found[4]["path"] == "a"


def test_progress_writes_one_line_per_interval_and_the_last_state():
    console, out, clock = json_console(interval_s=5)
    with console.progress(10, "Work", "parts") as progress:
        for _ in range(10):
            clock.now_s += 2
            progress.advance(counts={"quarantined": 3})
    found = events(out)
    assert [event["done"] for event in found] == [3, 6, 9, 10]
    assert found[0]["remaining_s"] == pytest.approx(14) and found[0]["elapsed_s"] == 6 and found[0]["quarantined"] == 3
    assert found[-1]["total"] == 10 and found[-1]["remaining_s"] == 0


def test_progress_of_nothing_and_of_an_unknown_total():
    console, out, _ = json_console()
    with console.progress(0, "Nothing", "parts"):
        pass
    with console.progress(None, "Unknown", "lines") as progress:
        progress.advance(2)
    assert [(event["done"], event["total"], event["remaining_s"]) for event in events(out)] == [(0, 0, None), (2, None, None)]


def test_the_remaining_time_counts_this_run_only():
    console, out, clock = json_console(interval_s=0)
    with console.progress(100, "Resumed", "parts") as progress:
        progress.resume_at(90)
        clock.now_s = 8
        progress.advance(1)
        assert progress.remaining_s == pytest.approx(72)
    assert events(out)[-1]["done"] == 91


def test_waiting_keeps_the_lines_coming_and_a_failure_shows_the_last_state():
    console, out, clock = json_console(interval_s=5)
    with pytest.raises(KeyError), console.progress(2, "Work", "parts") as progress:
        clock.now_s = 6
        progress.advance(0)
        progress.advance(1)
        raise KeyError
    assert [event["done"] for event in events(out)] == [0, 1]


def test_text_for_people_escapes_what_would_steer_the_terminal():
    out = io.StringIO()
    console = Console(stdout=out, stderr=io.StringIO())
    console.info("a\x1b[31m\udcff.wav [bold]x[/bold]")
    console.warning("w")
    console.table("Title", ("name", "[n]"), [("x[/]\x07", 1234567), ("y", 0.00012345)])
    text = out.getvalue()
    assert "a\\x1b[31m\\udcff.wav [bold]x[/bold]\nWarning: w\n" in text
    assert "x[/]\\x07" in text and "1,234,567" in text and "0.0001234" in text and "[n]" in text
    assert printable("ok\n\tˈa") == "ok\n\tˈa"


def test_a_terminal_gets_a_bar_with_messages_above_it():
    out, clock = Terminal(), Clock()
    console = Console(stdout=out, stderr=io.StringIO(), clock=clock)
    with console.progress(4, "Preparing [x]", "parts") as progress:
        clock.now_s = 10
        progress.advance(2, {"loss": 0.5})
        console.info("a message")
        progress.advance(2)
    console.info("after")
    text = out.getvalue()
    assert "Preparing [x]" in text and "4/4 parts" in text and "loss 0.5" in text and "a message" in text and text.endswith("after\n")


def test_output_is_verbatim_in_every_mode():
    for as_json in (False, True):
        out = io.StringIO()
        Console(as_json=as_json, stdout=out).output("a: [1]\n")
        assert out.getvalue() == "a: [1]\n"


def test_everything_goes_to_the_log_file(tmp_path):
    path = tmp_path / "new" / "run.log"
    with RunLog(path) as log:
        clock = Clock()
        console = Console(as_json=True, log=log, stdout=io.StringIO(), stderr=io.StringIO(), interval_s=1, clock=clock)
        console.info("first\nsecond line")
        console.error("wrong", 2)
        console.table("T", ("a",), [(1,)])
        with console.progress(3, "Work", "parts") as progress:
            clock.now_s = 2
            progress.advance(1)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line.split(" ", 1)[1] for line in lines if not line.startswith("    ")] == [
        "info first",
        "error wrong",
        "table T",
        "progress Work: 1/3 parts",
        "progress Work: 1/3 parts",
    ]
    assert lines[1] == "    second line"


def test_a_log_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"The log file .*file/run\.log cannot be written: .* Name another one with --log-file\."):
        RunLog(tmp_path / "file" / "run.log")


def test_a_traceback_finds_a_file_without_a_log():
    with RunLog(None) as log:
        path = log.keep_traceback(KeyError("why"), "config ls")
    assert path is not None and "KeyError: 'why'" in path.read_text()
    path.unlink()
