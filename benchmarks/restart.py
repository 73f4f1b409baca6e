"""Restarting `valle prepare` on a data set with very many finished parts: what it takes until the first unfinished part is handed out (T15).

    python benchmarks/restart.py --parts 100000

The commit records, indices and plan are real files, written by the program's own functions with one small utterance a part; the last ten parts lack
their records, as after a kill. Measured in a process of its own: time, and memory beyond what the imports take. The peer reads the id of every finished
row, as checkpoints by row id do.
"""

import argparse
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from record import Table, median_and_spread, write_record

from pipelines.prepare import sweep
from valle_data.records import AudioRef, CodedUtterance, PlannedUtterance, Utterance
from valle_data.shards.base import record_path
from valle_data.shards.commit import commit_part
from valle_data.shards.index import PartIdentity, decode_table, encode_table
from valle_data.shards.plan import PARTS_PER_FILE, PLAN_SCHEMA, PlannedPart, committed_numbers, save_plan, unfinished_parts
from valle_data.shards.tar import TarShard

RECORD = Path("docs/benchmarks/restart.md")
UNFINISHED = 10
PEER_PARTS = 5000
REPEATS = 5


def make_dataset(folder: Path, num_parts: int) -> None:
    """One real part, copied under the names of all others: a restart looks at names, and at plans of unfinished parts."""
    for name in ("shards", "quarantine", "vectors", "plan"):
        (folder / name).mkdir(parents=True)
    plan = [_planned(part) for part in range(num_parts)]
    for first in range(0, num_parts, PARTS_PER_FILE):
        save_plan(folder, plan[first : first + PARTS_PER_FILE])
    utterance = plan[0].utterances[0].utterance
    coded = CodedUtterance(utterance, ("w", "n"), np.zeros((8, 25), np.uint16), 1.0, "d" * 32, "one")
    commit_part(folder, PartIdentity(0, "p", "i", "c" * 64, "mini"), [coded], [], TarShard())
    record = json.loads(record_path(folder, 0).read_bytes())
    for part in range(1, num_parts - UNFINISHED):
        record_path(folder, part).write_text(json.dumps({**record, "part": part}))
        for suffix in (".tar", ".parquet"):
            shutil.copyfile(record_path(folder, 0).with_suffix(suffix), record_path(folder, part).with_suffix(suffix))


def _planned(part: int) -> PlannedPart:
    utterance = Utterance(f"u{part:06d}", AudioRef(f"corpus/u{part:06d}.wav"), "one", "s", "g", "en-us")
    return PlannedPart(part, (PlannedUtterance(utterance, "d" * 32, 16_000, 1.0, f"f{part}"),))


def ours(folder: Path) -> int:
    """The first unfinished part, as the command finds it once it holds the lock."""
    sweep(folder)
    return next(unfinished_parts(folder, committed_numbers(folder))).part


def by_row(folder: Path) -> int:
    """The same by the ids of finished rows, of `PEER_PARTS` parts only."""
    finished = set()
    for path in itertools.islice((folder / "shards").glob("*.json"), PEER_PARTS):
        finished.update((path.stem, name) for name in pq.read_table(path.with_suffix(".parquet"), columns=["utt_id"])["utt_id"].to_pylist())
    return len(finished)


def measure(folder: Path, way: str) -> tuple[float, float]:
    """Seconds, and MB of memory beyond the imports, of one way in a process of its own."""
    said = subprocess.run([sys.executable, __file__, "--measure", way, str(folder)], capture_output=True, text=True, check=True).stdout
    seconds, megabytes = said.split()
    return float(seconds), float(megabytes)


def _measure_here(way: str, folder: Path) -> None:
    decode_table(encode_table(PLAN_SCHEMA.empty_table()), path=folder)  # which imports the rest of pyarrow
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts here
    before = _peak_kb()
    started = time.perf_counter()
    {"ours": ours, "by_row": by_row}[way](folder)
    seconds = time.perf_counter() - started
    print(seconds, (_peak_kb() - before) / 1024)


def _peak_kb() -> int:
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=int, default=100_000)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("-o", "--record", type=Path, default=RECORD)
    arguments = parser.parse_args()
    if arguments.measure:
        _measure_here(arguments.measure[0], Path(arguments.measure[1]))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "set")
        make_dataset(folder, arguments.parts)
        found = {way: [measure(folder, way) for _ in range(REPEATS if way == "ours" else 1)] for way in ("ours", "by_row")}
    rows = [
        (name, median_and_spread([seconds for seconds, _ in found[way]]), median_and_spread([megabytes for _, megabytes in found[way]]))
        for way, name in (("ours", "`valle prepare`"), ("by_row", f"reading the ids of the finished rows of {PEER_PARTS:,} parts"))
    ]
    summary = (
        f"With {arguments.parts - UNFINISHED:,} finished parts the first unfinished one is found in {rows[0][1]} s with {rows[0][2]} MB (target: 2 s, 100 MB)."
    )
    table = Table("Median (smallest-largest)", ("what", "seconds", "MB beyond the imports"), tuple(rows))
    write_record(arguments.record, "Restart with very many finished parts (T15)", summary, [table], ["Files were in the page cache."])


if __name__ == "__main__":
    main()
