"""How fast the held espeak is against phonemizer's `phonemize()` once a text, and what the engines' memory does: writes docs/benchmarks/phonemizer.md.

    python benchmarks/phonemizer_throughput.py [--older PYTHON] [--repeats 5] [--output docs/benchmarks/phonemizer.md]

`--older` is the interpreter of an environment with phonemizer 3.3.0 and espeakng-loader: the last release that built a backend with every call, as the goal
of 10x supposes. phonemizer 3.4 keeps eight backends; it is measured as it comes, and with its cache cleared before each call. All sides read texts in turn
(A B C D A B ...), in CPU time of their process, so that a busy machine disturbs them alike.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from record import Table, median_and_spread, write_record
from speech_texts import SENTENCES, WORDS

NUM_TEXTS, NUM_UNCACHED, NUM_SOAK, NUM_SLOW_SOAK = 4000, 30, 100_000, 10_000
TEN_LANGUAGES = ("en-us", "de", "fr-fr", "es", "it", "pt", "nl", "pl", "ru", "sv")
SOAK_SENTENCES = {
    "ja": "老人はゆっくりとドアを開けて、東京の美術館へ行った。",
    "zh": "老人慢慢地打开了门，去银行取钱，女儿也喜欢绿色的葡萄。",
    "ko": "노인은 천천히 문을 열고 값이 싼 떡볶이를 먹으러 독립문까지 걸었다.",
}

Work = Callable[[Sequence[str]], object]


def make_texts(count: int, seed: int) -> list[str]:
    """The sixty sentences and further ones of 4 to 12 random words, shuffled."""
    rng = random.Random(seed)
    texts = [*SENTENCES, *(" ".join(rng.choices(WORDS, k=rng.randint(4, 12))) + "." for _ in range(count))]
    return rng.sample(texts, count)


def rate(work: Work, texts: Sequence[str]) -> float:
    """Texts per second of CPU time."""
    start = time.process_time()
    work(texts)
    return len(texts) / (time.process_time() - start)


def peer(texts: Sequence[str]) -> None:
    """`phonemize()` as its documentation calls it, with the options that give what ours gives."""
    from phonemizer import phonemize

    for text in texts:
        phonemize(text, language="en-us", backend="espeak", strip=True, preserve_punctuation=True, with_stress=True)


def peer_without_cache(texts: Sequence[str]) -> None:
    from phonemizer.phonemize import clear_backends_cache

    for text in texts:
        clear_backends_cache()
        peer([text])


def peer_of_ten_languages(texts: Sequence[str]) -> None:
    from phonemizer import phonemize

    for index, text in enumerate(texts):
        language = TEN_LANGUAGES[index % len(TEN_LANGUAGES)]
        phonemize(text, language=language, backend="espeak", strip=True, preserve_punctuation=True, with_stress=True)


def find_library() -> None:
    """Point phonemizer at the library that espeakng-loader carries; 3.3.0 takes the data's place from the environment."""
    import espeakng_loader

    os.environ["ESPEAK_DATA_PATH"] = espeakng_loader.get_data_path()
    from phonemizer.backend.espeak.wrapper import EspeakWrapper

    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    if hasattr(EspeakWrapper, "set_data_path"):
        EspeakWrapper.set_data_path(espeakng_loader.get_data_path())


def older_rate(python: str, seed: int) -> float:
    """The rate of `peer` in another environment."""
    done = subprocess.run([python, __file__, "--only-peer", str(seed)], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def growth_mib(read: Work, count: int, texts: Callable[[int], Sequence[str]]) -> float:
    """Resident memory that `count` further texts add, after as many as warm the caches."""
    import psutil

    process = psutil.Process()
    read(texts(-1))
    before = process.memory_info().rss
    for start in range(0, count, 1000):
        read(texts(start))
    return (process.memory_info().rss - before) / 2**20


def soak(held: "Callable[[Sequence[str], str], object]") -> Table:
    """Memory that each engine adds."""
    from valle_data.text.normalize import normalize

    def ten(texts: Sequence[str]) -> None:
        for index, text in enumerate(texts):
            held([normalize(text, "en", 1000)], TEN_LANGUAGES[index % len(TEN_LANGUAGES)])

    rows = [
        (f"espeak, English, {NUM_SOAK:,}", growth_mib(lambda texts: held([normalize(t, "en", 1000) for t in texts], "en-us"), NUM_SOAK, english)),
        (f"espeak, ten languages in turn, {NUM_SOAK:,}", growth_mib(ten, NUM_SOAK, english)),
    ]
    for language, sentence in SOAK_SENTENCES.items():
        read = reader(held, language)
        rows.append((f"{language}, {NUM_SLOW_SOAK:,}", growth_mib(read, NUM_SLOW_SOAK, lambda start, s=sentence: shuffled(s, start))))
    return Table("Growth of resident memory, normalisation included", ("texts", "MiB"), tuple((name, f"{grown:.1f}") for name, grown in rows))


def reader(held: "Callable[[Sequence[str], str], object]", language: str) -> Work:
    return lambda texts: held(texts, language)


def english(start: int) -> list[str]:
    return make_texts(1000, start)


def shuffled(sentence: str, start: int) -> list[str]:
    """A thousand sentences with the characters of one in other orders."""
    rng = random.Random(start)
    return ["".join(rng.sample(sentence, len(sentence))).strip() for _ in range(1000)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--older", default="", help="interpreter of an environment with phonemizer 3.3.0")
    parser.add_argument("--only-peer", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks/phonemizer.md"))
    options = parser.parse_args()
    if options.only_peer is not None:
        find_library()
        peer(make_texts(1, 0))
        print(rate(peer, make_texts(NUM_UNCACHED, options.only_peer)))
        return
    measure(options.repeats, options.older, options.output)


def measure(repeats: int, older: str, output: Path) -> None:
    from valle_data.text.espeak_library import espeak_library
    from valle_data.text.phonemizers import PHONEMIZERS

    held = PHONEMIZERS["multilingual"](PHONEMIZERS["multilingual"].Config())
    memory = soak(held.phonemize)  # before the peer, which leaks
    find_library()
    espeak, bare = PHONEMIZERS["espeak"](PHONEMIZERS["espeak"].Config()), espeak_library()

    def ours_in_ten_languages(texts: Sequence[str]) -> None:
        for index, text in enumerate(texts):
            espeak.phonemize([text], TEN_LANGUAGES[index % len(TEN_LANGUAGES)])

    sides: dict[str, tuple[Work, int]] = {
        "`EspeakPhonemizer.phonemize`, lists of 4,000": (lambda texts: espeak.phonemize(texts, "en-us"), NUM_TEXTS),
        "`phonemizer.phonemize()` 3.4, one call a text": (peer, NUM_TEXTS),
        "the same, its backend cache cleared before each call": (peer_without_cache, NUM_UNCACHED),
        "bare espeak, no punctuation, no inventory, no checks: the limit": (lambda texts: [bare.speak(text, "en-us") for text in texts], NUM_TEXTS),
        "ten languages in turn, ours": (ours_in_ten_languages, NUM_TEXTS),
        "ten languages in turn, `phonemize()` 3.4": (peer_of_ten_languages, NUM_UNCACHED),
    }
    rates: dict[str, list[float]] = {name: [] for name in sides}
    old: list[float] = []
    for repeat in range(repeats):
        for name, (work, count) in sides.items():
            rates[name].append(rate(work, make_texts(count, repeat)))
        old += [older_rate(older, repeat)] if older else []
    report(rates, old, memory, f"{espeak.version}, phonemizer {version('phonemizer')}, {repeats} repeats", output)


def report(rates: dict[str, list[float]], old: list[float], memory: Table, conditions: str, output: Path) -> None:
    """Write the record."""
    ours, cached, uncached, limit, ten, peer_ten = (statistics.median(values) for values in rates.values())
    named = {**rates, **({"`phonemizer.phonemize()` 3.3.0, one call a text": old} if old else {})}
    against_old = f", {ours / statistics.median(old):.0f}x of phonemizer 3.3.0" if old else ""
    summary = (
        f"The held espeak reads {ours / uncached:.0f}x the texts per CPU-second of a `phonemize()` that builds its backend with each call{against_old}, "
        f"{ours / cached:.2f}x of phonemizer 3.4, which keeps eight backends, {ten / peer_ten:.0f}x of it where ten languages take turns, and "
        f"{ours / limit:.2f}x of bare espeak. The largest growth of resident memory is {max(float(row[1]) for row in memory.rows):.1f} MiB."
    )
    notes = [
        f"{conditions}; {NUM_TEXTS} texts a repeat, {NUM_UNCACHED} where a backend is built with each call.",
        "The goal (T18) is 10x of `phonemize()` per call, which it puts at 588 texts/s. Against a `phonemize()` that keeps its backend, no engine that calls "
        "espeak can reach 10x: the limit above is bare espeak.",
    ]
    table = Table("Texts per CPU-second: median (spread)", ("side", "texts/s"), tuple((name, median_and_spread(values)) for name, values in named.items()))
    write_record(output, "Phonemizer throughput", summary, [table, memory], notes)
    print(summary)


if __name__ == "__main__":
    sys.exit(main())
