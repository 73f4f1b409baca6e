"""How fast the held espeak is against phonemizer's `phonemize()` called once per text, and whether it grows: writes docs/benchmarks/phonemizer.md.

    python benchmarks/phonemizer.py [--repeats 5] [--output docs/benchmarks/phonemizer.md]

Both sides read the same texts in turn (A B A B ...), in CPU time of this process, so that a busy machine disturbs them alike.
"""

import argparse
import platform
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import espeakng_loader
from phonemizer import phonemize
from phonemizer.backend.espeak.wrapper import EspeakWrapper

from valle_data.text.phonemizers import PHONEMIZERS

sys.path.insert(0, str(Path(__file__).parent))
from speech_texts import SENTENCES, WORDS

NUM_HELD, NUM_PEER, NUM_SOAK = 4000, 100, 100_000


def make_texts(count: int, seed: int) -> list[str]:
    """Sentences of 4 to 12 words."""
    rng = random.Random(seed)
    return [*SENTENCES, *(" ".join(rng.choices(WORDS, k=rng.randint(4, 12))) + "." for _ in range(count))][:count]


def rate(work: Callable[[Sequence[str]], object], texts: Sequence[str]) -> float:
    """Texts per second of CPU time."""
    start = time.process_time()
    work(texts)
    return len(texts) / (time.process_time() - start)


def peer(texts: Sequence[str]) -> None:
    for text in texts:
        phonemize(text, language="en-us", backend="espeak", strip=True, preserve_punctuation=True, with_stress=True)


def rss_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def described(rates: Sequence[float]) -> str:
    return f"{statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})"


def first_line(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().splitlines()[0]


def cpu_name() -> str:
    lines = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return f"{lines[0]}, {len(lines)} cores" if lines else platform.processor()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--output", type=Path, default=Path("docs/benchmarks/phonemizer.md"))
    options = arguments.parse_args()
    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    held = PHONEMIZERS["espeak"](PHONEMIZERS["espeak"].Config())
    held.phonemize(["warm"], "en-us")
    held_rates, peer_rates = [], []
    for repeat in range(options.repeats):
        held_rates.append(rate(lambda texts: held.phonemize(texts, "en-us"), make_texts(NUM_HELD, repeat)))
        peer_rates.append(rate(peer, make_texts(NUM_PEER, repeat)))
    before = rss_mib()
    for start in range(0, NUM_SOAK, 1000):
        held.phonemize(make_texts(1000, start), "en-us")
    grown = rss_mib() - before
    ratio = statistics.median(ours / theirs for ours, theirs in zip(held_rates, peer_rates, strict=True))
    report = f"""# Phonemizer throughput

| side | texts per CPU-second: median (spread of {options.repeats}) |
|---|---|
| `EspeakPhonemizer.phonemize`, one held espeak | {described(held_rates)} |
| `phonemizer.phonemize()` per text, the peer | {described(peer_rates)} |

Ratio: {ratio:.0f}x (median of the interleaved pairs; goal 10x). Peak memory grew by {grown:.1f} MiB over {NUM_SOAK:,} further texts (goal 5 MB).

- Command: `python benchmarks/phonemizer.py --repeats {options.repeats}`
- Commit: {first_line(["git", "rev-parse", "--short", "HEAD"])}
- Hardware: {cpu_name()}; Python {platform.python_version()}; {held.version}
- Texts: English sentences of 4 to 12 words, {NUM_HELD} a repeat for the held side and {NUM_PEER} for the peer.
"""
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(report, encoding="utf-8")
    print(report)


if __name__ == "__main__":
    main()
