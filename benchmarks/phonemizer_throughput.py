"""How fast the held espeak is against phonemizer's `phonemize()` once a text and against bare espeak: writes docs/benchmarks/phonemizer.md.

phonemizer 3.4 keeps the backends of earlier calls; a third side clears that cache before each call, which is what a call costs without it.

    python benchmarks/phonemizer_throughput.py [--repeats 5] [--output docs/benchmarks/phonemizer.md]

All sides read texts in turn (A B C D A B ...), in CPU time of this process, so that a busy machine disturbs them alike.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import espeakng_loader
import psutil
from phonemizer import phonemize
from phonemizer.backend.espeak.wrapper import EspeakWrapper
from phonemizer.phonemize import clear_backends_cache
from record import Table, median_and_spread, write_record
from speech_texts import SENTENCES, WORDS

from valle_data.text.phonemizers import PHONEMIZERS
from valle_data.text.phonemizers.base import Phonemizer

NUM_TEXTS, NUM_UNCACHED, NUM_SOAK = 4000, 30, 100_000


def make_texts(count: int, seed: int) -> list[str]:
    """The sixty sentences and further ones of 4 to 12 random words, shuffled."""
    rng = random.Random(seed)
    texts = [*SENTENCES, *(" ".join(rng.choices(WORDS, k=rng.randint(4, 12))) + "." for _ in range(count))]
    return rng.sample(texts, count)


def rate(work: Callable[[Sequence[str]], object], texts: Sequence[str]) -> float:
    """Texts per second of CPU time."""
    start = time.process_time()
    work(texts)
    return len(texts) / (time.process_time() - start)


def peer(texts: Sequence[str]) -> None:
    for text in texts:
        phonemize(text, language="en-us", backend="espeak", strip=True, preserve_punctuation=True, with_stress=True)


def peer_without_cache(texts: Sequence[str]) -> None:
    for text in texts:
        clear_backends_cache()
        peer([text])


def bare_espeak() -> Callable[[Sequence[str]], object]:
    """The library alone: no punctuation, no inventory, no checks."""
    espeak = EspeakWrapper()
    espeak.set_voice("en-us")
    return lambda texts: [espeak.text_to_phonemes(text) for text in texts]


def growth_mib(held: Phonemizer) -> float:
    """Resident memory that `NUM_SOAK` further texts add."""
    process = psutil.Process()
    before = process.memory_info().rss
    for start in range(0, NUM_SOAK, 1000):
        held.phonemize(make_texts(1000, start), "en-us")
    return (process.memory_info().rss - before) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks/phonemizer.md"))
    options = parser.parse_args()
    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    held = PHONEMIZERS["espeak"](PHONEMIZERS["espeak"].Config())
    held.phonemize(make_texts(100, 0), "en-us")
    grown = growth_mib(held)  # before the peer, which leaks
    sides: dict[str, tuple[Callable[[Sequence[str]], object], int]] = {
        "`EspeakPhonemizer.phonemize`, lists of 4,000": (lambda texts: held.phonemize(texts, "en-us"), NUM_TEXTS),
        "`phonemizer.phonemize()`, one call a text": (peer, NUM_TEXTS),
        "the same, its backend cache cleared before each call": (peer_without_cache, NUM_UNCACHED),
        "bare espeak through `EspeakWrapper`: the limit": (bare_espeak(), NUM_TEXTS),
    }
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(options.repeats):
        for name, (work, count) in sides.items():
            rates[name].append(rate(work, make_texts(count, repeat)))
    ours, cached, uncached, limit = (statistics.median(values) for values in rates.values())
    summary = (
        f"The held espeak reads {ours / cached:.2f}x the texts per CPU-second of `phonemize()` called per text, {ours / uncached:.0f}x where that call builds "
        f"its backend anew, and {ours / limit:.2f}x of bare espeak. It grows by {grown:.1f} MiB over {NUM_SOAK:,} texts."
    )
    notes = [
        f"{held.version}, phonemizer {version('phonemizer')}; English; {NUM_TEXTS} texts a repeat ({NUM_UNCACHED} uncached), {options.repeats} repeats.",
        "The goal of 10x per call was set against a `phonemize()` of 588 texts/s; phonemizer 3.4 keeps its backends between calls and no longer is that slow.",
    ]
    table = Table("Texts per CPU-second: median (spread)", ("side", "texts/s"), tuple((name, median_and_spread(values)) for name, values in rates.items()))
    write_record(options.output, "Phonemizer throughput", summary, [table], notes)
    print(summary)


if __name__ == "__main__":
    main()
