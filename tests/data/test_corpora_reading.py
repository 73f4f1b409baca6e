"""The parts that corpora are read with: archives where they lie, long JSON, packed lines, ranges of files."""

import gzip
import io
import itertools
import json
import os
import random
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.corpus_replicas import put, put_tar
from valle_data.corpora.base import Refusal
from valle_data.corpora.librilight import join
from valle_data.corpora.reading import json_array
from valle_data.corpora.reading.json_array import read_elements
from valle_data.corpora.reading.languages import language_tag
from valle_data.corpora.reading.lines import MAX_LINE_BYTES, read_lines
from valle_data.corpora.reading.pairs import Sample, read_samples
from valle_data.corpora.reading.tar import BLOCK, Member, read_members
from valle_data.errors import InputError, ReasonCode, UsageError

# --- tar


def members(path: Path) -> list[Member]:
    return [each for each in read_members(str(path), path.name) if isinstance(each, Member)]


def refusals(path: Path) -> list[Refusal]:
    return [each for each in read_members(str(path), path.name) if isinstance(each, Refusal)]


NAMES = st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=130).filter(
    lambda name: name.strip(".") and not name.lower().endswith((".pkl", ".pickle", ".pt", ".pth", ".joblib"))
)


@given(
    kind=st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    content=st.lists(st.tuples(NAMES, st.binary(max_size=1500)), max_size=6),
    folder=st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None)
def test_members_lie_where_tarfile_says(tmp_path: Path, kind: int, content: list[tuple[str, bytes]], folder: bool) -> None:
    path = put_tar(tmp_path / "a.tar", [(f"folder/{name}" if folder else name, data) for name, data in content], kind)
    with tarfile.open(path) as archive:
        expected = [(info.name, info.offset_data, info.size) for info in archive]
    assert refusals(path) == [] and [(each.name, each.offset, each.nbytes) for each in members(path)] == expected


def test_what_an_archive_must_not_hold(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind, target in [
            ("good.mp3", tarfile.REGTYPE, ""),
            ("../../x.mp3", tarfile.REGTYPE, ""),
            ("/etc/x.mp3", tarfile.REGTYPE, ""),
            ("link.mp3", tarfile.SYMTYPE, "/etc/passwd"),
            ("hard.mp3", tarfile.LNKTYPE, "good.mp3"),
            ("device.mp3", tarfile.CHRTYPE, ""),
            ("pipe.mp3", tarfile.FIFOTYPE, ""),
            ("model.PKL", tarfile.REGTYPE, ""),
            ("model.pt", tarfile.REGTYPE, ""),
            ("folder", tarfile.DIRTYPE, ""),
            ("folder/last.mp3", tarfile.REGTYPE, ""),
        ]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            info.size = 3 if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(b"abc"))
    before = sorted(tmp_path.iterdir())
    assert [each.name for each in members(path)] == ["good.mp3", "folder/last.mp3"]
    found = refusals(path)
    assert len(found) == 8 and {each.reason for each in found} == {ReasonCode.UNSAFE_MEMBER} and {each.path for each in found} == {"a.tar"}
    words = " ".join(each.message for each in found)
    for word in ("'../../x.mp3' has a path that leaves", "'link.mp3' is no regular file", "'model.PKL' is a pickle", "Nothing was written or run"):
        assert word in words
    assert sorted(tmp_path.iterdir()) == before


CONTENT = [(f"{index}.mp3", bytes([65 + index]) * 700) for index in range(4)]


def test_a_flipped_header_loses_one_member_and_says_so(tmp_path: Path) -> None:
    """The standard reader ends here without a word: that is why there is another one."""
    path = put_tar(tmp_path / "a.tar", CONTENT)
    whole = bytearray(path.read_bytes())
    second = members(path)[1].offset - BLOCK
    whole[second + 3] ^= 1
    path.write_bytes(whole)
    with tarfile.open(path) as archive:
        assert archive.getnames() == ["0.mp3"]
    assert [each.name for each in members(path)] == ["0.mp3", "2.mp3", "3.mp3"]
    (problem,) = refusals(path)
    assert problem.reason is ReasonCode.CORRUPT_ARCHIVE and f"no valid header at byte {second}; reading goes on at byte {second + 3 * BLOCK}" in problem.message


def test_every_cut_is_found(tmp_path: Path) -> None:
    path = put_tar(tmp_path / "a.tar", CONTENT)
    whole = path.read_bytes()
    end = members(path)[-1].offset + 2 * BLOCK
    for cut in range(1, end + 1, 128):
        path.write_bytes(whole[:cut])
        assert [each.reason for each in refusals(path)] == [ReasonCode.CORRUPT_ARCHIVE], cut
        assert all(each.offset + each.nbytes <= cut for each in members(path))
    path.write_bytes(b"")
    assert len(refusals(path)) == 1


def test_data_behind_the_end_is_reported(tmp_path: Path) -> None:
    path = put_tar(tmp_path / "a.tar", CONTENT)
    path.write_bytes(path.read_bytes() * 2)
    assert len(members(path)) == 4 and "something behind its end" in refusals(path)[0].message


def test_packed_archives_are_refused(tmp_path: Path) -> None:
    path = put_tar(tmp_path / "a.tar", CONTENT)
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(InputError, match="unpack it first"):
        members(path)


def test_samples_are_members_of_one_name(tmp_path: Path) -> None:
    path = put_tar(tmp_path / "a.tar", [("x/a.1.json", b"{}"), ("x/a.1.MP3", b"m"), ("x/a.2.flac", b"f"), ("b.json", b"{}")])
    samples = [each for each in read_samples(str(path), "a.tar") if isinstance(each, Sample)]
    assert [(each.key, sorted(each.members)) for each in samples] == [("x/a.1", ["json", "mp3"]), ("x/a.2", ["flac"]), ("b", ["json"])]
    assert [each.audio.name if each.audio else None for each in samples] == ["x/a.1.MP3", "x/a.2.flac", None]


# --- JSON


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)


@given(elements=st.lists(st.dictionaries(st.text(max_size=4), VALUES, max_size=3), max_size=5), chunk=st.integers(10, 90), indent=st.sampled_from([None, 1]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
def test_elements_are_those_of_the_whole(tmp_path: Path, elements: list[dict[str, object]], chunk: int, indent: int | None) -> None:
    """However the file is cut into pieces. The array's name must lie in the first piece, which has a million characters."""
    path = put(tmp_path / "a.json", json.dumps({"audios": elements, "more": [1]}, indent=indent))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_array, "CHUNK_CHARACTERS", max(chunk, 20))
        assert list(read_elements(str(path), "audios")) == elements


def test_cut_json_is_found(tmp_path: Path) -> None:
    whole = json.dumps({"audios": [{"a": index} for index in range(3)]})
    for cut in range(whole.index("[") + 1, len(whole) - 1):
        path = put(tmp_path / "a.json", whole[:cut])
        with pytest.raises(InputError, match="is cut or no JSON behind character"):
            list(read_elements(str(path), "audios"))
    with pytest.raises(UsageError, match="has no array 'audios'"):
        list(read_elements(str(put(tmp_path / "b.json", "{}")), "audios"))
    with pytest.raises(InputError, match="where objects belong"):
        list(read_elements(str(put(tmp_path / "b.json", '{"audios": [1]}')), "audios"))
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        list(read_elements(str(tmp_path / "c.json"), "audios"))


# --- lines


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_lines_are_those_of_the_file(tmp_path: Path, suffix: str) -> None:
    content = b"\xef\xbb\xbfone\r\ntw\xe9o\n\nlast"
    path = put(tmp_path / f"a.txt{suffix}", gzip.compress(content) if suffix else content)
    assert list(read_lines(str(path))) == ["one\r\n", "tw\udce9o\n", "\n", "last"]


def test_cut_and_damaged_gzip_is_found(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(b"".join(b"%d\n" % random.Random(0).getrandbits(64) for _ in range(5000))))
    for damaged in (packed[:-9], packed[: len(packed) // 2], b"no gzip at all"):
        path = put(tmp_path / "a.gz", bytes(damaged))
        with pytest.raises(InputError, match=r"corrupt_archive: .*is cut or damaged after line"):
            list(read_lines(str(path)))
    packed[-6] ^= 1
    with pytest.raises(InputError, match="corrupt_archive"):
        list(read_lines(str(put(tmp_path / "a.gz", bytes(packed)))))


def test_a_line_without_an_end_is_no_table(tmp_path: Path) -> None:
    """Also one of a few kilobytes that unpacks to more."""
    path = put(tmp_path / "a.gz", gzip.compress(bytes(MAX_LINE_BYTES + 1)))
    with pytest.raises(InputError, match="a line has at most"):
        list(read_lines(str(path)))


# --- languages and stretches


def test_languages_become_tags() -> None:
    assert [language_tag(word) for word in ("German", "zh_CN", "en", " Chinese", "", "x-klingon")] == ["de", "zh-cn", "en", "zh", "", "x-klingon"]


def test_neighbouring_stretches_are_joined() -> None:
    voice = [(0.0, 2.0), (2.5, 4.0), (6.0, 7.0), (7.1, 9.5)]
    assert join(voice, max_segment_s=10, max_pause_s=1) == [(0.0, 4.0), (6.0, 9.5)]
    assert join(voice, max_segment_s=3, max_pause_s=5) == [(0.0, 2.0), (2.5, 4.0), (6.0, 7.0), (7.1, 9.5)]
    assert join(voice, max_segment_s=100, max_pause_s=5) == [(0.0, 9.5)]
    assert join([], 10, 1) == [] and join([(1.0, 4.0)], 2, 1) == [(1.0, 2.5), (2.5, 4.0)]


@given(st.lists(st.tuples(st.floats(0, 500), st.floats(0.01, 60)), max_size=30), st.floats(0.5, 40), st.floats(0, 5))
def test_no_joined_stretch_is_too_long_and_no_voice_is_lost(pairs: list[tuple[float, float]], longest: float, pause: float) -> None:
    voice, position = [], 0.0
    for gap, length in pairs:
        voice.append((position + gap / 100, position + gap / 100 + length))
        position = voice[-1][1]
    joined = join(voice, longest, pause)
    assert all(end - start <= longest + 1e-5 for start, end in joined)
    assert all(before[1] <= after[0] + 1e-5 for before, after in itertools.pairwise(joined))
    for start, end in voice:
        covered = sum(max(0.0, min(end, stop) - max(start, begin)) for begin, stop in joined)
        assert covered == pytest.approx(end - start, abs=1e-4)


def test_nothing_is_kept_open(tmp_path: Path) -> None:
    path = put_tar(tmp_path / "a.tar", CONTENT)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        next(read_members(str(path), "a.tar"))
        next(read_lines(str(put(tmp_path / "a.txt", "x\ny\n"))))
    assert len(os.listdir("/proc/self/fd")) == before
