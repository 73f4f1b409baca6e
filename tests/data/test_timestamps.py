"""Timestamps beside a recording, in every form, and what is wrong with bad ones."""

import json
from pathlib import Path

import pytest

from valle_data.errors import InputError, ReasonCode
from valle_data.records import AudioRef, Utterance
from valle_data.speech.timestamps import Timed, find_timestamps, given_timestamps, timestamps_digest

EXPECTED = [Timed(1.0, 2.5, "One two."), Timed(62.25, 64.0, "Three.")]
LONG_GRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 70
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 70
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 70
            text = "says ""no"" 12 times"
    item [2]:
        class = "TextTier"
        name = "bells"
        xmin = 0
        xmax = 70
        points: size = 1
        points [1]:
            number = 3.5
            mark = "ding"
    item [3]:
        class = "IntervalTier"
        name = "Sentences"
        xmin = 0
        xmax = 70
        intervals: size = 4
        intervals [1]:
            xmin = 0
            xmax = 1
            text = ""
        intervals [2]:
            xmin = 1
            xmax = 2.5
            text = "One two."
        intervals [3]:
            xmin = 2.5
            xmax = 62.25
            text = " "
        intervals [4]:
            xmin = 62.25
            xmax = 64
            text = "Three."
"""
SHORT_GRID = """"ooTextFile"
"TextGrid"
0
70
<exists>
1
"IntervalTier"
"who"
0
70
2
1
2.5
"One two."
62.25
64
"Three."
"""
WHISPER = {"text": "...", "segments": [{"id": 0, "start": 1.0, "end": 2.5, "text": " One two."}, {"start": 62.25, "end": 64.0, "text": "Three."}]}
VTT = """WEBVTT

NOTE 00:00:00.000 --> 00:00:01.000
nothing

00:01.000 --> 00:02.500 align:start
One two.

second
01:02.250 --> 01:04.000
<c.x>Three.</c>
"""
FORMS = {
    "json-list": (".json", json.dumps([{"start": 62.25, "end": 64, "text": "Three."}, {"start_s": 1, "end_s": 2.5, "text": " One two. "}])),
    "json-whisper": (".json", json.dumps(WHISPER)),
    "srt": (".srt", "1\r\n00:00:01,000 --> 00:00:02,500\r\n<i>One</i>\r\ntwo.\r\n\r\n2\r\n00:01:02,250 --> 00:01:04,000\r\n{\\an8}Three.\r\n"),
    "vtt": (".vtt", VTT),
    "long TextGrid": (".TextGrid", LONG_GRID),
    "short TextGrid": (".TextGrid", SHORT_GRID),
    "lab": (".lab", "1.0 2.5 One two.\n2.5 62.25\n62.25 64.0 Three.\n"),
    "htk lab": (".lab", "0 10000000 sil\n10000000 25000000 One two.\n25000000 622500000 pau\n622500000 640000000 Three.\n"),
}  # fmt: skip


def utterance(folder: Path, **extra: str) -> Utterance:
    return Utterance("u", AudioRef(str(folder / "talk.wav")), "", "s", "g", "en", extra)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_says_the_same(form: str, tmp_path: Path) -> None:
    suffix, text = FORMS[form]
    (tmp_path / f"talk{suffix}").write_text(text, encoding="utf-8", newline="")
    assert given_timestamps(utterance(tmp_path)) == EXPECTED


def test_speakers_and_languages_come_along(tmp_path: Path) -> None:
    (tmp_path / "talk.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.500\n<v.loud Ann Lee>One two.</v>\n", encoding="utf-8")
    assert given_timestamps(utterance(tmp_path)) == [Timed(1.0, 2.5, "One two.", "Ann Lee")]
    (tmp_path / "talk.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.500\n<v Q&amp;A>this &amp; that &lt;3\n", encoding="utf-8")
    assert given_timestamps(utterance(tmp_path)) == [Timed(1.0, 2.5, "this & that <3", "Q&A")]
    rows = json.dumps([{"start": 0, "end": 1, "speaker": "bob", "language": "de"}])
    assert given_timestamps(utterance(tmp_path, segments=rows)) == [Timed(0.0, 1.0, "", "bob", "de")], "what the corpus says goes before a file"


def test_praat_writes_utf_16_too(tmp_path: Path) -> None:
    (tmp_path / "talk.TextGrid").write_text(SHORT_GRID.replace("One two.", "Größe"), encoding="utf-16")
    assert given_timestamps(utterance(tmp_path))[0].text == "Größe"


@pytest.mark.parametrize(
    ("name", "text"), [("talk.lab", "just the transcript"), ("talk.json", '{"title": "a talk", "duration": 3}'), ("talk.json", "[]"), ("other.srt", "")]
)
def test_what_has_no_times_is_none(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert find_timestamps(str(tmp_path / "talk.wav")) is None and given_timestamps(utterance(tmp_path)) == []
    assert timestamps_digest(utterance(tmp_path)) == ""


def test_the_digest_follows_the_file(tmp_path: Path) -> None:
    path = tmp_path / "talk.srt"
    path.write_text(FORMS["srt"][1], encoding="utf-8")
    first = timestamps_digest(utterance(tmp_path))
    path.write_text(FORMS["srt"][1].replace("Three", "Four"), encoding="utf-8")
    assert first and timestamps_digest(utterance(tmp_path)) not in ("", first)


BAD = [
    (".json", '[{"start": 2, "end": 1}]', "one goes from 2 to 1 s"),
    (".json", '[{"start": -1, "end": 1}]', "one goes from -1 to 1 s"),
    (".json", '[{"start": "2", "end": 3}]', "segment 0 has `start` and `end` in seconds; this has '2' and 3"),
    (".json", '[{"start": 1, "end": Infinity}]', "one goes from 1 to inf s"),
    (".json", '[{"start": 1, "end": NaN}]', "one goes from 1 to nan s"),
    (".json", '[{"start": 1, "end": 2, "text": 3}]', "segment 0: text, speaker and language are strings"),
    (".json", "[[1, 2]]", r"segment 0 is an object with `start` and `end`; this is \[1, 2\]"),
    (".json", '{"segments": 3}', "`segments` is a list of objects with `start` and `end`; this is int"),
    (".json", "[" * 100_000, "it is not JSON"),
    (".srt", "1\n00:00:01 --> later\nOne\n", "a cue has times such as 00:01:02.500 --> 00:01:04.000; this has '00:00:01 --> later'"),
    (".TextGrid", LONG_GRID.replace("Sentences", "phones"), "these are 'words', 'phones'. Rename it"),
    (".TextGrid", SHORT_GRID.replace('"Three."\n', ""), "this TextGrid breaks off"),
    (".TextGrid", "hello", "this TextGrid breaks off"),
    (".TextGrid", SHORT_GRID.replace("TextGrid", "Pitch"), "this is no TextGrid"),
    (".lab", "1.0 2.0 One\nTwo\n", "line 2 is `start end text`; this is 'Two'"),
]  # fmt: skip


@pytest.mark.parametrize(("suffix", "text", "message"), BAD, ids=[message[:40] for _, _, message in BAD])
def test_bad_timestamps_are_named(suffix: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / f"talk{suffix}").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        given_timestamps(utterance(tmp_path))
    assert caught.value.reason is ReasonCode.BAD_TIMESTAMPS and "talk" in str(caught.value)


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "talk.srt").write_bytes(b"1\n\xff\xfa")
    with pytest.raises(InputError, match="timestamps are UTF-8 or UTF-16; byte 2 is neither"):
        given_timestamps(utterance(tmp_path))
