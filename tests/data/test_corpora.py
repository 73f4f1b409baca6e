"""A folder of recordings becomes utterances; what does not is listed with its reason."""

import errno
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from valle_data.corpora import CORPORA
from valle_data.corpora.base import ListingProblem, utterance_id
from valle_data.corpora.folder.pattern import compile_pattern
from valle_data.errors import InputError, ReasonCode, UsageError
from valle_data.records import Utterance
from valle_data.shards.base import check_id

Folder = CORPORA["folder"]


def put(root: Path, path: str | bytes, text: str | bytes | None = "hello") -> None:
    """An empty recording (listing opens none) and its text."""
    name = os.path.join(os.fsencode(root), os.fsencode(path))
    os.makedirs(os.path.dirname(name), exist_ok=True)
    Path(os.fsdecode(name)).write_bytes(b"")
    if text is not None:
        Path(os.fsdecode(os.path.splitext(name)[0] + b".txt")).write_bytes(text.encode() if isinstance(text, str) else text)


@dataclass(frozen=True)
class Listing:
    """All that a folder holds, sorted."""

    utterances: list[Utterance]
    problems: list[ListingProblem]


def listing(root: Path, **config: object) -> Listing:
    entries = list(Folder(Folder.Config(root=root, **config)).entries())
    utterances = sorted((entry for entry in entries if isinstance(entry, Utterance)), key=lambda utterance: utterance.id)
    problems = sorted((entry for entry in entries if isinstance(entry, ListingProblem)), key=lambda problem: os.fsencode(problem.path))
    return Listing(utterances, problems)


def reasons(found: Listing) -> dict[str, ReasonCode]:
    return {os.path.basename(problem.path): problem.reason for problem in found.problems}


def test_path_says_who_speaks(tmp_path: Path) -> None:
    put(tmp_path, "train/anna/a.b.1.wav", "one\n")
    put(tmp_path, "train/bert/x.FLAC", "\ufefftwo")
    put(tmp_path, "dev/anna/x.mp3")
    (tmp_path / "train" / "notes.md").write_text("no recording")
    found = listing(tmp_path, language="de")
    assert found.problems == []
    seen = {(u.group, u.speaker, os.path.basename(u.audio.path), u.text.strip(), u.language) for u in found.utterances}
    assert seen == {("train", "anna", "a.b.1.wav", "one", "de"), ("train", "bert", "x.FLAC", "two", "de"), ("dev", "anna", "x.mp3", "hello", "de")}
    assert [u.id for u in found.utterances] == sorted(u.id for u in found.utterances)
    assert all(Path(u.audio.path).is_file() and u.audio.start_s == 0 and u.audio.duration_s is None for u in found.utterances)


def test_no_recordings(tmp_path: Path) -> None:
    assert listing(tmp_path) == Listing([], [])
    with pytest.raises(UsageError, match=r"`corpus\.root` names a folder"):
        listing(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("pattern", "path", "fields"),
    [
        ("{utterance}.{ext}", "a.b.wav", {"utterance": "a.b", "ext": "wav"}),
        ("{speaker}/{group}/{utterance}.{ext}", "s/g/u.wav", {"speaker": "s", "group": "g", "utterance": "u", "ext": "wav"}),
        ("{speaker}_{utterance}.{ext}", "p225_001_mic1.flac", {"speaker": "p225", "utterance": "001_mic1", "ext": "flac"}),
        ("{speaker}/{speaker}_{utterance}.wav", "a/a_1.wav", {"speaker": "a", "utterance": "1"}),
        ("{speaker}/{speaker}_{utterance}.wav", "a/b_1.wav", None),
        ("**/{speaker}/*/{utterance}.{ext}", "x/y/s/take2/u.wav", {"speaker": "s", "utterance": "u", "ext": "wav"}),
        ("**/{utterance}.{ext}", "u.wav", {"utterance": "u", "ext": "wav"}),
        ("{language}/{utterance}.{ext}", "de/line\nbreak.wav", {"language": "de", "utterance": "line\nbreak", "ext": "wav"}),
        ("{group}/{utterance}.{ext}", "u.wav", None),
        ("a+(b)/{utterance}.wav", "a+(b)/u.wav", {"utterance": "u"}),
    ],
)
def test_patterns(pattern: str, path: str, fields: dict[str, str] | None) -> None:
    match = compile_pattern(pattern).fullmatch(path)
    assert (match.groupdict() if match else None) == fields


@pytest.mark.parametrize(
    ("pattern", "words"),
    [("{speeker}/{utterance}.wav", "Did you mean 'speaker'"), ("{speaker/x.wav", "without its partner at character 1"), ("a}.wav", "partner")],
)
def test_wrong_patterns_are_refused_with_the_configuration(tmp_path: Path, pattern: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Folder.Config(root=tmp_path, pattern=pattern)


def test_missing_fields_take_the_configured_values(tmp_path: Path) -> None:
    put(tmp_path, "u.wav")
    (only,) = listing(tmp_path, pattern="{utterance}.{ext}", speaker="me", group="home", channel=1).utterances
    assert (only.speaker, only.group, only.audio.channel) == ("me", "home", 1)


def test_unmatched_paths_are_named_with_the_pattern(tmp_path: Path) -> None:
    put(tmp_path, "g/s/good.wav")
    for index in range(7):
        put(tmp_path, f"stray{index}.wav")
    found = listing(tmp_path)
    assert len(found.utterances) == 1 and set(reasons(found).values()) == {ReasonCode.UNMATCHED_PATH} and len(found.problems) == 7
    message = found.problems[0].message
    assert "'{group}/{speaker}/{utterance}.{ext}'" in message and message.count("stray") == 5
    for index in range(3, 7):
        (tmp_path / f"stray{index}.wav").unlink()
    found = listing(tmp_path)
    assert len(found.problems) == 3 and {problem.message.count("stray") for problem in found.problems} == {3}
    (tmp_path / "g/s/good.wav").unlink()
    with pytest.raises(UsageError, match=r"misses all 3 of the recordings, first: 'stray\d"):
        listing(tmp_path)


def test_texts_that_cannot_be_used(tmp_path: Path) -> None:
    put(tmp_path, "g/s/good.wav")
    put(tmp_path, "g/s/none.wav", None)
    put(tmp_path, "g/s/latin.wav", "café".encode("latin-1"))
    put(tmp_path, "g/s/huge.wav", "x" * ((1 << 20) + 1))
    put(tmp_path, "g/s/folder.wav", None)
    (tmp_path / "g/s/folder.txt").mkdir()
    put(tmp_path, "g/s/empty.wav", "")
    found = listing(tmp_path)
    assert reasons(found) == {
        "latin.wav": ReasonCode.TEXT_NOT_UTF8,
        "huge.wav": ReasonCode.TEXT_TOO_LONG,
    }
    texts = {os.path.basename(u.audio.path): u.text for u in found.utterances}
    assert texts == {"empty.wav": "", "folder.wav": "", "good.wav": "hello", "none.wav": ""}  # what becomes of a missing text is for the planner to say


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE])
def test_a_text_that_cannot_be_read_stops_the_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A disk that fails must not look like recordings without texts."""
    put(tmp_path, "g/s/a.wav")
    put(tmp_path, "g/s/b.wav")

    def failing(path: str, mode: str) -> BinaryIO:
        if path.endswith("b.txt"):
            raise OSError(number, os.strerror(number), path)
        return open(path, mode)  # type: ignore[return-value]

    monkeypatch.setattr("valle_data.corpora.reading.text.open", failing, raising=False)
    with pytest.raises(InputError, match=r"b\.txt' cannot be read: ") as caught:
        listing(tmp_path)
    assert caught.value.reason is ReasonCode.STORAGE_FAILED and os.strerror(number) in str(caught.value)


def test_other_text_names(tmp_path: Path) -> None:
    put(tmp_path, "g/s/u.wav", None)
    (tmp_path / "g/s/u.normalized.txt").write_text("spoken")
    assert listing(tmp_path, text_suffix=".normalized.txt").utterances[0].text == "spoken"


def test_globs(tmp_path: Path) -> None:
    for path in ("g/a/1.wav", "g/a/2.wav", "g/b/1.wav", "h/a/1.wav"):
        put(tmp_path, path)
    names = lambda **config: sorted(os.path.relpath(u.audio.path, tmp_path) for u in listing(tmp_path, **config).utterances)  # noqa: E731
    assert names(include=("g/*",)) == ["g/a/1.wav", "g/a/2.wav", "g/b/1.wav"]
    assert names(include=("g/*", "h/*"), exclude=("*/a/1.*",)) == ["g/a/2.wav", "g/b/1.wav"]
    assert names(extensions=("flac",)) == []


def test_directories_links_and_loops(tmp_path: Path) -> None:
    put(tmp_path, "g/s/u.wav")
    (tmp_path / "g/s/folder.wav").mkdir()
    (tmp_path / "g/s/loop.wav").symlink_to("loop.wav")
    (tmp_path / "g/s/dangling.wav").symlink_to("nowhere")
    (tmp_path / "g/s/up").symlink_to(tmp_path)
    (tmp_path / "g/linked").symlink_to(tmp_path / "g/s")
    (tmp_path / "g/s/.hidden.wav").write_bytes(b"")
    found = listing(tmp_path, exclude=("*/linked/[fld]*",))
    assert [os.path.relpath(u.audio.path, tmp_path) for u in found.utterances] == ["g/linked/u.wav", "g/s/u.wav"]
    assert reasons(found) == dict.fromkeys(("folder.wav", "loop.wav", "dangling.wav"), ReasonCode.NOT_AUDIO)
    assert "nowhere" in next(p.message for p in found.problems if "dangling" in p.path)


NAMES = [
    b"g/s/a b.wav",
    b"g/s/q\"'.wav",
    b"g/s/$(id).wav",
    b"g/s/line\nbreak.wav",
    b"g/s/-rf.wav",
    b"g/s/latin1-\xe9.wav",
    b"g/s/" + b"n" * 251 + b".wav",
    b"g/s/a...b.wav",
    b"\xff/\xfe/u.wav",
]


def test_any_name_gets_a_safe_stable_id_and_keeps_its_path(tmp_path: Path) -> None:
    for name in NAMES:
        put(tmp_path, name)
    found = listing(tmp_path)
    assert found.problems == [] and len({u.id for u in found.utterances}) == len(NAMES)
    for utterance in found.utterances:
        check_id(utterance.id)
        assert os.path.isfile(utterance.audio.path)
    assert {os.fsencode(os.path.relpath(u.audio.path, tmp_path)) for u in found.utterances} == set(NAMES)
    assert listing(tmp_path) == found


def test_ids_are_pinned() -> None:
    """Data sets on disk hold these: a changed rule would prepare everything again."""
    assert utterance_id("train/anna/001.wav") == "train_anna_001-6b1573670928279f"
    assert utterance_id("train/anna/001.flac") == utterance_id("train/anna/001.wav")
    assert utterance_id("Ä/ß.wav").startswith("a-") and utterance_id("你.wav").startswith("u-")
    stretches = {utterance_id("a.wav"), utterance_id("a.wav", 1.0), utterance_id("a.wav", 1.0, 2.0), utterance_id("a.wav", 0.0, 2.0), utterance_id("A.wav")}
    assert len(stretches) == 5


@given(st.lists(st.binary(min_size=1, max_size=60).filter(lambda name: b"\0" not in name and b"." not in name), unique=True, max_size=20))
def test_ids_are_safe_and_distinct(names: list[bytes]) -> None:
    ids = [utterance_id(os.fsdecode(name + b".wav")) for name in names]
    assert len(set(ids)) == len(names)
    for made in ids:
        check_id(made)
        assert made == made.lower() and len(made) <= 90


def test_unicode_twins_are_both_kept_out(tmp_path: Path) -> None:
    put(tmp_path, "g/s/caf\u00e9.wav")
    put(tmp_path, "g/s/cafe\u0301.wav")
    put(tmp_path, "g/s/other.wav")
    found = listing(tmp_path)
    assert len(found.utterances) == 1 and [p.reason for p in found.problems] == [ReasonCode.DUPLICATE_ID] * 2
    assert {"caf\\xe9" in p.message for p in found.problems} == {True, False}


def test_one_speaker_in_two_unicode_forms_is_one_speaker(tmp_path: Path) -> None:
    put(tmp_path, "g/Rene\u0301/1.wav")
    put(tmp_path, "g/Ren\u00e9/2.wav")
    assert {u.speaker for u in listing(tmp_path).utterances} == {"Ren\u00e9"}


def test_extensions_do_not_count_in_ids(tmp_path: Path) -> None:
    """The planner stops for two files with one id, and names both."""
    put(tmp_path, "g/s/u.wav")
    put(tmp_path, "g/s/u.flac")
    first, second = listing(tmp_path).utterances
    assert first.id == second.id and first.audio.path != second.audio.path


# --- tables


def table(root: Path, name: str, content: str | bytes) -> None:
    (root / name).write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.mark.parametrize("kind", ["jsonl", "csv", "tsv"])
def test_table_says_text_and_stretch(tmp_path: Path, kind: str) -> None:
    put(tmp_path, "long.wav", None)
    rows = [
        {
            "path": "long.wav",
            "text": 'one, "two"',
            "speaker": "a",
            "group": "g",
            "language": "de",
            "start_s": "0.5",
            "duration_s": "1.25",
            "channel": "1",
            "mood": "calm",
        },
        {"path": "./long.wav", "text": "three", "speaker": "b", "group": "", "language": "", "start_s": "", "duration_s": "", "channel": "", "mood": ""},
    ]
    if kind == "jsonl":
        table(tmp_path, "t.jsonl", "\n".join(json.dumps({k: v for k, v in row.items() if v}) for row in rows) + "\n\n")
    else:
        quote = lambda cell: '"' + cell.replace('"', '""') + '"'  # noqa: E731
        lines = [list(rows[0]), *(list(row.values()) for row in rows)]
        table(tmp_path, f"t.{kind}", "\ufeff" + "".join({"csv": ",", "tsv": "\t"}[kind].join(map(quote, line)) + "\r\n" for line in lines))
    found = listing(tmp_path, table=f"t.{kind}", pattern="{utterance}.{ext}", group="default")
    first, second = sorted(found.utterances, key=lambda u: u.speaker)
    assert (first.text, first.speaker, first.group, first.language, first.extra) == ('one, "two"', "a", "g", "de", {"mood": "calm"})
    assert (first.audio.start_s, first.audio.duration_s, first.audio.channel) == (0.5, 1.25, 1)
    assert (second.text, second.group, second.language, second.audio.start_s, second.audio.duration_s, second.extra) == (
        "three",
        "default",
        "en-us",
        0.0,
        None,
        {},
    )
    assert first.audio.path == second.audio.path and first.id != second.id and found.problems == []


@pytest.mark.parametrize(
    ("row", "reason", "words"),
    [
        ('{"path": "pipe:cat u.wav", "text": "x"}', ReasonCode.UNSAFE_MEMBER, "nothing was run or fetched"),
        ('{"path": "sph2pipe u.sph |", "text": "x"}', ReasonCode.UNSAFE_MEMBER, "a command or an address"),
        ('{"path": "https://host/u.wav", "text": "x"}', ReasonCode.UNSAFE_MEMBER, "a command or an address"),
        ('{"text": "x"}', ReasonCode.BAD_ROW, "no `path`"),
        ("{broken", ReasonCode.BAD_ROW, "is not JSON"),
        ('{"path": "u.wav", "text": "x", "start_s": ' + "1" * 5000 + "}", ReasonCode.BAD_ROW, "is not JSON"),
        ('{"path": "\\ud800.wav", "text": "x"}', ReasonCode.BAD_ROW, "half a character"),
        ('{"path": "u.wav", "text": "x", "mood": "\\ud800"}', ReasonCode.BAD_ROW, "half a character"),
        ('{"path": "u.wav", "text": "x", "\\ud800": "x"}', ReasonCode.BAD_ROW, "half a character"),
        ("[1]", ReasonCode.BAD_ROW, "list and not an object"),
        ('{"path": "/etc/passwd", "text": "x"}', ReasonCode.BAD_ROW, "stay below it"),
        ('{"path": "../u.wav", "text": "x"}', ReasonCode.BAD_ROW, "stay below it"),
        ('{"path": "u.wav", "text": 5}', ReasonCode.BAD_ROW, "text = 5"),
        ('{"path": "u.wav", "text": "x", "start_s": -1}', ReasonCode.BAD_ROW, "start_s = -1"),
        ('{"path": "u.wav", "text": "x", "duration_s": 0}', ReasonCode.BAD_ROW, "duration_s = 0"),
        ('{"path": "u.wav", "text": "x", "start_s": "NaN"}', ReasonCode.BAD_ROW, "finite"),
        ('{"path": "u.wav", "text": "x", "channel": "left"}', ReasonCode.BAD_ROW, "channel = 'left'"),
        ('{"path": "u.wav", "text": "\\ud800"}', ReasonCode.TEXT_NOT_UTF8, "text is not UTF-8"),
        (b'{"path": "u.wav", "text": "caf\xe9"}', ReasonCode.TEXT_NOT_UTF8, "character 4"),
    ],
)
def test_rows_that_cannot_be_used(tmp_path: Path, row: str | bytes, reason: ReasonCode, words: str) -> None:
    put(tmp_path, "good.wav", None)
    good = b'{"path": "good.wav", "text": "fine", "speaker": "s", "group": "g"}\n'
    table(tmp_path, "t.jsonl", good + (row.encode() if isinstance(row, str) else row))
    found = listing(tmp_path, table="t.jsonl")
    assert [u.text for u in found.utterances] == ["fine"]
    (problem,) = found.problems
    assert (problem.path, problem.reason) == ("t.jsonl:2", reason) and words in problem.message


def test_recordings_without_a_row_and_rows_off_the_pattern(tmp_path: Path) -> None:
    for name in ("listed.wav", "unlisted.wav", "stray.wav"):
        put(tmp_path, name, None)
    table(tmp_path, "t.csv", "path,text,speaker,group\nlisted.wav,hi,s,g\nstray.wav,hi,,\n")
    found = listing(tmp_path, table="t.csv")
    assert reasons(found) == {"unlisted.wav": ReasonCode.UNMATCHED_PATH, "stray.wav": ReasonCode.UNMATCHED_PATH}
    found = listing(tmp_path, table="t.csv", pattern="{utterance}.{ext}")
    assert {(os.path.basename(u.audio.path), u.text) for u in found.utterances} == {("listed.wav", "hi"), ("stray.wav", "hi"), ("unlisted.wav", "")}
    table(tmp_path, "t.csv", "path,text\nlisted.wav,hi\n")
    with pytest.raises(UsageError, match="Or give the table the columns speaker and group"):
        listing(tmp_path, table="t.csv")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.csv", "file,text\na,b\n", "no column 'path', only 'file', 'text'"),
        ("t.csv", "", "no column 'path'"),
        ("t.csv", 'path,text\n"a"b,c\n', "is not CSV after line 1"),
        ("t.xlsx", "x", "is a .jsonl, .csv or .tsv file"),
    ],
)
def test_tables_that_are_none(tmp_path: Path, name: str, content: str, words: str) -> None:
    table(tmp_path, name, content)
    with pytest.raises(UsageError, match=words):
        listing(tmp_path, table=name)
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        listing(tmp_path, table="missing.csv")


def test_ragged_csv_rows(tmp_path: Path) -> None:
    table(tmp_path, "t.csv", "path,text,speaker,group\na.wav,x,s,g,more\nb.wav,x\nc.wav,x,s,g\n")
    found = listing(tmp_path, table="t.csv")
    assert [p.message for p in found.problems] == ["The row has more cells than the header.", "The row has fewer cells than the header."]
    assert len(found.utterances) == 1


def test_a_stretch_has_one_id(tmp_path: Path) -> None:
    table(tmp_path, "t.csv", "path,text,speaker,group,start_s,duration_s\na.wav,x,s,g,1,2\na.wav,y,s,g,1,2\na.wav,y,s,g,1,3\n")
    ids = [utterance.id for utterance in listing(tmp_path, table="t.csv").utterances]
    assert len(ids) == 3 and len(set(ids)) == 2
