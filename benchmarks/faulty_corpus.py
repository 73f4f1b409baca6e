"""T16: prepare a corpus of real recordings with and without faulty files of every kind, one run after the other in turns.

    python benchmarks/faulty_corpus.py -o docs/benchmarks/faulty_corpus.md

The corpus are the digit strings of examples/digits. Beside them, in a second one, lie `--each` files of every kind of `faulty_files.py`: what is no audio,
cut or lying files, unusable samples, bombs, odd names, texts that cannot be read, copies. Those that crash or hang the decoder do so by a hook in the
decoder's own process, as no file is known that crashes libsndfile; what happens there is real (SIGSEGV, SIGSTOP, memory without end). Every fault must be in
quarantine with its reason, and every good recording in the data set with the codes that it has without the others. All runs are in one process, with the
bundled codec and espeak.
"""

import argparse
import io
import itertools
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from faulty_files import HANGS, KEPT, KINDS, Given, make, make_copy, make_twins  # noqa: E402
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
    """What a run made: what became of each path (KEPT or a reason), the checksum of the codes of each utterance, and how long it took."""

    found: dict[str, str]
    codes: dict[str, int]
    wall_s: float

    def wrong(self, corpus: Faulty) -> list[str]:
        """Faulty files of which something else became than was to be expected."""
        became = {path: self.found.get(path, "nothing at all") for path in corpus.expected}
        return [f"{corpus.kinds[path]}: {became[path]}, not {reason}" for path, reason in corpus.expected.items() if became[path] != reason]


def make_corpus(folder: Path, num_good: int, each: int, kinds: Sequence = KINDS) -> Faulty:
    """`num_good` recordings under `folder`, and `each` files of each kind made from them."""
    sources = sorted((ROOT / "examples/digits").rglob("*.ogg"))[:num_good]
    for source in sources:
        target = folder / "train" / source.parent.name
        target.mkdir(parents=True, exist_ok=True)
        for path in (source, source.with_suffix(".txt")):
            shutil.copyfile(path, target / f"{source.parents[1].name}-{path.name}")
    place = folder / "train" / SPEAKER
    place.mkdir(parents=True, exist_ok=True)
    makers = [*((kind.label, partial(make, kind)) for kind in kinds), ("Unicode twins", make_twins), ("copy", make_copy)]
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
    began = time.monotonic()
    code = prepare.run(config, output, executor=LocalExecutor.Config(workers=0), console=console)
    wall_s = time.monotonic() - began
    if code:
        raise SystemExit(f"prepare ended with {code}")
    records = committed_parts(output)
    rows = [row for record in records for row in read_part_index(output, record, ["utt_id", "source_uri", "crc32"]).to_pylist()]
    refused = [row for record in records for row in read_quarantine(output, record).to_pylist()]
    found = {row["path"]: row["reason"] for row in refused} | {row["source_uri"]: KEPT for row in rows}
    return Outcome(found, {row["utt_id"]: row["crc32"] for row in rows}, wall_s)


def timeouts_s(each: int) -> float:
    """How long a run waits for files that hang the decoder."""
    return TIME_LIMIT_S * TRIES * len(HANGS) * each


def measure(folder: Path, num_good: int, each: Sequence[int], rounds: int) -> tuple[dict[int, Faulty], dict[int, list[Outcome]]]:
    """Runs on a clean corpus (`each` of 0) and on faulty ones in turns, after one that does not count."""
    corpora = {number: make_corpus(folder / str(number), num_good, number) for number in (0, *each)}
    outcomes: dict[int, list[Outcome]] = {number: [] for number in corpora}
    for turn in range(-1, rounds):
        for number, corpus in corpora.items():
            if turn >= 0 or not number:
                outcome = run(corpus, folder / "set")
                shutil.rmtree(folder / "set")
                if turn >= 0:
                    outcomes[number].append(outcome)
                    print(f"turn {turn}, {number} of each: {outcome.wall_s:.1f} s", flush=True)
    return corpora, outcomes


def report(corpora: dict[int, Faulty], outcomes: dict[int, list[Outcome]], output: Path) -> list[str]:
    """Write the record; returns all that went wrong."""
    clean, rows, wrong = outcomes[0], [], []
    for number, corpus in corpora.items():
        runs = outcomes[number]
        lost = [len(clean[0].codes.items() - run.codes.items()) for run in runs]
        wrong += [sentence for run in runs for sentence in run.wrong(corpus)] + [f"{count} good recordings are lost" for count in lost if count]
        ratios = [(run.wall_s - timeouts_s(number)) / bare.wall_s for run, bare in zip(runs, clean, strict=True)]
        faults = sum(reason != KEPT for reason in corpus.expected.values())
        named = sum(reason != KEPT and run.found.get(path) == reason for run in runs for path, reason in corpus.expected.items()) / len(runs)
        share = f"{len(corpus.expected) / (len(clean[0].codes) + len(corpus.expected)):.1%}"
        walls = median_and_spread([run.wall_s for run in runs], " s")
        times = [walls, f"{timeouts_s(number):g} s", median_and_spread(ratios)]
        rows.append((str(number), str(len(corpus.expected)), share, f"{named:g} of {faults}", str(max(lost)), *times))
    columns = (
        "files of each kind",
        "faulty or odd files",
        "share",
        "in quarantine with the right reason",
        "good lost",
        "wall",
        "time-outs",
        "wall less time-outs / clean",
    )
    largest = max(corpora)
    kinds = Counter(corpora[largest].kinds.values())
    by_kind = [
        (kind, ", ".join(sorted({corpora[largest].expected[path] for path in corpora[largest].kinds if corpora[largest].kinds[path] == kind})))
        for kind in kinds
    ]
    summary = (
        f"{len(clean[0].codes)} good recordings, {len(kinds)} kinds of faulty or odd files, {len(clean)} rounds in turns. "
        f"{len(wrong)} faults without their right reason."
    )
    notes = ["Time-outs: files that hang the decoder are tried twice, for `decode.time_limit_s` each.", *wrong]
    write_record(
        output, "A corpus with faulty files", summary, [Table("T16", columns, tuple(rows)), Table("Kinds", ("kind", "becomes"), tuple(by_kind))], notes
    )
    return wrong


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--good", type=int, default=400)
    parser.add_argument("--each", type=int, nargs="*", default=[1, 4], help="files of each kind; 4 are 1 %% of 400")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/benchmarks/faulty_corpus.md"))
    args = parser.parse_args()
    DecoderProcess.module = "tests.troublesome"
    with tempfile.TemporaryDirectory() as temporary:
        corpora, outcomes = measure(Path(temporary), args.good, args.each, args.rounds)
    wrong = report(corpora, outcomes, args.output)
    print(args.output.read_text(encoding="utf-8"))
    if wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()
