"""Damage, odd names and size in the true layouts of corpora."""

import gzip
import json
import os
import shutil
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.corpus_replicas import REPLICAS, put, put_sound, put_tar, sound_bytes
from valle_data.audio import AudioLimits, read_sound
from valle_data.corpora import CORPORA
from valle_data.corpora.base import ListingProblem
from valle_data.errors import InputError, ReasonCode, UsageError
from valle_data.records import Utterance
from valle_data.shards.base import check_id
from valle_data.source import audio_digest


def entries(kind: str, root: Path, **config: object) -> tuple[list[Utterance], list[ListingProblem]]:
    corpus = CORPORA[kind](CORPORA[kind].Config.model_validate({"name": kind, "root": root, **config}))
    found = list(corpus.entries())
    return [e for e in found if isinstance(e, Utterance)], [e for e in found if isinstance(e, ListingProblem)]


# --- damage: what is wrong is named with its place, and the rest is used


def change(name: str, before: str, after: str) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        (path,) = root.rglob(name)
        content = path.read_text(encoding="utf-8", errors="surrogateescape")
        assert before in content
        path.write_text(content.replace(before, after, 1), encoding="utf-8", errors="surrogateescape")

    return spoil


def flip_header(root: Path) -> None:
    path = root / "Emilia/EN/EN-B000000.tar"
    content = bytearray(path.read_bytes())
    content[2] ^= 1
    path.write_bytes(content)


def add_pickle(root: Path) -> None:
    put_tar(root / "Emilia/EN/EN-B000009.tar", [("../../x.mp3", b"x"), ("x.pkl", b"x")])


def drop_member(root: Path) -> None:
    put_tar(root / "Emilia/EN/EN-B000009.tar", [("a.json", b"{}"), ("b.mp3", sound_bytes(9, "mp3")), ("c.json", b"[]"), ("c.mp3", sound_bytes(9, "mp3"))])


def cut_manifest(root: Path) -> None:
    path = root / "train_cuts.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-20])


def edit_cut(**values: object) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        path = root / "train_cuts.jsonl.gz"
        cut = json.loads(gzip.decompress(path.read_bytes()))
        path.write_bytes(gzip.compress(json.dumps({**cut, **values}).encode() + b"\n{broken\n"))

    return spoil


def command(root: Path) -> None:
    edit_cut(recording={"id": "a", "sources": [{"type": "command", "channels": [0], "source": "cat x"}], "duration": 3.0})(root)


def swap_shar(root: Path) -> None:
    (archive,) = (root / "shar").glob("recording.*.tar")
    with tarfile.open(archive) as opened:
        contents = [(info.name, opened.extractfile(info).read()) for info in opened]  # type: ignore[union-attr]
    put_tar(archive, contents[2:] + contents[:2])


def spoil_arrow(root: Path) -> None:
    (path,) = (root / "test").glob("*.arrow")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def inside(folder: str, spoil: Callable[[Path], None]) -> Callable[[Path], None]:
    return lambda root: spoil(root / folder)


def add(name: str) -> Callable[[Path], None]:
    return lambda root: put(root / name, b"") and None


TABLE, VOICE = "validated.tsv", "[[0.5, 1.5]]"
ROW, UTF8 = ReasonCode.BAD_ROW, ReasonCode.TEXT_NOT_UTF8
DAMAGE = [
    ("ljspeech", change("metadata.csv", 'LJ001-0001|Printing, in "1450"|', "LJ001-0001 "), "metadata.csv:1", ROW, "is ID|TEXT|NORMALIZED TEXT"),
    ("ljspeech", change("metadata.csv", "LJ001-0002", "../../x"), "metadata.csv:2", ROW, "stay below it"),
    ("ljspeech", change("metadata.csv", "has no", "h\udce9s no"), None, None, ""),
    ("ljspeech", change("metadata.csv", "numbers.|has no", "numbers.|h\udce9s no"), "metadata.csv:2", UTF8, "not UTF-8 at character 2"),
    ("vctk", change("p225_001.txt", "Please", "Pl\udce9ase"), "p225_001_mic1.flac", UTF8, "p225_001.txt"),
    ("libritts", add("x.wav"), "x.wav", ReasonCode.UNMATCHED_PATH, "SUBSET/READER/CHAPTER/"),
    ("librilight", change("x.json", VOICE, "[]"), "x.flac", ROW, "no `voice_activity`"),
    ("librilight", change("x.json", VOICE, "[[1.5, 0.5]]"), "x.flac", ROW, "[1.5, 0.5] in `voice_activity`"),
    ("librilight", change("x.json", "{", ""), "x.flac", ROW, "is not JSON"),
    ("mls", inside("mls_german", change("transcripts.txt", "000001\t", "000001 ")), "transcripts.txt:2", ROW, "a tab and the text"),
    ("commonvoice", inside("de", change(TABLE, "\ttwenties", "")), "validated.tsv:2", ROW, "fewer cells"),
    ("commonvoice", inside("de", change(TABLE, "common_voice_de_17298950.mp3", "../x.mp3")), "validated.tsv:2", ROW, "'../x.mp3'"),
    ("commonvoice", inside("de", change(TABLE, "Sie", "S\udce9e")), "validated.tsv:2", UTF8, "sentence"),
    ("emilia", flip_header, "EN-B000000.tar", ReasonCode.CORRUPT_ARCHIVE, "no valid header at byte 0; reading goes on at byte"),
    ("emilia", add_pickle, "EN-B000009.tar", ReasonCode.UNSAFE_MEMBER, "leaves the archive"),
    ("emilia", drop_member, "EN-B000009.tar/a", ROW, "the recording of 'a' is missing"),
    ("emilia", drop_member, "EN-B000009.tar/b", ROW, "the .json of 'b' is missing"),
    ("emilia", drop_member, "EN-B000009.tar/c", ROW, "holds list and not an object"),
    ("emilia", add("EN/a.tar.gz"), "a.tar.gz", ReasonCode.CORRUPT_ARCHIVE, "unpack it first"),
    ("gigaspeech", change("GigaSpeech.json", '"end_time": 1.5', '"end_time": 0.0'), "POD0000000001_S0", ROW, "from 0.0 s to 0.0 s"),
    ("gigaspeech", change("GigaSpeech.json", '"audio/podcast', '"../podcast'), "POD0000000001_S2", ROW, "stay below it"),
    ("lhotse", edit_cut(), "train_cuts.jsonl.gz:2", ROW, "is not JSON"),
    ("lhotse", edit_cut(type="MixedCut"), "train_cuts.jsonl.gz:1", ROW, "is a MixedCut, which exists in no file"),
    ("lhotse", edit_cut(recording=None), "train_cuts.jsonl.gz:1", ROW, "has no recording"),
    ("lhotse", edit_cut(supervisions=[{"text": 5}]), "train_cuts.jsonl.gz:1", ROW, "text = 5"),
    ("lhotse", edit_cut(supervisions=[{"start": 9, "duration": 1}]), "train_cuts.jsonl.gz:1", ROW, "outside its cut"),
    ("lhotse", command, "train_cuts.jsonl.gz:1", ReasonCode.UNSAFE_MEMBER, "nothing was run or fetched"),
    ("lhotse", swap_shar, "cuts.000000.jsonl.gz:1", ReasonCode.CORRUPT_ARCHIVE, "do not belong together"),
    ("huggingface", spoil_arrow, "data-00000-of-00001.arrow", ReasonCode.CORRUPT_ARCHIVE, "cut, damaged or no .arrow file"),
]


@pytest.mark.parametrize(("kind", "spoil", "place", "reason", "words"), DAMAGE)
def test_damage_is_named_with_its_place_and_the_rest_is_used(
    tmp_path: Path, kind: str, spoil: Callable[[Path], None], place: str | None, reason: ReasonCode | None, words: str
) -> None:
    expected = REPLICAS[kind](tmp_path)
    before, problems_before = entries(kind, tmp_path, **expected.config)
    spoil(tmp_path)
    after, problems = entries(kind, tmp_path, **expected.config)
    new = [problem for problem in problems if problem not in problems_before]
    if place is None:
        assert not new and len(after) == len(before)
        return
    assert any(problem.path.endswith(place) and problem.reason is reason and words in problem.message for problem in new), new
    assert after or words == "stay below it", "one recording holds all of that corpus"
    assert {u.id for u in after} <= {u.id for u in before}


def test_a_cut_manifest_stops(tmp_path: Path) -> None:
    """What is behind the cut would be missing without a word."""
    expected = REPLICAS["lhotse"](tmp_path)
    cut_manifest(tmp_path)
    with pytest.raises(InputError, match="is cut or damaged after line 0"):
        entries("lhotse", tmp_path, **expected.config)


# --- names


NAMES = ["a b", "q\"'", "$(id)", "-rf", "Übung", "你好", "a...b", "n" * 200, "line\nbreak", "{x}*[y]?", "a\\b"]
BYTES = os.fsdecode(b"latin1-\xe9")


@pytest.mark.parametrize("name", [*NAMES, BYTES])
@pytest.mark.parametrize("kind", ["folder", "manifest", "vctk", "libritts", "librilight", "commonvoice", "emilia", "lhotse", "huggingface"])
def test_any_name_gets_a_safe_stable_id_and_keeps_its_path(tmp_path: Path, kind: str, name: str) -> None:
    sound = sound_bytes(1, "flac")
    text = json.dumps(name)
    config: dict[str, object] = {}
    if kind in ("lhotse", "manifest") and name == BYTES:
        text = '"' + name + '"'  # JSON of bytes that are no UTF-8
    if kind == "folder":
        put(tmp_path / "g/s" / f"{name}.flac", sound)
    elif kind == "manifest":
        put(tmp_path / f"{name}.flac", sound)
        put(tmp_path / "t.jsonl", os.fsencode(f'{{"path": {text[:-1]}.flac", "text": "x"}}\n'))
        config["table"] = "t.jsonl"
    elif kind == "vctk":
        put(tmp_path / "wav48_silence_trimmed/p1" / f"{name}_mic1.flac", sound)
    elif kind == "libritts":
        put(tmp_path / "dev/1/2" / f"{name}.flac", sound)
    elif kind == "librilight":
        put(tmp_path / "small/1" / name / "x.flac", sound)
        put(tmp_path / "small/1" / name / "x.json", '{"voice_activity": [[0, 0.3]]}')
    elif kind == "commonvoice":
        if "\n" in name:
            pytest.skip("a table of unquoted cells cannot hold it")
        put(tmp_path / "clips" / f"{name}.mp3", sound)
        put(tmp_path / "validated.tsv", os.fsencode(f"client_id\tpath\tsentence\nc\t{name}.mp3\tx\n"))
    elif kind == "emilia":
        put_tar(tmp_path / "EN" / "a.tar", [(f"{name}.json", b"{}"), (f"{name}.flac", sound)], tarfile.GNU_FORMAT)
    elif kind == "lhotse":
        put(tmp_path / f"{name}.flac", sound)
        recording = f'{{"sources": [{{"type": "file", "channels": [0], "source": {text[:-1]}.flac"}}], "duration": 0.4}}'
        put(tmp_path / "cuts.jsonl", os.fsencode(f'{{"id": "c", "start": 0, "duration": 0.4, "recording": {recording}}}\n'))
    else:
        if name == BYTES:
            pytest.skip("Arrow holds no such string")
        table = pa.table({"audio": [{"bytes": None, "path": f"{name}.flac"}], "text": ["x"]})
        put(tmp_path / f"{name}.flac", sound)
        pq.write_table(table, tmp_path / "t.parquet")
    (one,), problems = entries(kind, tmp_path, **config)
    check_id(one.id)
    assert not problems and read_sound(one.audio, AudioLimits()).duration_s > 0.25
    assert entries(kind, tmp_path, **config)[0] == [one]


def test_unicode_twins_are_kept_out_of_every_folder(tmp_path: Path) -> None:
    for name in ("caf\u00e9", "cafe\u0301", "other"):
        put(tmp_path / "dev/1/2" / f"{name}.wav", b"")
    found, problems = entries("libritts", tmp_path)
    assert len(found) == 1 and [problem.reason for problem in problems] == [ReasonCode.DUPLICATE_ID] * 2


# --- size


def rows(kind: str, root: Path, count: int) -> dict[str, object]:
    """A corpus of `count` utterances without sounds: nothing looks at them."""
    if kind == "manifest":
        put(root / "t.jsonl", "".join(json.dumps({"path": f"wavs/speaker{i % 50}/{i}.wav", "text": f"this is sentence {i}"}) + "\n" for i in range(count)))
        return {"table": "t.jsonl"}
    if kind == "folder":
        put(root / "t.csv", "path,text,speaker,group\n" + "".join(f"wavs/{i}.wav,this is sentence {i},s{i % 50},g\n" for i in range(count)))
        return {"table": "t.csv"}
    if kind == "ljspeech":
        put(root / "metadata.csv", "".join(f"LJ001-{i}|this is sentence {i}|this is sentence {i}\n" for i in range(count)))
    elif kind == "mls":
        put(root / "mls_german/train/transcripts.txt", "".join(f"1_2_{i:06d}\tsatz {i}\n" for i in range(count)))
    elif kind == "commonvoice":
        put(root / "de/validated.tsv", "client_id\tpath\tsentence\n" + "".join(f"c{i % 50}\tclip{i}.mp3\tsatz {i}\n" for i in range(count)))
    elif kind == "emilia":
        put_tar(root / "EN/a.tar", ((f"{i}.{kind}", b'{"text": "x", "language": "en"}') for i in range(count) for kind in ("json", "mp3")))
    elif kind == "lhotse":
        recording = {"sources": [{"type": "file", "source": "a.wav"}], "duration": 1e9}
        put(root / "cuts.jsonl", "".join(json.dumps({"id": f"c{i}", "start": i, "duration": 1, "recording": recording}) + "\n" for i in range(count)))
    else:
        segments = [
            {"sid": f"S{i}", "begin_time": i, "end_time": i + 1, "text_tn": f"SENTENCE {i}", "subsets": ["{XL}"], "speaker": "N/A"} for i in range(count)
        ]
        audios = [{"aid": f"A{i}", "path": f"audio/{i}.opus", "segments": segments[i : i + 100]} for i in range(0, count, 100)]
        put(root / "GigaSpeech.json", json.dumps({"audios": audios}))
    return {}


@pytest.mark.parametrize("kind", ["manifest", "folder", "ljspeech", "mls", "commonvoice", "emilia", "lhotse", "gigaspeech"])
def test_listing_holds_no_growing_list(tmp_path: Path, kind: str) -> None:
    """A listed utterance takes 600 bytes and more; what stays is a buffer of a million characters, or 8 bytes a row."""
    count = 20_000 if kind in ("manifest", "gigaspeech") else 5_000
    config = rows(kind, tmp_path, count)
    corpus = CORPORA[kind](CORPORA[kind].Config.model_validate({"name": kind, "root": tmp_path, **config}))
    tracemalloc.start()
    try:
        seen = sum(1 for entry in corpus.entries() if isinstance(entry, Utterance))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seen == count
    assert peak < (6e6 if kind == "gigaspeech" else 1e6), f"{peak / count:.0f} bytes per utterance"


# --- layouts


def test_vctk_takes_the_microphone_and_the_older_version(tmp_path: Path) -> None:
    REPLICAS["vctk"](tmp_path)
    found, _ = entries("vctk", tmp_path, microphone="mic2")
    assert {os.path.basename(u.audio.path) for u in found} == {"p225_001_mic2.flac", "p225_002_mic2.flac"}
    old = tmp_path / "old"
    put_sound(old / "wav48/p225/p225_001.wav", 0)
    put(old / "txt/p225/p225_001.txt", "x")
    put(old / "speaker-info.txt", "ID  AGE  GENDER  ACCENTS  REGION\n225  23  F    English    Southern  England\n")
    (only,), _ = entries("vctk", old)
    assert (only.speaker, only.text, only.extra["gender"], only.extra["licence"]) == ("p225", "x", "F", "ODC-By 1.0")
    with pytest.raises(UsageError, match="has neither wav48_silence_trimmed nor wav48"):
        entries("vctk", tmp_path / "old/txt")


def test_texts_as_printed_or_written_out(tmp_path: Path) -> None:
    for kind, word in (("libritts", "Dr. 0"), ("ljspeech", 'Printing, in "1450"')):
        REPLICAS[kind](tmp_path / kind)
        assert word in {u.text for u in entries(kind, tmp_path / kind, transcript="original")[0]}


def test_a_subset_of_libritts_may_be_the_root(tmp_path: Path) -> None:
    REPLICAS["libritts"](tmp_path)
    found, _ = entries("libritts", tmp_path / "train-clean-100")
    assert {(u.speaker, u.group) for u in found} == {("103", "libritts")} and len(found) == 2
    with pytest.raises(UsageError, match="is no LibriTTS"):
        entries("libritts", tmp_path / "train-clean-100/103")


def test_libri_light_is_cut_by_its_voice_activity(tmp_path: Path) -> None:
    REPLICAS["librilight"](tmp_path)
    cuts = lambda **config: sorted((u.audio.start_s, u.audio.duration_s) for u in entries("librilight", tmp_path, include=["small/*"], **config)[0])  # noqa: E731
    assert cuts() == [(0.1, 1.9), (4.5, 1.4)]
    assert cuts(max_pause_s=0.1) == [(0.1, 0.9), (1.2, 0.8), (4.5, 1.4)]
    assert cuts(cut="none") == [(0.0, None)]


def test_a_missing_recording_of_mls_says_nothing_of_the_others(tmp_path: Path) -> None:
    REPLICAS["mls"](tmp_path)
    sounds = tmp_path / "mls_polish_opus/train/audio"
    first, *others = sorted(sounds.rglob("*.opus"))
    first.unlink()
    listed = {os.path.basename(u.audio.path) for u in entries("mls", tmp_path / "mls_polish_opus")[0]}
    assert others and {path.name for path in others} == {name for name in listed if not name.startswith(first.stem)}


def test_mls_needs_to_know_its_language(tmp_path: Path) -> None:
    REPLICAS["mls"](tmp_path)
    (tmp_path / "mls_german").rename(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=r"'elsewhere' is not called mls_LANGUAGE.*Set `corpus\.language`"):
        entries("mls", tmp_path / "elsewhere")
    assert {u.language for u in entries("mls", tmp_path / "elsewhere", language="de-at")[0]} == {"de-at"}
    with pytest.raises(UsageError, match="for the splits dev"):
        entries("mls", tmp_path, splits=["dev"])


def test_common_voice_refuses_to_take_clips_twice(tmp_path: Path) -> None:
    REPLICAS["commonvoice"](tmp_path)
    with pytest.raises(ValueError, match="validated holds those of dev, train too"):
        entries("commonvoice", tmp_path, splits=["validated", "train", "dev"])
    (tmp_path / "de/validated.tsv").rename(tmp_path / "de/train.tsv")
    found, _ = entries("commonvoice", tmp_path / "de", splits=["train"])
    assert len(found) == 2 and found[0].extra["split"] == "train" and found[0].group == "de"


def test_gigaspeech_counts_what_is_no_speech_and_takes_its_subsets(tmp_path: Path) -> None:
    REPLICAS["gigaspeech"](tmp_path)
    found, problems = entries("gigaspeech", tmp_path, subset="XL", lower=False)
    assert {u.text for u in found} == {"AS IT'S, WELL.", "IS IT?", "OTHER PART"}
    assert [(p.path.endswith("GigaSpeech.json/<NOISE>"), p.message.startswith("1 segments have the text <NOISE>")) for p in problems] == [(True, True)]
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        entries("gigaspeech", tmp_path / "audio")
    assert entries("gigaspeech", tmp_path, subset="DEV") == ([], [])


def test_emilia_yodas_spells_ids_differently(tmp_path: Path) -> None:
    values = {"_id": "DE_x", "text": "hallo", "speaker": "DE_x_SPEAKER_00", "language": "de", "duration": 0.4, "dnsmos": 3.1, "phone_count": 9}
    put_tar(tmp_path / "Emilia-YODAS/DE/DE-B000000.tar", [("DE_x.json", json.dumps(values).encode()), ("DE_x.mp3", sound_bytes(0, "mp3"))])
    (only,), _ = entries("emilia", tmp_path)
    assert (only.group, only.speaker, only.extra["_id"], only.extra["phone_count"]) == ("Emilia-YODAS/DE", "DE_x_SPEAKER_00", "DE_x", "9")


def test_emilia_yodas_has_its_own_licence(tmp_path: Path) -> None:
    REPLICAS["emilia"](tmp_path)
    (tmp_path / "Emilia").rename(tmp_path / "Emilia-YODAS")
    REPLICAS["emilia"](tmp_path)
    licences = {(utterance.group.split("/")[0], utterance.extra["licence"]) for utterance in entries("emilia", tmp_path)[0]}
    assert licences == {("Emilia", "CC BY-NC 4.0"), ("Emilia-YODAS", "CC BY 4.0")}
    assert {utterance.extra["licence"] for utterance in entries("emilia", tmp_path / "Emilia-YODAS")[0]} == {"CC BY 4.0"}
    assert {utterance.extra["licence"] for utterance in entries("emilia", tmp_path, licence="mine")[0]} == {"mine"}


def test_a_member_of_an_archive_is_the_recording(tmp_path: Path) -> None:
    """The same digest and sound as the file would have that was packed."""
    REPLICAS["emilia"](tmp_path)
    for utterance in entries("emilia", tmp_path)[0]:
        number = int(utterance.text.split()[-1][0]) + 5 * (utterance.language == "de")
        alone = put(tmp_path / "alone.mp3", sound_bytes(number, "mp3"))
        assert audio_digest(utterance.audio) == audio_digest(type(utterance.audio)(str(alone)))


def test_nemo_durations_are_no_stretches_but_offsets_are(tmp_path: Path) -> None:
    """A rounded duration of a whole file would reach behind its end."""
    REPLICAS["manifest"](tmp_path)
    found, _ = entries("manifest", tmp_path, table="train.jsonl")
    assert {(u.text, u.audio.start_s, u.audio.duration_s) for u in found} == {("one", 0.0, None), ("two", 0.0, 1.0), ("three", 1.0, 1.5), ("", 0.0, None)}


def test_columns_of_a_manifest_can_be_named(tmp_path: Path) -> None:
    put_sound(tmp_path / "a.wav", 0)
    put(tmp_path / "t.csv", "datei,satz,wer\na.wav,hallo,ich\n")
    (only,), _ = entries("manifest", tmp_path, table=["t.csv"], columns={"path": "datei", "text": "satz", "speaker": "wer"})
    assert (only.text, only.speaker) == ("hallo", "ich")
    with pytest.raises(UsageError, match="has no column 'path' or 'audio_filepath'"):
        entries("manifest", tmp_path, table="t.csv")
    with pytest.raises(ValueError, match=r"'paht' is none of ours. Did you mean 'path'"):
        entries("manifest", tmp_path, table="t.csv", columns={"paht": "datei"})


def test_both_sides_of_a_call_are_two_utterances(tmp_path: Path) -> None:
    put(tmp_path / "t.csv", "path,text,channel\na.wav,x,0\na.wav,y,1\n")
    found, _ = entries("manifest", tmp_path, table="t.csv")
    assert len({u.id for u in found}) == 2 and sorted(u.audio.channel or 0 for u in found) == [0, 1]


# --- Hugging Face


def parquet(root: Path, numbers: range, name: str = "data/train-00000-of-00002.parquet") -> None:
    sounds = pa.array([{"bytes": sound_bytes(number, "mp3"), "path": f"{number}.mp3"} for number in numbers])
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"audio": sounds, "text": [f"row {number}" for number in numbers]}), root / name, row_group_size=2)


def test_sounds_in_arrow_lie_where_datasets_reads_them(tmp_path: Path) -> None:
    from datasets import Audio, load_from_disk

    REPLICAS["huggingface"](tmp_path)
    expected = [row["audio"]["bytes"] for row in load_from_disk(str(tmp_path / "train")).cast_column("audio", Audio(decode=False))]
    found = sorted(entries("huggingface", tmp_path, splits=["train"])[0], key=lambda u: u.text)
    for utterance, content in zip(found, expected, strict=True):
        assert utterance.audio.path.endswith(".arrow") and utterance.audio.offset is not None
        with open(utterance.audio.path, "rb") as file:
            file.seek(utterance.audio.offset)
            assert file.read(utterance.audio.nbytes) == content


def test_the_split_of_parquet_that_the_hub_has_converted_is_its_folder(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "test")):
        parquet(tmp_path / "hf", range(number, number + 1), f"default/{split}/0000.parquet")
    (only,), _ = entries("huggingface", tmp_path / "hf", spool=tmp_path / "spool", splits=["test"])
    assert (only.text, only.extra["split"]) == ("row 1", "test")


def test_sounds_in_parquet_are_copied_once(tmp_path: Path) -> None:
    parquet(tmp_path / "hf", range(5))
    parquet(tmp_path / "hf", range(5, 6), "data/test-00000-of-00001.parquet")
    with pytest.raises(UsageError, match=r"lie in packed pages. Name a folder for copies of them: `corpus\.spool`"):
        entries("huggingface", tmp_path / "hf")
    found, problems = entries("huggingface", tmp_path / "hf", spool=tmp_path / "spool")
    assert not problems and {(u.text, u.extra["split"]) for u in found} == {(f"row {n}", "test" if n == 5 else "train") for n in range(6)}
    for utterance in found:
        content = sound_bytes(int(utterance.text[-1]), "mp3")
        with open(utterance.audio.path, "rb") as file:
            file.seek(utterance.audio.offset or 0)
            assert file.read(utterance.audio.nbytes) == content
    spooled = {path: path.stat().st_mtime_ns for path in (tmp_path / "spool").iterdir()}
    assert len(spooled) == 2 and entries("huggingface", tmp_path / "hf", spool=tmp_path / "spool")[0] == found
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "spool").iterdir()} == spooled
    include = ["data/test*"]
    assert {u.text for u in entries("huggingface", tmp_path / "hf", spool=tmp_path / "spool", include=include)[0]} == {"row 5"}
    parquet(tmp_path / "hf", range(7, 12))
    assert len({u.audio.path for u in entries("huggingface", tmp_path / "hf", spool=tmp_path / "spool")[0]} | {str(path) for path in spooled}) == 3


def test_a_spool_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet(tmp_path / "hf", range(3))
    monkeypatch.setattr("valle_data.corpora.huggingface.sounds.os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(InputError, match=r"cannot be copied to .*No space left on device") as caught:
        entries("huggingface", tmp_path / "hf", spool=tmp_path / "spool")
    assert caught.value.reason is ReasonCode.STORAGE_FAILED and list((tmp_path / "spool").iterdir()) == []


def test_data_sets_without_sounds_or_splits(tmp_path: Path) -> None:
    pq.write_table(pa.table({"speech": [b"x"], "text": ["x"]}), tmp_path / "train-00000-of-00001.parquet")
    with pytest.raises(UsageError, match=r"no column of sounds, only 'speech', 'text'. Name it in `corpus\.columns\.audio`"):
        entries("huggingface", tmp_path)
    with pytest.raises(UsageError, match=r"has no column 'speach' \(`corpus\.columns\.audio`\)"):
        entries("huggingface", tmp_path, columns={"audio": "speach"})
    with pytest.raises(UsageError, match=r"has no split 'trian'. Did you mean 'train'"):
        entries("huggingface", tmp_path, splits=["trian"])
    found, _ = entries("huggingface", tmp_path, columns={"audio": "speech"}, spool=tmp_path / "spool")
    assert [u.audio.nbytes for u in found] == [1]


def test_rows_of_a_data_set_without_a_sound(tmp_path: Path) -> None:
    sounds = pa.array([None, {"bytes": None, "path": None}, {"bytes": None, "path": "pipe:cat x"}, {"bytes": None, "path": "a.wav"}])
    pq.write_table(pa.table({"audio": sounds}), tmp_path / "a.parquet")
    found, problems = entries("huggingface", tmp_path)
    assert [u.audio.path for u in found] == [str(tmp_path / "a.wav")]
    assert [(os.path.basename(p.path), p.reason) for p in problems] == [
        ("000000", ReasonCode.BAD_ROW),
        ("000001", ReasonCode.BAD_ROW),
        ("000002", ReasonCode.UNSAFE_MEMBER),
    ]


def test_caches_of_transformations_are_no_data(tmp_path: Path) -> None:
    REPLICAS["huggingface"](tmp_path)
    before = entries("huggingface", tmp_path)
    shutil.copy(next((tmp_path / "train").glob("*.arrow")), tmp_path / "train/cache-0123.arrow")
    assert entries("huggingface", tmp_path) == before
    state = json.loads((tmp_path / "train/state.json").read_text())
    put(tmp_path / "train/state.json", json.dumps({**state, "_indices_data_files": [{"filename": "indices.arrow"}]}))
    with pytest.raises(UsageError, match="is a choice of rows"):
        entries("huggingface", tmp_path)
