"""The report: harmless whatever a transcript holds, whole without a network, and what one hears is what it says."""

import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import soundfile
import xxhash

from pipelines import metadata
from pipelines.console import Console
from pipelines.metadata_report import speakers
from pipelines.metadata_report.choose import choose_extremes, choose_rows
from pipelines.metadata_report.html import Markup, amount_of_time, number, tag
from pipelines.metadata_tables.histograms import histogram
from pipelines.metadata_tables.statistics import Score
from tests.shard_dummies import COLUMNS, identity
from tests.toy_codec import ToyCodec
from valle_data.errors import ExitCode, ReasonCode
from valle_data.records import AudioRef, CodedUtterance, PlannedUtterance, Rejection, Utterance
from valle_data.shards.commit import commit_part
from valle_data.shards.manifest import DatasetManifest, PhonemizerStamp
from valle_data.shards.plan import PlannedPart, save_plan
from valle_data.shards.tar import TarShard
from valle_data.text.vocabulary import Vocabulary

NASTY = "\"><script>alert('1')</script><img src=x onerror=alert(2)> & \n</style></title><!-- \x00\u202e $(id) 'ü'"
RATE_HZ = 16000


class Page(HTMLParser):
    """Tags, attributes and text of a page as a browser would see them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, tag: str, name: str) -> list[str]:
        return [value or "" for found, attribute, value in self.attributes if (found, attribute) == (tag, name)]


def make(folder: Path, corpus: Path, *, num_speakers: int = 2, words: str = "one two", rejections: tuple[Rejection, ...] = ()) -> Path:
    """A data set of real recordings (sines), two utterances a speaker, coded by the toy codec."""
    codec = ToyCodec(ToyCodec.Config())
    for path in (folder / "shards", folder / "quarantine", corpus):
        path.mkdir(parents=True)
    DatasetManifest(codec.spec, {"name": "toy"}, PhonemizerStamp("p", words, {}), Vocabulary((*"wn", "<b>", " ")), "c" * 64, {}, COLUMNS).save(folder)
    utterances = []
    for index in range(2 * num_speakers):
        path = corpus / f"{index}.wav"
        waveform = 0.4 * np.sin(np.arange(RATE_HZ + 1600 * index) * (0.05 + 0.01 * index))
        soundfile.write(path, waveform, RATE_HZ, subtype="PCM_16")
        utterance = Utterance(f"u{index}", AudioRef(str(path)), words, f"{words}{index // 2}", words, words)
        duration_s = len(waveform) / RATE_HZ
        codes = codec.encode([waveform.repeat(2)[: round(duration_s * 24000)].astype(np.float32)])[0]
        digest = xxhash.xxh3_128_hexdigest(path.read_bytes())
        utterances.append(CodedUtterance(utterance, ("w", "<b>", "n"), codes, duration_s, digest, words, {"rms_dbfs": -10.0 - index}, RATE_HZ))
    commit_part(folder, identity(), utterances, rejections, TarShard())
    return folder


def report(dataset: Path) -> tuple[Page, list[dict]]:
    stdout = io.StringIO()
    assert metadata.run(dataset, console=Console(as_json=True, stdout=stdout)) is ExitCode.DONE
    html = (dataset / "metadata" / "report" / "index.html").read_text(encoding="utf-8")
    return Page(html), [json.loads(line) for line in stdout.getvalue().splitlines()]


def warnings(events: list[dict]) -> list[str]:
    return [event["message"] for event in events if event["event"] == "warning"]


def test_the_page_holds_what_it_should(tmp_path: Path) -> None:
    page, events = report(make(tmp_path / "my set", tmp_path / "corpus"))
    for wanted in (
        "my set",
        "utterances",
        "duration [s]",
        "phones per second",
        "rms_dbfs [dBFS]",
        "one two0",
        "one two",
        "w<b>n",
        "Nothing was refused.",
        "validation",
    ):
        assert wanted in page.text, wanted
    assert page.tags.count("svg") == 4 and not warnings(events)
    assert "No values: 4 missing." in page.text  # peak_dbfs was not computed
    assert page.values("th", "scope") == ["col"] * page.tags.count("th") != []


def test_recordings_within_an_archive_are_heard(tmp_path: Path) -> None:
    """Where they lie in it is in the plan; the second is longer, so that each is known by its length."""
    dataset, archive = make(tmp_path / "set", tmp_path / "corpus", num_speakers=0), tmp_path / "all.tar"
    planned, made, content = [], [], b"x" * 512
    for index in range(2):
        sound = io.BytesIO()
        soundfile.write(sound, 0.4 * np.sin(np.arange(RATE_HZ + 1600 * index) * 0.05), RATE_HZ, format="WAV", subtype="PCM_16")
        place = AudioRef(str(archive), offset=len(content), nbytes=len(sound.getvalue()))
        content += sound.getvalue() + b"x" * 100
        utterance, digest = Utterance(f"u{index}", place, "one", "s", "g", "en-us"), xxhash.xxh3_128_hexdigest(sound.getvalue())
        duration_s = 1 + index / 10
        codes = ToyCodec(ToyCodec.Config()).encode([np.zeros(round(duration_s * 24000), dtype=np.float32)])[0]
        planned.append(PlannedUtterance(utterance, digest, RATE_HZ, duration_s, f"f{index}"))
        made.append(CodedUtterance(utterance, ("w",), codes, duration_s, digest, "one", {}, RATE_HZ))
    archive.write_bytes(content)
    commit_part(dataset, identity(1), made, [], TarShard())
    (dataset / "plan").mkdir()
    save_plan(dataset, [PlannedPart(1, tuple(planned))])
    page, _ = report(dataset)
    heard = {path.name: soundfile.info(path).frames for path in (dataset / "metadata/report/audio").glob("*.recording.flac")}
    assert heard == {"u0.recording.flac": RATE_HZ, "u1.recording.flac": RATE_HZ + 1600} and "cannot be read" not in page.text
    archive.write_bytes(content.replace(b"RIFF", b"RAFF"))
    assert "The recording cannot be read" in report(dataset)[0].text


def test_nothing_is_fetched_and_nothing_can_run(tmp_path: Path) -> None:
    dataset = make(tmp_path / "set", tmp_path / "corpus")
    page, _ = report(dataset)
    assert {name for name in page.tags if name in ("script", "link", "iframe", "img", "object", "embed", "base")} == set()
    addresses = [value for _, name, value in page.attributes if name in ("src", "href", "xlink:href", "poster", "action")]
    assert addresses and all(re.fullmatch(r"#[a-z]+|audio/[\w.-]+\.flac|extremes.html|speakers-\d{4}.html#s\d+", address or "") for address in addresses)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert "default-src 'none'" in page.values("meta", "content")[0]
    for address in page.values("audio", "src"):
        assert (dataset / "metadata" / "report" / address).is_file()
    assert len(page.values("audio", "src")) == 8


def test_hostile_texts_paths_and_messages_are_shown_and_do_nothing(tmp_path: Path) -> None:
    rejections = tuple(Rejection(None, f"{NASTY}{index}", NASTY, ReasonCode.NOT_AUDIO, NASTY) for index in range(7))
    page, _ = report(make(tmp_path / "<script>'\"set", tmp_path / "corpus", words=NASTY, rejections=rejections))
    plain, _ = report(
        make(tmp_path / "plain", tmp_path / "corpus2", rejections=tuple(Rejection(None, f"{index}", "list", ReasonCode.NOT_AUDIO, "m") for index in range(7)))
    )
    assert page.tags == plain.tags
    assert [(name, attribute) for name, attribute, _ in page.attributes] == [(name, attribute) for name, attribute, _ in plain.attributes]
    shown = NASTY.replace("\n", "\\n").replace("\x00", "\\x00").replace("\u202e", "\\u202e")
    assert page.text.count(shown) >= 2 + 5 * 2 and "\x00" not in page.text and "\u202e" not in page.text
    assert "and 2 more in quarantine/*.parquet" in page.text


def test_one_hears_the_recording_and_the_decoded_codes(tmp_path: Path) -> None:
    dataset, corpus = make(tmp_path / "set", tmp_path / "corpus"), tmp_path / "corpus"
    report(dataset)
    audio = dataset / "metadata" / "report" / "audio"
    codec = ToyCodec(ToyCodec.Config())
    for index in range(4):
        original, rate = soundfile.read(audio / f"u{index}.recording.flac", dtype="int16")
        np.testing.assert_array_equal(original, soundfile.read(corpus / f"{index}.wav", dtype="int16")[0])
        assert rate == RATE_HZ
        decoded, rate = soundfile.read(audio / f"u{index}.toy.flac", dtype="float32")
        waveform = soundfile.read(corpus / f"{index}.wav", dtype="float32")[0].repeat(2)[: round(len(original) / RATE_HZ * 24000)]
        expected = codec.decode(codec.encode([waveform.astype(np.float32)])[0])[: len(decoded)]
        assert rate == 24000 and len(decoded) == round(len(original) / RATE_HZ * 24000)
        np.testing.assert_allclose(decoded, expected, atol=2 / 1023)


def test_recordings_that_are_gone_or_changed_are_said_to_be(tmp_path: Path) -> None:
    dataset = make(tmp_path / "set", tmp_path / "corpus")
    (tmp_path / "corpus" / "0.wav").unlink()
    soundfile.write(tmp_path / "corpus" / "1.wav", 0.3 * np.sin(np.arange(RATE_HZ)), RATE_HZ)
    page, _ = report(dataset)
    assert len(page.values("audio", "src")) == 6
    assert "The recording cannot be read: not_audio" in page.text and "The recording has changed since it was prepared." in page.text


def test_stretches_are_heard_and_nothing_else(tmp_path: Path) -> None:
    """The first, a middle and the last stretch of a recording that as a whole is longer than a stretch may be; the last one ends half a sample late."""
    codec, path, dataset = ToyCodec(ToyCodec.Config()), tmp_path / "long.flac", make(tmp_path / "set", tmp_path / "corpus", num_speakers=0)
    recording = 0.4 * np.sin(np.arange(4 * RATE_HZ) * 0.05)
    soundfile.write(path, recording, RATE_HZ, subtype="PCM_16")
    manifest = DatasetManifest.load(dataset)
    replace(manifest, stages={"decode": {"options": {"max_duration_s": 2.0}}}).save(dataset)
    digest, utterances = xxhash.xxh3_128_hexdigest(path.read_bytes()), []
    stretches = {"first": (0.0, 1.25), "middle": (1.25, 1.0), "last": (2.5, 1.5 + 0.6 / RATE_HZ)}
    for name, (start_s, duration_s) in stretches.items():
        utterance = Utterance(name, AudioRef(str(path), start_s, duration_s), "one", "s", "g", "en-us")
        codes = codec.encode([np.zeros(round(duration_s * 24000), dtype=np.float32)])[0]
        utterances.append(CodedUtterance(utterance, ("w",), codes, duration_s, digest, "one", {}, RATE_HZ))
    commit_part(dataset, identity(1), utterances, [], TarShard())
    page, _ = report(dataset)
    assert "cannot be read" not in page.text
    whole, _ = soundfile.read(path, dtype="int16")
    for name, (start_s, duration_s) in stretches.items():
        heard, _ = soundfile.read(dataset / "metadata" / "report" / "audio" / f"{name}.recording.flac", dtype="int16")
        start = round(start_s * RATE_HZ)
        np.testing.assert_array_equal(heard, whole[start : start + int(duration_s * RATE_HZ)])


def test_relative_paths_are_found_from_where_they_count_and_explained_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    dataset = make(tmp_path / "set", Path("corpus"))
    page, _ = report(dataset)
    assert len(page.values("audio", "src")) == 8
    monkeypatch.chdir(tmp_path / "elsewhere")
    page, _ = report(dataset)
    assert len(page.values("audio", "src")) == 4
    assert page.text.count("It is relative to the folder in which `valle prepare` ran; run `valle metadata` there to hear it.") == 4
    assert "There is no 'corpus/0.wav' here." in page.text and str(tmp_path) not in page.text


def test_one_name_in_two_groups_is_two_speakers_to_listen_to() -> None:
    rows = pa.table({"group": ["a"] * 30 + ["b"], "speaker": ["01"] * 31, "duration_s": pa.array([2.0] * 31, pa.float32())})
    assert all(30 in choose_rows(rows, seed) for seed in range(5))


def test_another_codec_is_named_instead_of_being_played(tmp_path: Path) -> None:
    dataset = make(tmp_path / "set", tmp_path / "corpus")
    manifest = DatasetManifest.load(dataset)
    replace(manifest, codec_config={**manifest.codec_config, "salt": "other"}).save(dataset)
    page, events = report(dataset)
    found = [hashlib.sha256(salt).hexdigest()[:12] for salt in (b"", b"other")]
    (warning,) = warnings(events)
    assert "no codec round trip" in warning and all(part in warning for part in found)
    assert "No codec round trip." in page.text and [Path(address).suffixes for address in page.values("audio", "src")] == [[".recording", ".flac"]] * 4


def test_a_second_report_has_the_same_bytes_and_no_stale_sounds(tmp_path: Path) -> None:
    dataset = make(tmp_path / "set", tmp_path / "corpus")
    report(dataset)
    folder = dataset / "metadata" / "report"
    first = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (folder / "audio" / "old.recording.flac").write_bytes(b"x")
    report(dataset)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == first


def test_an_empty_data_set_has_a_report(tmp_path: Path) -> None:
    page, _ = report(make(tmp_path / "set", tmp_path / "corpus", num_speakers=0))
    assert "No utterances." in page.text and "svg" not in page.tags


@pytest.mark.parametrize("num_speakers", [1, 5, 12, 30])
def test_samples_are_spread_over_speakers(num_speakers: int) -> None:
    names = [f"s{index * index % num_speakers}" if index % 3 else "s0" for index in range(200)]
    rows = pa.table({"group": ["g"] * 200, "speaker": names, "duration_s": pa.array([0.5 if index == 7 else 3.0 for index in range(200)], pa.float32())})
    chosen = choose_rows(rows, 0)
    counts = [sum(names[row] == name for row in chosen) for name in set(names)]
    assert len(set(chosen)) == 12 == sum(counts) and 7 not in chosen
    assert max(counts) - min(counts) <= 1
    assert chosen == choose_rows(rows, 0) and (num_speakers == 30 or chosen != choose_rows(rows, 1))


def test_only_short_utterances_are_still_played() -> None:
    assert choose_rows(pa.table({"group": ["g", "g"], "speaker": ["a", "b"], "duration_s": pa.array([0.2, 0.3], pa.float32())}), 0) == [0, 1]


@pytest.mark.parametrize("num", [1, 2, 50, 5000])
def test_histograms_count_like_a_loop(num: int) -> None:
    values = np.random.default_rng(num).lognormal(1, 0.5, num)
    found = histogram("x", "s", values)
    last = found.edges[-1]
    for count, start, end in zip(found.counts, found.edges, found.edges[1:], strict=False):
        assert count == sum(start <= value < end or (end == last == value) for value in values)
    assert found.num_below == sum(value < found.edges[0] for value in values) and found.num_above == sum(value > last for value in values)
    assert found.num_values == num and found.num_below + found.num_above <= 0.006 * num + 1 and len(found.counts) <= 62


def test_one_monster_does_not_flatten_a_histogram() -> None:
    found = histogram("x", "", np.array([2.0, 3.0, 4.0] * 400 + [5000.0]))
    assert found.edges[-1] <= 5 and found.num_above == 1 and found.maximum == 5000


def test_histograms_of_nothing_of_one_value_and_of_gaps() -> None:
    assert histogram("x", "", np.array([])).counts == ()
    assert histogram("x", "", np.array([np.nan, np.inf])).num_missing == 2
    for value in (0.0, 7.0, -3.5, 1e9):
        found = histogram("x", "", np.full(9, value), whole=True)
        assert found.num_values == 9 == sum(found.counts) and found.edges[0] <= value <= found.edges[-1]
    assert histogram("x", "", np.array([10, 11, 12]), whole=True).edges == (10.0, 11.0, 12.0)


def test_markup_is_made_by_tags_alone() -> None:
    assert tag("p", {"title": '"<'}, "<b>", tag("b", None, 1234)) == '<p title="&quot;&lt;">&lt;b&gt;<b>1,234</b></p>'
    assert not isinstance(tag("p", None) + "<", Markup)


def test_numbers_for_people() -> None:
    assert [number(value) for value in (12345, 3.14159, 2.0, None, float("nan"))] == ["12,345", "3.14", "2", "–", "–"]
    assert [amount_of_time(hours) for hours in (1234.0, 1.5, 0.5, 0.001)] == ["1,234 h", "1.5 h", "30.0 min", "3.6 s"]


def pages(dataset: Path) -> dict[str, Page]:
    return {path.name: Page(path.read_text(encoding="utf-8")) for path in sorted((dataset / "metadata" / "report").glob("*.html"))}


def test_every_page_is_harmless_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    rejections = (Rejection(None, NASTY, NASTY, ReasonCode.NOT_AUDIO, NASTY),)
    dataset = make(tmp_path / "<b>'\"set", tmp_path / "corpus", num_speakers=3, words=NASTY, rejections=rejections)
    report(dataset)
    found = pages(dataset)
    assert list(found) == ["extremes.html", "index.html", "speakers-0001.html"]
    anchors = {name: {value for _, attribute, value in page.attributes if attribute == "id"} for name, page in found.items()}
    for name, page in found.items():
        assert not {"script", "link", "iframe", "img", "object", "embed", "base", "form"} & set(page.tags)
        assert not [attribute for _, attribute, _ in page.attributes if attribute.startswith("on") or attribute == "style"]
        assert "default-src 'none'" in page.values("meta", "content")[0]
        for address in page.values("a", "href"):
            file, _, anchor = address.partition("#")
            assert not anchor or anchor in anchors[file or name], address
            assert (dataset / "metadata" / "report" / (file or name)).is_file()
        assert all((dataset / "metadata" / "report" / address).is_file() for address in page.values("audio", "src"))
        assert "\x00" not in page.text and "\u202e" not in page.text


@pytest.mark.parametrize("name", ["index.html", "extremes.html", "speakers-0001.html"])
def test_tags_are_closed_in_the_order_they_were_opened(tmp_path: Path, name: str) -> None:
    """By the rules for HTML5 syntax: void elements have no end, all others one, properly nested."""
    dataset = make(tmp_path / "set", tmp_path / "corpus", words=NASTY)
    report(dataset)
    open_tags: list[str] = []

    class Nesting(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert len({key for key, _ in attrs}) == len(attrs)
            if tag not in ("meta", "br", "hr", "img"):
                open_tags.append(tag)

        def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert "svg" in open_tags, f"<{tag}/> outside of an image"

        def handle_endtag(self, tag: str) -> None:
            assert open_tags.pop() == tag

    html = (dataset / "metadata/report" / name).read_text(encoding="utf-8")
    assert html.startswith("<!DOCTYPE html>\n<html lang=")
    Nesting().feed(html)
    assert open_tags == []


def test_the_ends_of_every_score_are_shown_and_heard(tmp_path: Path) -> None:
    dataset = make(tmp_path / "set", tmp_path / "corpus", num_speakers=6)
    report(dataset)
    page = pages(dataset)["extremes.html"]
    headings = re.findall(r"<h3>(-?[\d.]+) dBFS</h3>", (dataset / "metadata/report/extremes.html").read_text(encoding="utf-8"))
    values = [-10.0 - index for index in range(12)]
    assert [float(value) for value in headings] == sorted(values)[:4] + sorted(values, reverse=True)[:4]
    assert "peak_dbfs" not in page.text  # nobody has it
    for index in (0, 11):
        assert f"audio/u{index}.recording.flac" in page.values("audio", "src")


@pytest.mark.parametrize(("num", "each"), [(0, 4), (1, 4), (5, 4), (9, 4), (300, 4)])
def test_extremes_are_those_of_a_sorted_list(num: int, each: int) -> None:
    values = np.random.default_rng(num).integers(0, max(num // 3, 1) + 1, num).astype(np.float64)
    values[::7] = np.nan
    found = choose_extremes([Score("x", "", values)], each)
    rows = [row for row in range(num) if values[row] == values[row]]
    if len({values[row] for row in rows}) < 2:
        assert found == []
        return
    lowest = tuple(sorted(rows, key=lambda row: (values[row], row))[:each])
    highest = tuple(row for row in sorted(rows, key=lambda row: (-values[row], row))[:each] if row not in lowest)
    assert [(end.lowest, end.highest) for end in found] == [(lowest, highest)]


def test_speakers_have_pages_in_the_order_of_their_hours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speakers, "SPEAKERS_PER_PAGE", 2)
    monkeypatch.setattr(speakers, "MOST_SPEAKERS", 5)
    monkeypatch.setattr(speakers, "MOST_HEARD", 3)
    dataset = make(tmp_path / "set", tmp_path / "corpus", num_speakers=7)
    report(dataset)
    found = pages(dataset)
    listed = [name for name in found if name.startswith("speakers-")]
    assert listed == ["speakers-0001.html", "speakers-0002.html", "speakers-0003.html"]
    shown = [re.findall(r"one two(\d) · one two", found[name].text) for name in listed]
    assert shown == [["6", "5"], ["4", "3"], ["2"]]  # later recordings are longer
    assert [len(found[name].values("audio", "src")) for name in listed] == [2, 1, 0]
    assert "2 more with less speech are in metadata/speakers.parquet only." in found[listed[0]].text
    assert "Speakers 3 to 4 of 7" in found[listed[1]].text and "rms_dbfs -18.50 (-16.50)" in found[listed[1]].text
    assert found[listed[1]].values("a", "href")[1:] == ["speakers-0001.html", "speakers-0003.html"] * 4
    monkeypatch.setattr(speakers, "SPEAKERS_PER_PAGE", 50)
    report(dataset)
    assert [name for name in pages(dataset) if name.startswith("speakers-")] == ["speakers-0001.html"]


def test_a_report_of_a_filter_says_so_and_leaves_the_tables_whole(tmp_path: Path) -> None:
    dataset = make(tmp_path / "set", tmp_path / "corpus", num_speakers=3)
    console = Console(as_json=True, stdout=io.StringIO())
    assert metadata.run(dataset, console=console, where="rms_dbfs < -13 and utt_id <> 'u5'") is ExitCode.DONE
    page = pages(dataset)["index.html"]
    assert "Only utterances where rms_dbfs < -13 and utt_id <> 'u5'." in page.text and "u4" in page.text and "u5" not in page.text.replace("<> 'u5'", "")
    assert json.loads((dataset / "metadata/stats.json").read_text())["totals"]["num_utterances"] == 6
