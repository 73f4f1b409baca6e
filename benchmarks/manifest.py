"""T19 and T12: bytes and speed of the merged index, beside the same rows as JSON lines; and opening a data set of many parts.

    python benchmarks/manifest.py --work work/manifest -o docs/benchmarks/manifest.md

The rows are made up by a law: Zipf-distributed words of one to four syllables, about 68 characters and as many phones an utterance, 200 utterances a speaker,
130 a part, digests at random. Codes are two frames, the same for all of a part, because they do not matter here; so their checksum, four bytes with real
codes, takes none. Writing a million utterances takes about half
an hour the first time; parts that are there are kept.
"""

# pyarrow makes its compute functions when it is imported, where pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

import argparse
import json
import os
import shutil
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash
from record import Table, median_and_spread, write_record

from valle_data.dataset import Dataset
from valle_data.records import AudioRef, CodecSpec, CodedUtterance, Utterance
from valle_data.samplers.plan import Place, Plan, SamplerConfig
from valle_data.shards.base import record_path
from valle_data.shards.commit import commit_part
from valle_data.shards.compact import ROWS, compact
from valle_data.shards.index import PartIdentity
from valle_data.shards.manifest import DatasetManifest, PhonemizerStamp
from valle_data.shards.tar import TarShard
from valle_data.text.vocabulary import Vocabulary

SYMBOLS = "abdefhijklmnopstuvwzæðŋɐɑɔəɚɛɡɪɹɾʃʊʌʒθˈː"
SYLLABLES = "ba ko ti mer lon sta pi ter ing ous ver al de con ma un re ble ly est".split()
SPEC = CodecSpec("encodec", "0" * 64, 24_000, 75.0, 8, 1024)
CONFIG_HASH = "0" * 64
COLUMNS = {"rms_dbfs": "float", "snr_db": "float"}
IN_A_PART, OF_A_SPEAKER = 130, 200
ROUNDS = 5


def words(count: int = 8_000) -> list[tuple[str, str]]:
    """Words and their phones."""
    generator = np.random.default_rng(0)
    made = {"".join(generator.choice(SYLLABLES, generator.integers(1, 5))) for _ in range(count)}
    return [(word, "".join(SYMBOLS[zlib.crc32(f"{word} {letter}".encode()) % len(SYMBOLS)] for letter in word)) for word in sorted(made)]


class Law:
    """The utterances of a part, whatever other parts there are."""

    def __init__(self) -> None:
        self._words = words()
        chance = 1 / np.arange(1, len(self._words) + 1)
        self._cumulated = np.cumsum(chance / chance.sum())[:-1]

    def utterances(self, numbers: range) -> Iterator[CodedUtterance]:
        generator = np.random.default_rng(numbers.start)
        lengths = np.maximum(3, generator.normal(11, 4, len(numbers)).round().astype(int))
        chosen = np.split(np.searchsorted(self._cumulated, generator.random(lengths.sum())), np.cumsum(lengths)[:-1])
        scores = generator.normal(-20, 5, (len(numbers), len(COLUMNS))).astype(np.float32).tolist()
        codes = generator.integers(0, 1024, (8, 2), dtype=np.uint16)
        for number, picked, values in zip(numbers, chosen, scores, strict=True):
            spoken = [self._words[index] for index in picked.tolist()]
            text, phones = " ".join([word for word, _ in spoken]).capitalize() + ".", " ".join([sounds for _, sounds in spoken])
            name = f"{number // OF_A_SPEAKER:05d}_{number // 20:06d}_{number % 20:06d}"
            speaker, digest = f"s{name[:5]}", xxhash.xxh3_128_hexdigest(name.encode())
            audio = AudioRef(f"corpus/train/{name[:5]}/{name}.flac")
            utterance = Utterance(f"s{name}-{digest[:8]}", audio, text, speaker, "train", "en-us", {}, "made-up")
            duration_s = round(len(spoken) * 0.35 * 24_000 + number % 997) / 24_000
            yield CodedUtterance(utterance, tuple(phones), codes, duration_s, digest[::-1], text, dict(zip(COLUMNS, values, strict=True)), 24_000)


def make(folder: Path, num_utterances: int) -> Path:
    """A data set of so many utterances; without fsync, because it is no one's data."""
    for name in ("shards", "quarantine"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    phonemizer = PhonemizerStamp("made-up", "1", {})
    DatasetManifest(SPEC, {"name": "encodec"}, phonemizer, Vocabulary((" ", *SYMBOLS)), CONFIG_HASH, {}, COLUMNS).save(folder)
    law = Law()
    with mock.patch.object(os, "fsync"):
        for part in range(-(-num_utterances // IN_A_PART)):
            if not record_path(folder, part).exists():
                identity = PartIdentity(part, xxhash.xxh3_128_hexdigest(f"{part}".encode()) * 2, "i" * 64, CONFIG_HASH, SPEC.name, COLUMNS)
                numbers = range(part * IN_A_PART, min((part + 1) * IN_A_PART, num_utterances))
                commit_part(folder, identity, list(law.utterances(numbers)), [], TarShard())
    return folder


def json_lines(index: Path, target: Path, num_rows: int) -> None:
    """What a loader needs of each row, phones as one string, as JSON lines."""
    names = ["utt_id", "shard", "offset", "nbytes", "crc32", "num_frames", "duration_s", "group", "speaker", "language", "text", "phones", *COLUMNS]
    table = pq.read_table(index, columns=names).slice(0, num_rows)
    with target.open("w", encoding="utf-8") as file:
        for row in table.to_pylist():
            file.write(json.dumps({**row, "phones": "".join(row["phones"])}, ensure_ascii=False) + "\n")


def scan_json(path: Path) -> int:
    """Rows that pass four predicates."""
    count = 0
    with path.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            count += 1.5 < row["duration_s"] < 20 and row["language"] == "en-us" and row["rms_dbfs"] > -30 and row["snr_db"] > -25
    return count


def scan_index(path: Path) -> int:
    """The same of the merged index, its page checksums verified."""
    table = pq.read_table(path, columns=["duration_s", "language", "rms_dbfs", "snr_db"], page_checksum_verification=True, use_threads=False)
    duration_s = table["duration_s"]
    passed = [
        pc.and_(pc.greater(duration_s, 1.5), pc.less(duration_s, 20)),
        pc.equal(table["language"], "en-us"),
        pc.and_(pc.greater(table["rms_dbfs"], -30), pc.greater(table["snr_db"], -25)),
    ]
    return pc.sum(pc.and_(pc.and_(passed[0], passed[1]), passed[2])).as_py()


def cpu_s(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def sizes(path: Path, num_rows: int) -> Iterator[tuple[str, str]]:
    """Bytes an utterance by column, the largest first."""
    metadata, by_column = pq.ParquetFile(path).metadata, dict[str, int]()
    for group in range(metadata.num_row_groups):
        for column in (metadata.row_group(group).column(number) for number in range(metadata.num_columns)):
            name = column.path_in_schema.partition(".")[0]
            by_column[name] = by_column.get(name, 0) + column.total_compressed_size
    for name, nbytes in sorted(by_column.items(), key=lambda item: -item[1]):
        if nbytes / num_rows >= 0.05:
            yield name, f"{nbytes / num_rows:.1f}"


def open_and_begin(folder: Path) -> Dataset:
    """What a training run does before its first batch."""
    data = Dataset.open(folder)
    plan = Plan(data.columns, SamplerConfig(max_positions=16_384, prompt_min_duration_s=0.01, prompt_max_duration_s=0.02))
    for row in plan.micro_batch(Place()).rows.tolist():
        data.codes(row)
    return data


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("work/manifest"))
    parser.add_argument("--utterances", type=int, default=1_000_000)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/benchmarks/manifest.md"))
    args = parser.parse_args()
    folder, count = make(args.work, args.utterances), args.utterances
    compacted_s = cpu_s(lambda: compact(folder))
    index, lines = folder / "metadata" / ROWS, args.work / "rows.jsonl"
    few = min(count, 100_000)
    json_lines(index, lines, few)
    scans = {"JSON lines": [few / cpu_s(lambda: scan_json(lines)) for _ in range(ROUNDS)]}
    scans["merged index"] = [count / cpu_s(lambda: scan_index(index)) for _ in range(ROUNDS)]
    opens = {"merged": [cpu_s(lambda: open_and_begin(folder)) for _ in range(ROUNDS)]}
    nbytes, opened = index.stat().st_size / count, open_and_begin(folder)
    shutil.move(folder / "metadata", args.work / "away")
    opens["part by part"] = [cpu_s(lambda: open_and_begin(folder))]
    shutil.move(args.work / "away", folder / "metadata")
    num_parts = -(-count // IN_A_PART)
    ratio = np.median(scans["merged index"]) / np.median(scans["JSON lines"])
    summary = (
        f"{count:,} utterances in {num_parts:,} parts: {nbytes:.1f} bytes an utterance in the merged index, {lines.stat().st_size / few:.0f} as JSON lines "
        f"with fewer columns. Four predicates over it are {ratio:.0f}x as fast. Opening the data set takes {opened.nbytes / count:.1f} bytes an utterance of "
        f"memory, phones included; merging it took {compacted_s:.0f} s of CPU-time."
    )
    tables = [
        Table("Scanning (T19): rows per CPU-second through four predicates", ("what", "rows/s"), tuple((k, median_and_spread(v)) for k, v in scans.items())),
        Table("Opening until the first batch (T12), CPU-time", ("what", "s"), tuple((k, median_and_spread(v)) for k, v in opens.items())),
        Table("Bytes an utterance in the merged index, by column", ("column", "bytes"), tuple(sizes(index, count))),
    ]
    write_record(
        args.output,
        "The index of a data set",
        summary,
        tables,
        [
            "Part by part is measured once; everything else five times.",
            "The codes of a part are alike here, so that `crc32` takes nothing; with real codes add 4 bytes.",
        ],
    )
    print(args.output.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
