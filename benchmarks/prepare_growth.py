"""How `valle prepare` grows with its corpus: time an utterance, and memory of the process that plans and hands out parts.

    python benchmarks/prepare_growth.py 2000 20000 200000

Made-up recordings of a quarter of a second (noise, each another) with a few words each, through the real decoder, phonemizer (espeak) and codec (mini) with
two workers. The planner reads, digests and sorts every one of them; the time is that of the whole command, less that of an empty run's start.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import soundfile
from record import Table, write_record

RECORD = Path("docs/benchmarks/prepare_growth.md")
RATE_HZ, DURATION_S = 16_000, 0.25
WORDS = "one two three four five six seven eight nine zero red green blue north south".split()
A_SPEAKER = 500


@dataclass(frozen=True)
class Run:
    """A preparation of `num_utterances`: seconds in all, peak resident MB of the process that was started, and of all its workers together."""

    num_utterances: int
    seconds: float
    driver_mb: float
    workers_mb: float


def make_corpus(folder: Path, num_utterances: int) -> None:
    """Folders of `A_SPEAKER` recordings; no two sound the same."""
    noise = np.random.default_rng(0).normal(0, 0.1, 1 << 20).astype(np.float32)
    length = round(RATE_HZ * DURATION_S)
    for index in range(num_utterances):
        place = folder / "all" / f"s{index // A_SPEAKER:05d}"
        if index % A_SPEAKER == 0:
            place.mkdir(parents=True)
        start = (index * 7919) % (len(noise) - length)
        sound = noise[start : start + length] * (0.5 + 0.5 * ((index * 31) % 997) / 997)
        soundfile.write(place / f"u{index:06d}.wav", sound, RATE_HZ)
        words = (WORDS[(index // 15**digit) % 15] for digit in range(4))
        (place / f"u{index:06d}.txt").write_text(" ".join(words))


def prepare(corpus: Path, output: Path, num_utterances: int, workers: int) -> Run:
    options = [f"corpus.root={corpus}", "duplicate_audio=keep", "part_duration_s=60", "max_quarantine_fraction=0"]
    command = [sys.executable, "-m", "pipelines", "prepare", "configs/prepare/debug.yaml", *options, "-o", str(output), "--workers", str(workers)]
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    peaks = [0.0, 0.0]
    watcher = threading.Thread(target=_watch, args=(psutil.Process(process.pid), peaks), daemon=True)
    watcher.start()
    said, _ = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"prepare ended with exit code {process.returncode}: {said[-2000:]}")
    return Run(num_utterances, time.monotonic() - started, peaks[0] / 1e6, peaks[1] / 1e6)


def _watch(process: psutil.Process, peaks: list[float]) -> None:
    """Note the largest resident sizes, twice a second, until the process is gone."""
    while True:
        try:
            peaks[0] = max(peaks[0], process.memory_info().rss)
            peaks[1] = max(peaks[1], sum(child.memory_info().rss for child in process.children(recursive=True)))
        except psutil.Error:
            return
        time.sleep(0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", type=int, nargs="+")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("-o", "--record", type=Path, default=RECORD)
    arguments = parser.parse_args()
    runs: list[Run] = []
    with tempfile.TemporaryDirectory() as scratch:
        for size in (1, *arguments.sizes):
            corpus, output = Path(scratch, "corpus"), Path(scratch, "set")
            make_corpus(corpus, size)
            runs.append(prepare(corpus, output, size, arguments.workers))
            print(runs[-1], flush=True)
            shutil.rmtree(corpus)
            shutil.rmtree(output)
    start, *runs = runs
    per_utterance = [(run.seconds - start.seconds) / run.num_utterances * 1000 for run in runs]
    rows = [
        (f"{run.num_utterances:,}", f"{run.seconds:.1f}", f"{each:.2f}", f"{each / per_utterance[0]:.2f}", f"{run.driver_mb:.0f}", f"{run.workers_mb:.0f}")
        for run, each in zip(runs, per_utterance, strict=True)
    ]
    columns = ("utterances", "seconds", "ms an utterance less start-up", "relative to the smallest", "driver's peak RSS, MB", "workers' peak RSS, MB")
    largest = per_utterance[-1] / per_utterance[0]
    summary = (
        f"From {runs[0].num_utterances:,} to {runs[-1].num_utterances:,} utterances the time an utterance takes changes by {100 * (largest - 1):+.0f} % "
        f"(target: within 10 %), and the driver's memory by {runs[-1].driver_mb - runs[0].driver_mb:+.0f} MB (target: flat)."
    )
    notes = [
        f"Start-up (a corpus of one utterance): {start.seconds:.1f} s, driver {start.driver_mb:.0f} MB.",
        f"{arguments.workers} workers; recordings of {DURATION_S} s.",
    ]
    write_record(arguments.record, "Growth of `valle prepare` with the corpus", summary, [Table("Runs", columns, tuple(rows))], notes)


if __name__ == "__main__":
    main()
