"""T16: prepare a corpus of real recordings with and without faulty files of every kind, one run after the other in turns.

    python benchmarks/faulty_corpus.py -o docs/benchmarks/faulty_corpus.md

The corpus are the digit strings of examples/digits, as they are and at other levels. To each hundred of them comes a file of one of the kinds of
`faulty_files.py`: what is no audio, cut or lying files, unusable samples, bombs, odd names, texts that cannot be read, copies. At the end comes a corpus with
one file in a hundred of every kind. Those that crash or hang the decoder do so by a hook in the decoder's own process, as no file is known that crashes
libsndfile; what happens there is real (SIGSEGV, SIGSTOP, memory without end). Every fault must be in quarantine with its reason, and every good recording in
the data set with the codes that it has without the others. Stages run in one process, with the bundled codec and espeak. CPU-time is that of all processes.
"""

import argparse
import gc
import io
import itertools
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from faulty_files import HANGS, KEPT, MAKERS, Given  # noqa: E402
from record import Table, median_and_spread, write_record  # noqa: E402

from pipelines import prepare  # noqa: E402
from pipelines.console import Console  # noqa: E402
from pipelines.executors.local import LocalExecutor  # noqa: E402
from pipelines.prepare_config import PrepareConfig  # noqa: E402
from valle_data.decoder_process import DecoderProcess  # noqa: E402
from valle_data.shards.commit import committed_parts, read_part_index, read_quarantine  # noqa: E402
from valle_data.shards.index import printable  # noqa: E402

TIME_LIMIT_S = 4.0
MAX_DECODED_BYTES = 64 << 20
TRIES = 2
"""Of a file that hangs the decoder."""
SPEAKER = "zz"
"""Who speaks in the faulty files: the last, so that copies come behind their originals."""


@dataclass(frozen=True)
class Faulty:
    """A corpus: where it lies, and what is to become of each of its faulty files, by path."""

    folder: Path
    expected: dict[str, str]
    kinds: dict[str, str]


@dataclass(frozen=True)
class Outcome:
    """What a run made: what became of each path (KEPT or a reason), the checksum of the codes of each utterance, and what it took of all processes."""

    found: dict[str, str]
    codes: dict[str, int]
    wall_s: float
    cpu_s: float

    def wrong(self, corpus: Faulty) -> list[str]:
        """Faulty files of which something else became than was to be expected."""
        became = {path: self.found.get(path, "nothing at all") for path in corpus.expected}
        return [f"{corpus.kinds[path]}: {became[path]}, not {reason}" for path, reason in corpus.expected.items() if became[path] != reason]


def make_good(folder: Path, num_good: int) -> list[Path]:
    """The first recordings of examples/digits under `folder`; after the last they begin again, each time quieter. Returns where they come from."""
    sources = sorted((ROOT / "examples/digits").rglob("*.ogg"))
    for number in range(num_good):
        source, again = sources[number % len(sources)], number // len(sources)
        target = folder / "train" / source.parent.name / f"{source.parents[1].name}-{again}-{source.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.with_suffix(".txt"), target.with_suffix(".txt"))
        if again:
            samples, rate = soundfile.read(source, dtype="float32")
            soundfile.write(target.with_suffix(".flac"), samples * 0.8**again, rate)
        else:
            shutil.copyfile(source, target)
    return sources[:num_good]


def make_corpus(folder: Path, num_good: int, each: int, makers: Sequence[tuple[str, Callable[[Given], dict[str, str]]]] = MAKERS) -> Faulty:
    """`num_good` recordings under `folder`, and `each` files of each kind made from them."""
    sources = make_good(folder, num_good)
    place = folder / "train" / SPEAKER
    place.mkdir(parents=True, exist_ok=True)
    expected: dict[str, str] = {}
    labels: dict[str, str] = {}
    for serial, (number, (label, maker)) in enumerate(itertools.product(range(each), makers)):
        samples, rate = soundfile.read(sources[serial % len(sources)], dtype="float32")
        given = Given(place, number, np.asarray(samples, np.float32), rate, gain=0.95 - 0.0005 * serial)
        made = {printable(path): reason for path, reason in maker(given).items()}
        expected |= made
        labels |= dict.fromkeys(made, label)
    return Faulty(folder, expected, labels)


def run(corpus: Faulty, output: Path, **changes: object) -> Outcome:
    """Prepare the corpus into a new folder."""
    decode = {"time_limit_s": TIME_LIMIT_S, "max_decoded_bytes": MAX_DECODED_BYTES}
    settings = {"codec": "mini", "phonemizer": "espeak", "part_duration_s": 120.0, "max_quarantine_fraction": 1.0, "decode": decode}
    config = PrepareConfig.model_validate({"corpus": {"name": "folder", "root": corpus.folder, "language": "en-us"}, **settings, **changes})
    console = Console(stdout=io.StringIO(), as_json=True)
    began, before_s = time.monotonic(), cpu_s()
    code = prepare.run(config, output, executor=LocalExecutor.Config(workers=0), console=console)
    gc.collect()  # what a decoder's process took is known once it is gone
    wall_s, used_s = time.monotonic() - began, cpu_s() - before_s
    if code:
        raise SystemExit(f"prepare ended with {code}")
    records = committed_parts(output)
    rows = [row for record in records for row in read_part_index(output, record, ["utt_id", "source_uri", "crc32"]).to_pylist()]
    refused = [row for record in records for row in read_quarantine(output, record).to_pylist()]
    found = {row["path"]: row["reason"] for row in refused} | {row["source_uri"]: KEPT for row in rows}
    return Outcome(found, {row["utt_id"]: row["crc32"] for row in rows}, wall_s, used_s)


def cpu_s() -> float:
    """CPU-time of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


@dataclass(frozen=True)
class Round:
    """A corpus with faulty files, the run on it, and the run on the same corpus without them that came just before."""

    name: str
    corpus: Faulty
    clean: Outcome
    outcome: Outcome

    @property
    def timeouts_s(self) -> float:
        """How long the run waited for files that hang the decoder."""
        return TIME_LIMIT_S * TRIES * sum(label == kind.label for label in self.corpus.kinds.values() for kind in HANGS)

    @property
    def ratio(self) -> float:
        """Of CPU-time."""
        return self.outcome.cpu_s / self.clean.cpu_s

    def wrong(self) -> list[str]:
        """Faults without their reason, and good recordings that are lost."""
        lost = self.clean.codes.items() - self.outcome.codes.items()
        return [*self.outcome.wrong(self.corpus), *(f"the good recording {name} is lost" for name, _ in sorted(lost))]

    def cells(self) -> tuple[str, ...]:
        faults = {path: reason for path, reason in self.corpus.expected.items() if reason != KEPT}
        named = sum(self.outcome.found.get(path) == reason for path, reason in faults.items())
        odd = [path for path, reason in self.corpus.expected.items() if reason == KEPT]
        kept = sum(self.outcome.found.get(path) == KEPT for path in odd)
        lost = len(self.clean.codes.items() - self.outcome.codes.items())
        times = [f"{one.wall_s:.1f} s / {one.cpu_s:.1f} s" for one in (self.clean, self.outcome)]
        return (
            self.name,
            str(len(self.clean.codes)),
            f"{named} of {len(faults)}",
            f"{kept} of {len(odd)}",
            str(lost),
            *times,
            f"{self.timeouts_s:g} s",
            f"{self.ratio:.3f}",
        )


def measure(folder: Path, rounds: int) -> list[Round]:
    """After a run that does not count, `rounds` with one file of each kind, which are one in a hundred, and one with as many of each kind."""
    run(make_corpus(folder / "first", 8, 0), folder / "set-first")
    found = []
    for name, num_good, each, times in (("1 %", 100 * len(MAKERS), 1, rounds), ("1 % of every kind", 400, 4, 1)):
        clean, faulty = make_corpus(folder / f"clean-{each}", num_good, 0), make_corpus(folder / f"faulty-{each}", num_good, each)
        for turn in range(times):
            sets = folder / f"set-clean-{each}-{turn}", folder / f"set-{each}-{turn}"
            found.append(Round(f"{name}, {turn + 1}", faulty, run(clean, sets[0]), run(faulty, sets[1])))
            print(" | ".join(found[-1].cells()), flush=True)
    return found


def report(found: Sequence[Round], output: Path) -> list[str]:
    """Write the record; returns all that went wrong."""
    wrong = [sentence for item in found for sentence in item.wrong()]
    columns = (
        "faulty files",
        "good",
        "in quarantine with the right reason",
        "odd ones kept",
        "good lost",
        "wall / CPU without",
        "wall / CPU with",
        "of it time-outs",
        "ratio of CPU",
    )
    every = found[-1].corpus
    becomes = {label: ", ".join(sorted({every.expected[path] for path, other in every.kinds.items() if other == label})) for label in every.kinds.values()}
    summary = (
        f"{len(becomes)} kinds of faulty or odd files. With 1 % of them, preparing takes {median_and_spread([item.ratio for item in found[:-1]])} times "
        f"the CPU-time that it takes without them. {len(wrong)} faults without their right reason or good recordings lost."
    )
    notes = ["Time-outs: a file that hangs the decoder is tried twice, for `decode.time_limit_s` each.", *wrong]
    tables = [Table("T16", columns, tuple(item.cells() for item in found)), Table("What becomes of each kind", ("kind", "becomes"), tuple(becomes.items()))]
    write_record(output, "A corpus with faulty files", summary, tables, notes)
    return wrong


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/benchmarks/faulty_corpus.md"))
    args = parser.parse_args()
    DecoderProcess.module = "tests.troublesome"
    with tempfile.TemporaryDirectory() as temporary:
        found = measure(Path(temporary), args.rounds)
    wrong = report(found, args.output)
    print(args.output.read_text(encoding="utf-8"))
    if wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()
