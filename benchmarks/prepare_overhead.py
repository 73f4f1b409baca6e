"""What `valle prepare` costs beyond its libraries: CPU seconds against a bare loop of decode, G2P and codec over the same files.

    python benchmarks/prepare_overhead.py [--codecs encodec:10 mini:60] [--repeats 5] [--record docs/benchmarks/prepare_overhead.md]

`CODEC:MINUTES` of audio. EnCodec (24 kHz, 6 kbit/s, random weights) is the usual choice; mini is fifteen times faster, so that all else weighs more.

All sides run in turn (A B C A B C ...), each in processes of its own; counted is the CPU time of every process of a side, daemons of Ray and decoders
included, as seen every 50 ms. Each side does a corpus and a quarter of it: what the other three quarters take is compared, so that what is paid once
(interpreters, imports, models, daemons) is told apart as the start.
"""

import argparse
import ctypes
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import soundfile
from record import Table, median_and_spread, write_record
from speech_texts import SENTENCES

RATE = 24_000
PR_SET_CHILD_SUBREAPER = 36
LOOK_S = 0.05
SIDES = {"local, 1 worker": ["--workers", "1"], "Ray, 2 actors": ["--workers", "2", "--address", "local"]}


def make_corpus(folder: Path, minutes: float) -> int:
    """Recordings of 1 to 30 s, log-normal about 6 s, of noise through a slow filter, as FLAC with a text beside each; returns how many."""
    rng, total_s, count = np.random.default_rng(0), 0.0, 0
    while total_s < minutes * 60:
        duration_s = float(np.clip(rng.lognormal(np.log(6.0), 0.6), 1.0, 30.0))
        speaker = folder / "train" / f"s{count % 8}"
        speaker.mkdir(parents=True, exist_ok=True)
        noise = rng.normal(0, 0.2, round(duration_s * RATE)).astype(np.float32)
        soundfile.write(speaker / f"u{count:05d}.flac", np.clip(np.convolve(noise, np.ones(8) / 8, "same"), -0.9, 0.9), RATE)
        (speaker / f"u{count:05d}.txt").write_text(f"{SENTENCES[count % len(SENTENCES)]} {count}")
        total_s, count = total_s + duration_s, count + 1
    return count


def codec_config(name: str, work: Path) -> Path:
    """A file with the codec's configuration; EnCodec gets random weights, which cost as much as others."""
    path = work / f"{name}.json"
    options = {"name": name}
    if name == "encodec" and not path.exists():
        import torch

        from valle_data.codecs.encodec import make_model

        torch.save(make_model(RATE).state_dict(), work / "encodec.pt")
        options["weights"] = str(work / "encodec.pt")
    if not path.exists():
        path.write_text(json.dumps(options))
    return path


def bare(folder: Path, config: Path) -> None:
    """The loop that anyone would write, on one thread; prints its CPU seconds."""
    import torch

    from valle_data.codecs import CODECS
    from valle_data.sound import Sound
    from valle_data.text.normalize import normalize
    from valle_data.text.phonemizers import PHONEMIZERS

    torch.set_num_threads(1)
    options = json.loads(config.read_text())
    codec, phonemizer = CODECS.build(CODECS[options["name"]].Config(**options)), PHONEMIZERS.build(PHONEMIZERS["espeak"].Config())
    codec.encode([np.zeros(RATE, dtype=np.float32)])
    phonemizer.phonemize(["warm"], "en-us")
    began = time.process_time()
    for path in sorted(folder.rglob("*.flac")):
        samples, rate = soundfile.read(path, dtype="float32")
        phonemizer.phonemize([normalize(path.with_suffix(".txt").read_text(), "en-us", 2000)], "en-us")
        codec.encode([Sound(np.asarray(samples, dtype=np.float32), rate).at(codec.spec.sample_rate_hz)])
    print(json.dumps(time.process_time() - began))


def prepare(folder: Path, output: Path, codec: Path, options: Sequence[str]) -> float:
    """CPU seconds of `valle prepare` with all its processes."""
    config = output.with_suffix(".yaml")
    config.write_text(f"corpus: {{name: folder, root: {folder}, language: en-us}}\ncodec: {codec.read_text()}\nphonemizer: espeak\npart_duration_s: 60\n")
    with open(output.with_suffix(".out"), "wb") as said:
        process = subprocess.Popen([sys.executable, "-m", "pipelines", "prepare", str(config), "-o", str(output), *options], stdout=said, stderr=said)
        seconds = _CpuWatch(process).result()
    if process.returncode:
        raise SystemExit(output.with_suffix(".out").read_text()[-3000:])
    return seconds


class _CpuWatch(threading.Thread):
    """The CPU time of a process and all that come from it, orphans included, until it ends."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(daemon=True)
        self._process, self._seen = process, dict[tuple[int, float], float]()
        self.start()

    def run(self) -> None:
        while self._process.poll() is None:
            self._look()
            time.sleep(LOOK_S)
        self._look()

    def _look(self) -> None:
        for child in psutil.Process().children(recursive=True):
            try:
                times = child.cpu_times()
                self._seen[child.pid, child.create_time()] = times.user + times.system
            except psutil.Error:  # it ended since it was listed
                continue

    def result(self) -> float:
        self.join()
        return sum(self._seen.values())


@dataclass(frozen=True)
class Times:
    """CPU seconds for the quarter and for the whole corpus."""

    quarter_s: float
    whole_s: float

    @property
    def difference_s(self) -> float:
        return self.whole_s - self.quarter_s


def bare_seconds(folder: Path, codec: Path) -> float:
    said = subprocess.run([sys.executable, __file__, "--bare", str(folder), str(codec)], check=True, capture_output=True, text=True).stdout
    return json.loads(said.splitlines()[-1])


def measure(work: Path, codec: Path, repeats: int) -> dict[str, list[Times]]:
    """Times of all sides, in turn."""
    times: dict[str, list[Times]] = {"bare loop": [], **{name: [] for name in SIDES}}
    corpora = [work / "quarter", work / "whole"]
    for repeat in range(repeats):
        times["bare loop"].append(Times(*(bare_seconds(corpus, codec) for corpus in corpora)))
        for number, (name, options) in enumerate(SIDES.items()):
            times[name].append(Times(*(prepare(corpus, work / f"{corpus.name}-{number}-{repeat}", codec, options) for corpus in corpora)))
        print(f"{repeat}: " + ", ".join(f"{name} {found[-1].difference_s:.1f} s" for name, found in times.items()), flush=True)
    return times


def rows_of(name: str, minutes: float, repeats: int) -> list[tuple[str, ...]]:
    """The rows of one codec."""
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        make_corpus(work / "quarter", minutes / 4)
        count = make_corpus(work / "whole", minutes)
        times = measure(work, codec_config(name, work), repeats)
    label, rows = f"{name}, {count} recordings, {minutes:g} min", list[tuple[str, ...]]()
    bare_times = times["bare loop"]
    for side, found in times.items():
        start = [one.quarter_s - loop.quarter_s for one, loop in zip(found, bare_times, strict=True)]
        percent = [100 * (one.difference_s / loop.difference_s - 1) for one, loop in zip(found, bare_times, strict=True)]
        is_bare = side == "bare loop"
        work_s = median_and_spread([one.difference_s for one in found], " s")
        rows.append((label, side, "-" if is_bare else median_and_spread(start, " s"), work_s, "-" if is_bare else median_and_spread(percent, " %")))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codecs", nargs="+", default=["encodec:10", "mini:60"], metavar="CODEC:MINUTES")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--record", type=Path, default=Path("docs/benchmarks/prepare_overhead.md"))
    parser.add_argument("--bare", type=Path, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare:
        bare(*arguments.bare)
        return
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)  # what is left without a parent stays among our descendants
    rows: list[tuple[str, ...]] = []
    for item in arguments.codecs:
        name, _, minutes = item.partition(":")
        rows += rows_of(name, float(minutes), arguments.repeats)
    summary = (
        f"Decode, phonemes and codes of the same FLAC files. CPU seconds of all processes, {arguments.repeats} interleaved repeats: median (range). "
        "Work is what three quarters of the corpus take, start what the first quarter takes beyond the bare loop."
    )
    columns = ("codec and corpus", "side", "start", "work", "more than the bare loop")
    write_record(arguments.record, "Overhead of `valle prepare`", summary, [Table("CPU time", columns, tuple(rows))])
    print(arguments.record.read_text())


if __name__ == "__main__":
    main()
