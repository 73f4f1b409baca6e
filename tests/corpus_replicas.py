"""Tiny replicas of the true layouts of corpora, with real sounds, made where a test wants them."""

import csv
import io
import json
import tarfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

RATE = 16000
SUBTYPES = {"wav": ("WAV", "PCM_16"), "flac": ("FLAC", "PCM_16"), "mp3": ("MP3", "MPEG_LAYER_III"), "ogg": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS")}


@dataclass(frozen=True)
class Expected:
    """What a replica holds: `said` is (speaker, group, language, text) of each utterance."""

    config: Mapping[str, Any]
    said: frozenset[tuple[str, str, str, str]]
    reasons: tuple[str, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict)


def sound_bytes(number: int, kind: str, seconds: float = 0.4) -> bytes:
    """A tone whose pitch is `number`'s own. Written in blocks: libsndfile's encoder for Ogg fails on a long sound at once."""
    time = np.arange(int(seconds * RATE)) / RATE
    samples = (0.3 * np.sin(2 * np.pi * (150 + 17 * number) * time)).astype(np.float32)
    container, subtype = SUBTYPES[kind]
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", RATE, 1, subtype, format=container) as file:
        for start in range(0, len(samples), RATE):
            file.write(samples[start : start + RATE])
    return buffer.getvalue()


def put(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def put_sound(path: Path, number: int, seconds: float = 0.4) -> Path:
    return put(path, sound_bytes(number, path.suffix[1:], seconds))


def put_tar(path: Path, members: Iterable[tuple[str, bytes]], kind: int = tarfile.USTAR_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=kind) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def folder(root: Path) -> Expected:
    for number, (speaker, text) in enumerate([("anna", "one"), ("anna", "two"), ("bert", "")]):
        put_sound(root / "train" / speaker / f"{number}.wav", number)
        if text:
            put(root / "train" / speaker / f"{number}.txt", text)
    return Expected({}, frozenset({("anna", "train", "en-us", "one"), ("anna", "train", "en-us", "two"), ("bert", "train", "en-us", "")}))


def manifest(root: Path) -> Expected:
    """NeMo's columns: whole files, a stretch of a long one, an absolute path."""
    put_sound(root / "wavs/0.wav", 0)
    put_sound(root / "wavs/long.flac", 1, seconds=3.0)
    absolute = put_sound(root / "wavs/2.ogg", 2)
    rows = [
        {"audio_filepath": "wavs/0.wav", "duration": 0.4000001, "text": "one", "speaker": 7, "mood": "calm"},
        {"audio_filepath": "wavs/long.flac", "offset": 0.0, "duration": 1.0, "text": "two", "speaker": "b", "lang": "de"},
        {"audio_filepath": "wavs/long.flac", "offset": 1.0, "duration": 1.5, "text": "three", "speaker": "b"},
        {"audio_filepath": str(absolute), "text": "", "group": "g"},
    ]
    put(root / "train.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    said = {("7", "manifest", "en-us", "one"), ("b", "manifest", "de", "two"), ("b", "manifest", "en-us", "three"), ("unknown", "g", "en-us", "")}
    return Expected({"table": "train.jsonl"}, frozenset(said), extra={"mood": "calm", "duration": "0.4000001"})


def ljspeech(root: Path) -> Expected:
    for number in (1, 2):
        put_sound(root / f"wavs/LJ001-000{number}.wav", number)
    put(root / "metadata.csv", 'LJ001-0001|Printing, in "1450"|Printing, in "fourteen fifty"\nLJ001-0002|has no numbers.|has no numbers.\n')
    said = {("LJ", "ljspeech", "en-us", 'Printing, in "fourteen fifty"'), ("LJ", "ljspeech", "en-us", "has no numbers.")}
    return Expected({}, frozenset(said), extra={"book": "LJ001"})


def vctk(root: Path) -> Expected:
    info = [
        "ID  AGE  GENDER  ACCENTS  REGION COMMENTS ",
        "p225  23  F    English    Southern  England",
        "p315  18  M    American   New England    (All of the txt files are lost)",
    ]
    put(root / "speaker-info.txt", "\n".join(info) + "\n")
    for number, (speaker, utterance) in enumerate([("p225", "001"), ("p225", "002"), ("p315", "001")]):
        for microphone in (1, 2) if speaker == "p225" else (1,):
            put_sound(root / f"wav48_silence_trimmed/{speaker}/{speaker}_{utterance}_mic{microphone}.flac", 2 * number + microphone)
        if speaker != "p315":
            put(root / f"txt/{speaker}/{speaker}_{utterance}.txt", f"Please call {utterance}.\n")
    said = {("p225", "vctk", "en-gb", "Please call 001.\n"), ("p225", "vctk", "en-gb", "Please call 002.\n"), ("p315", "vctk", "en-gb", "")}
    return Expected({}, frozenset(said), extra={"accent": "English", "region": "Southern England"})


def libritts(root: Path) -> Expected:
    put(root / "speakers.tsv", "READER\tGENDER\tSUBSET\tNAME\n103\tF\ttrain-clean-100\tKaren\n1034\tM\tdev-clean\tKevin\n")
    said = set()
    for number, (subset, reader) in enumerate([("train-clean-100", "103"), ("train-clean-100", "103"), ("dev-clean", "1034")]):
        stem = root / subset / reader / "1240" / f"{reader}_1240_000000_00000{number}"
        put_sound(stem.with_name(stem.name + ".wav"), number)
        if number != 1:
            put(stem.with_name(stem.name + ".normalized.txt"), f"Doctor number {number}")
            put(stem.with_name(stem.name + ".original.txt"), f"Dr. {number}")
        said.add((reader, subset, "en-us", f"Doctor number {number}" if number != 1 else ""))
    return Expected({}, frozenset(said), extra={"chapter": "1240", "gender": "F"})


def librilight(root: Path) -> Expected:
    stem = root / "small/100/sea_fairies_0812_librivox_64kb_mp3/01_baum_sea_fairies_64kb"
    put_sound(stem.with_suffix(".flac"), 0, seconds=6.0)
    voice = [[0.1, 1.0], [1.2, 2.0], [4.5, 5.9]]
    put(stem.with_suffix(".json"), json.dumps({"speaker": "100", "book_meta": {"id": "319", "title": "Sea Fairies"}, "snr": 9.1, "voice_activity": voice}))
    put_sound(root / "medium/200/book/x.flac", 1, seconds=2.0)
    put(root / "medium/200/book/x.json", json.dumps({"speaker": "200", "book_meta": {}, "snr": 3, "voice_activity": [[0.5, 1.5]]}))
    return Expected({}, frozenset({("100", "small", "en-us", ""), ("200", "medium", "en-us", "")}), extra={"snr": "9.1", "title": "Sea Fairies"})


def mls(root: Path) -> Expected:
    said = set()
    for language, tag, kind in (("german", "de", "flac"), ("polish_opus", "pl", "opus")):
        home = root / f"mls_{language}"
        put(
            home / "metainfo.txt",
            " SPEAKER   |   GENDER   | PARTITION  |  MINUTES   |  BOOK ID   |   TITLE  | CHAPTER \n 1844 | F | train | 9.1 | 931 | Ein Titel | Kapitel 1\n",
        )
        rows = []
        for number in (0, 1):
            name = f"1844_931_00000{number}"
            put_sound(home / f"train/audio/1844/931/{name}.{kind}", number + 2 * (kind == "opus"))
            rows.append(f"{name}\tein satz über {number}\n")
            said.add(("1844", "train", tag, f"ein satz über {number}"))
        put(home / "train/transcripts.txt", "".join(rows))
        put(home / "train/segments.txt", "".join(f"{row.split(chr(9))[0]}\thttp://www.archive.org/x.mp3\t0.0\t0.4\n" for row in rows))
    return Expected({}, frozenset(said), extra={"book": "931", "gender": "F"})


def commonvoice(root: Path) -> Expected:
    header = ["client_id", "path", "sentence", "up_votes", "down_votes", "age", "gender", "accents", "locale", "segment"]
    said = set()
    for locale, tag in (("de", "de"), ("zh-CN", "zh-cn")):
        buffer = io.StringIO()
        writer = csv.writer(buffer, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None, lineterminator="\n", escapechar=None)
        writer.writerow(header)
        for number in (0, 1):
            clip = f"common_voice_{locale}_1729895{number}.mp3"
            put_sound(root / locale / "clips" / clip, number + len(locale))
            writer.writerow([f"c{number}" * 30, clip, f'Sie sagte: "{number}', "2", "0", "twenties", "", "", locale, ""])
            said.add((f"c{number}" * 30, locale, tag, f'Sie sagte: "{number}'))
        put(root / locale / "validated.tsv", buffer.getvalue())
    return Expected({}, frozenset(said), extra={"age": "twenties", "split": "validated"})


def emilia(root: Path) -> Expected:
    said = set()
    for language in ("EN", "DE"):
        members = []
        for number in (0, 1):
            name = f"{language}_B00000_S0000{number}_W000000"
            values = {
                "id": name,
                "wav": f"{language}_B00000/{language}_B00000_S0000{number}/mp3/{name}.mp3",
                "text": f" Number {number}.",
                "duration": 0.4,
                "speaker": f"{language}_B00000_S0000{number}",
                "language": language.lower(),
                "dnsmos": 3.29,
            }
            members += [(f"{name}.json", json.dumps(values).encode()), (f"{name}.mp3", sound_bytes(number + 5 * (language == "DE"), "mp3"))]
            said.add((values["speaker"], f"Emilia/{language}", language.lower(), f"Number {number}."))
        put_tar(root / f"Emilia/{language}/{language}-B000000.tar", members)
    return Expected({}, frozenset(said), extra={"dnsmos": "3.29"})


def gigaspeech(root: Path) -> Expected:
    put_sound(root / "audio/podcast/P0000/POD0000000001.opus", 3, seconds=4.0)
    segments = [
        ("S0", 0.0, 1.5, "AS IT'S <COMMA> WELL <PERIOD>", ["{XL}", "{XS}"]),
        ("S1", 1.5, 2.5, "<NOISE>", ["{XL}", "{XS}"]),
        ("S2", 2.5, 3.5, "IS IT <QUESTIONMARK>", ["{XL}", "{XS}"]),
        ("S3", 3.5, 3.9, "OTHER PART", ["{XL}"]),
    ]
    audio = {
        "title": "A talk",
        "url": "http://example.org",
        "path": "audio/podcast/P0000/POD0000000001.opus",
        "aid": "POD0000000001",
        "source": "podcast",
        "sample_rate": 16000,
        "subsets": ["{XL}"],
        "segments": [
            {"sid": f"POD0000000001_{sid}", "speaker": "N/A", "begin_time": begin, "end_time": end, "text_tn": text, "subsets": subsets}
            for sid, begin, end, text, subsets in segments
        ],
    }
    put(root / "GigaSpeech.json", json.dumps({"dataset": "GigaSpeech", "language": "EN", "version": "1.0.0", "audios": [audio]}, indent=2))
    said = {("unknown", "podcast", "en", "as it's, well."), ("unknown", "podcast", "en", "is it?")}
    return Expected({"subset": "XS"}, frozenset(said), ("text_unspeakable",), extra={"title": "A talk"})


def lhotse(root: Path) -> Expected:
    """Written by lhotse itself: a CutSet with two supervisions in one recording, and a Shar folder."""
    from lhotse import CutSet, MonoCut, Recording, SupervisionSegment

    path = put_sound(root / "audio/a.wav", 0, seconds=3.0)
    recording = Recording.from_file(path)

    def supervision(name: str, start: float, duration: float, text: str, speaker: str) -> "SupervisionSegment":
        return SupervisionSegment(name, recording.id, start, duration, text=text, speaker=speaker, language="English", gender="F")

    first, second = supervision("s1", 0.0, 1.0, "one", "ann"), supervision("s2", 1.0, 1.5, "two", "bob")
    cuts = CutSet.from_cuts([MonoCut("c1", 0.5, 2.5, 0, supervisions=[first, second], recording=recording)])
    cuts.to_file(root / "train_cuts.jsonl.gz")
    whole = [
        MonoCut(
            f"w{number}",
            0,
            1.0,
            0,
            [supervision(f"w{number}", 0.0, 1.0, f"cut {number}", "eve")],
            recording=Recording.from_file(put_sound(root / f"audio/w{number}.wav", 1 + number, 1.0)),
        )
        for number in (0, 1)
    ]
    (root / "shar").mkdir()
    CutSet.from_cuts(whole).to_shar(root / "shar", fields={"recording": "flac"}, shard_size=2)
    said = {("ann", "lhotse", "en", "one"), ("bob", "lhotse", "en", "two"), ("eve", "lhotse", "en", "cut 0"), ("eve", "lhotse", "en", "cut 1")}
    return Expected({}, frozenset(said), extra={"gender": "F"})


def huggingface(root: Path) -> Expected:
    """Written by `datasets` itself: a DatasetDict of sounds in Arrow, with numbers for speakers."""
    from datasets import Audio, ClassLabel, Dataset, DatasetDict

    def part(first: int, count: int) -> "Dataset":
        numbers = range(first, first + count)
        sounds = [{"bytes": sound_bytes(number, "flac"), "path": f"{number}.flac"} for number in numbers]
        rows = {"audio": sounds, "sentence": [f"row {number}" for number in numbers], "speaker": [number % 2 for number in numbers], "rating": [5] * count}
        return Dataset.from_dict(rows).cast_column("audio", Audio()).cast_column("speaker", ClassLabel(names=["ann", "bob"]))

    DatasetDict({"train": part(0, 3), "test": part(3, 1)}).save_to_disk(root)
    said = {(("ann", "bob")[number % 2], "huggingface", "en-us", f"row {number}") for number in range(4)}
    return Expected({}, frozenset(said), extra={"rating": "5", "split": "train"})


REPLICAS: Mapping[str, Callable[[Path], Expected]] = {
    function.__name__: function
    for function in (folder, manifest, ljspeech, vctk, libritts, librilight, mls, commonvoice, emilia, gigaspeech, lhotse, huggingface)
}
