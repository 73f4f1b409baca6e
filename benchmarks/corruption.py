"""D3: flip bits and cut files of a small data set, one at a time, and count what goes unseen and what is salvaged.

    python benchmarks/corruption.py -o docs/benchmarks/corruption.md

Each fault hits one file: a shard (tar or HDF5), an index, a quarantine table, vectors, a commit record, the merged rows of `valle metadata compact`, or
`dataset.json`. It counts as silent when a reader that opens the data set and touches every row gets anything else than what was written without an error, or
when the check of the whole data set finds nothing although the bytes differ. Of a damaged shard, an utterance is undamaged when none of its codes' bytes was
hit; salvaged it counts when `valle repair` would keep it with the very codes that were written. Takes about ten minutes.
"""

import argparse
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from corpus_law import write
from loader import fresh_loader, load
from record import Table, median_and_spread, write_record

from valle_data.dataset import Dataset
from valle_data.errors import InputError, ReasonCode
from valle_data.records import AudioRef, CodecSpec, CodedUtterance, Rejection, Utterance
from valle_data.shards import SHARDS
from valle_data.shards.base import index_path, quarantine_path, record_path, side_path
from valle_data.shards.check import check_dataset
from valle_data.shards.commit import commit_part, committed_parts, read_part_index
from valle_data.shards.compact import ROWS, compact
from valle_data.shards.index import PartIdentity
from valle_data.shards.manifest import NAME, DatasetManifest, PhonemizerStamp
from valle_data.shards.rebuild import salvage
from valle_data.shards.record import CommitRecord, shard_format
from valle_data.text.vocabulary import Vocabulary

SPEC = CodecSpec("mini", "0" * 64, 24_000, 75.0, 8, 1024)
SYMBOLS = tuple("abdefhijklmnopstuvwz ")
CONFIG_HASH = "0" * 64
COLUMNS = {"rms_dbfs": "float"}
NUM_UTTERANCES = 24
DAMAGED_PART = 1


def make(folder: Path, shards: str) -> Path:
    """Two parts of two dozen utterances of two to six seconds, with vectors and refusals, merged too."""
    for name in ("shards", "quarantine", "vectors", "plan", "metadata"):
        (folder / name).mkdir(parents=True)
    phonemizer = PhonemizerStamp("made-up", "1", {})
    DatasetManifest(SPEC, {"name": "mini"}, phonemizer, Vocabulary(tuple(sorted(SYMBOLS))), CONFIG_HASH, {}, COLUMNS).save(folder)
    for part in range(2):
        identity = PartIdentity(part, f"part {part}", "input", CONFIG_HASH, SPEC.name, COLUMNS)
        refused = [Rejection(f"bad{part}", "bad.wav", "decode", ReasonCode.NOT_AUDIO, "bad.wav is empty", "f")]
        commit_part(folder, identity, [_utterance(part, index) for index in range(NUM_UTTERANCES)], refused, SHARDS[shards]())
    compact(folder)
    return folder


def _utterance(part: int, index: int) -> CodedUtterance:
    generator = np.random.default_rng([part, index])
    num_frames = int(generator.integers(150, 450))
    codes = generator.integers(0, SPEC.codebook_size, (SPEC.num_levels, num_frames), dtype=np.uint16)
    phones = tuple(SYMBOLS[symbol] for symbol in generator.integers(0, len(SYMBOLS), 60))
    name, text = f"p{part}-u{index:03d}", "".join(phones)
    utterance = Utterance(name, AudioRef(f"corpus/{name}.wav"), text, f"s{part}", "g", "en-us", {}, "made-up")
    vectors = {"speaker": generator.normal(size=16).astype(np.float32)}
    return CodedUtterance(utterance, phones, codes, num_frames / 75, f"{index:032x}", text, {"rms_dbfs": -20.0}, 24_000, vectors)


@dataclass
class Count:
    """What became of the faults in one kind of file."""

    faults: int = 0
    silent: int = 0
    undamaged: int = 0
    salvaged: int = 0
    examples: list[str] = field(default_factory=list)


class Specimen:
    """A data set that is damaged, looked at, and made whole again."""

    def __init__(self, folder: Path, shards: str) -> None:
        self.folder = make(folder, shards)
        self.record: CommitRecord = committed_parts(self.folder)[DAMAGED_PART]
        self.shard = self.folder / "shards" / self.record.shard
        self.targets = {
            f"{shards} shard": self.shard,
            "index": index_path(self.folder, DAMAGED_PART),
            "quarantine": quarantine_path(self.folder, DAMAGED_PART),
            "vectors": side_path(self.folder, DAMAGED_PART, "speaker"),
            "commit record": record_path(self.folder, DAMAGED_PART),
            "merged rows": self.folder / "metadata" / ROWS,
            "dataset.json": self.folder / NAME,
        }
        self._rows = read_part_index(self.folder, self.record).to_pylist()
        self._expected = self._read()

    def _read(self) -> list[bytes]:
        """Everything a training run gets of the data set."""
        data = Dataset.open(self.folder)
        texts = [(data.speaker(row), data.group(row), data.language(row), [data.vocabulary.symbols[i] for i in data.phones(row)]) for row in range(len(data))]
        return [repr(texts).encode(), repr((data.codec, data.vocabulary)).encode(), *(data.codes(row).tobytes() for row in range(len(data)))]

    def _is_silent(self, kind: str) -> str:
        """Why the damage went unseen; empty when it did not."""
        try:
            if self._read() != self._expected:
                return "read otherwise than written"
        except InputError:
            pass
        if kind == "merged rows":
            return ""  # a copy that is not used once it is damaged, so there is nothing to report
        try:
            return "" if check_dataset(self.folder) else "the check found nothing"
        except InputError:
            return ""

    def hit(self, kind: str, damage: Callable[[bytes], bytes], count: Count) -> None:
        """Damage the file of this kind, look, and put it back."""
        path = self.targets[kind]
        original, status = path.read_bytes(), path.stat()
        damaged = damage(original)
        path.write_bytes(damaged)
        count.faults += 1
        if why := self._is_silent(kind):
            count.silent += 1
            count.examples.append(f"{kind}: {why}")
        if path == self.shard:
            self._salvage(original, damaged, count)
        path.write_bytes(original)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # the merged copy goes by the times of the records

    def _salvage(self, original: bytes, damaged: bytes, count: Count) -> None:
        header_bytes = shard_format(self.record).header_bytes
        whole = {}
        for row in self._rows:
            start, stop = row["offset"] + header_bytes, row["offset"] + row["nbytes"]
            if damaged[start:stop] == original[start:stop]:
                whole[row["utt_id"]] = original[start:stop]
        try:
            saved = salvage(self.folder, self.record, DatasetManifest.load(self.folder))
            kept = {sample.id: sample.codes.tobytes() for sample in shard_format(self.record).read(saved.shard.data, self.shard)}
        except InputError:
            kept = {}
        wrong = [name for name, codes in kept.items() if whole.get(name) != codes]
        count.silent += bool(wrong)
        count.undamaged += len(whole)
        count.salvaged += len(kept.keys() & whole.keys())


def flip(generator: random.Random) -> Callable[[bytes], bytes]:
    """One random bit."""

    def damage(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[generator.randrange(len(changed))] ^= 1 << generator.randrange(8)
        return bytes(changed)

    return damage


def cut(generator: random.Random) -> Callable[[bytes], bytes]:
    """At least one byte off the end."""
    return lambda data: data[: generator.randrange(len(data))]


def sweep(folder: Path, num_flips: int, num_cuts: int, seed: int = 0) -> tuple[dict[str, Count], dict[str, Count]]:
    """Flips and cuts, each by kind of file; half of the faults hit shards, the others go round."""
    generator = random.Random(seed)
    specimens = [Specimen(folder / name, name) for name in SHARDS]
    flips, cuts = Counter[str](), Counter[str]()
    found: tuple[dict[str, Count], dict[str, Count]] = {}, {}
    for counts, tally, number, make_damage in ((found[0], flips, num_flips, flip), (found[1], cuts, num_cuts, cut)):
        for index in range(number):
            specimen = specimens[index % len(specimens)]
            kinds = list(specimen.targets)
            kind = kinds[0] if index // len(specimens) % 2 else kinds[1 + tally[str(specimen.folder)] % (len(kinds) - 1)]
            tally[str(specimen.folder)] += kind != kinds[0]
            specimen.hit(kind, make_damage(generator), counts.setdefault(kind, Count()))
    return found


def verification_cost(folder: Path, groups: int = 5, rounds: int = 6) -> list[float]:
    """How much more CPU-time an epoch of batches takes when every row is verified in it (checksum, header, code range), fastest against fastest of
    interleaved rounds, by groups of rounds.
    """
    loader = fresh_loader(write(folder, speakers=10, num_utterances=100))
    num_rows = len(loader.dataset)
    load(loader, 2 * num_rows)

    def epoch_s(is_verified: bool) -> float:
        loader.dataset._checked[:] = is_verified
        start = time.process_time()
        num_loaded = load(loader, num_rows)
        return (time.process_time() - start) / num_loaded

    costs = []
    for _ in range(groups):
        spent = [(epoch_s(False), epoch_s(True)) for _ in range(rounds)]
        costs.append(min(first for first, _ in spent) / min(later for _, later in spent) - 1)
    return costs


def report(flips: dict[str, Count], cuts: dict[str, Count], costs: list[float], output: Path) -> None:
    """Write the record."""
    rows = [
        (what, kind, f"{count.faults:,}", str(count.silent), f"{count.salvaged:,} of {count.undamaged:,}", f"{count.salvaged / count.undamaged:.2%}")
        if count.undamaged
        else (what, kind, f"{count.faults:,}", str(count.silent), "-", "-")
        for what, counts in (("one bit flipped", flips), ("cut anywhere", cuts))
        for kind, count in counts.items()
    ]
    faults, silent = (sum(getattr(count, name) for counts in (flips, cuts) for count in counts.values()) for name in ("faults", "silent"))
    summary = (
        f"{faults:,} faults, {silent} silent. A fault is silent when the data set reads otherwise than it was written without an error, or its check finds "
        f"nothing. Verifying every utterance, which happens when a process first touches it, takes {median_and_spread([100 * cost for cost in costs])} % "
        "of the CPU-time of making the first epoch of batches, and nothing in later epochs."
    )
    columns = ("fault", "file", "faults", "silent", "undamaged utterances salvaged", "share")
    notes = ["An utterance is undamaged when no byte of its codes was hit. What was salvaged was compared with what was written."]
    write_record(output, "Damage to a data set", summary, [Table("D3", columns, tuple(rows))], notes)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=int, default=10_000)
    parser.add_argument("--cuts", type=int, default=2_000)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/benchmarks/corruption.md"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        costs = verification_cost(Path(temporary) / "cost")
        flips, cuts = sweep(Path(temporary) / "sweep", args.flips, args.cuts)
    report(flips, cuts, costs, args.output)
    print(args.output.read_text(encoding="utf-8"))
    for example in {example for counts in (flips, cuts) for count in counts.values() for example in count.examples}:
        print("silent:", example)


if __name__ == "__main__":
    main()
