"""A made-up corpus of codes with a fixed law, so that loaders of different systems can be measured on the same bytes.

Utterance u of speaker s, whatever else exists, with `numpy.random.default_rng([seed, s, u])`, in this order: a duration of 2-12 s (uniform) at 75 frames a
second gives T; codes are T x 8 uniform numbers below 1024; 12 symbols a second are drawn uniformly from 40 IPA letters; then every symbol becomes a space with
probability 1/6, but neither the first, nor the last, nor one after a space. Speaker s belongs to group s mod `groups`.

    python benchmarks/corpus_law.py OUT --speakers 20 --utterances 100    # 2,000 utterances, a data set as `valle prepare` writes it
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from valle_data.records import AudioRef, CodecSpec, CodedUtterance, Utterance
from valle_data.shards.commit import commit_part
from valle_data.shards.index import PartIdentity
from valle_data.shards.manifest import DatasetManifest, PhonemizerStamp
from valle_data.shards.tar import TarShard
from valle_data.text.vocabulary import Vocabulary

SYMBOLS = "abdefhijklmnopstuvwzæðŋɐɑɔəɚɛɡɪɹɾʃʊʌʒθˈː"
FRAME_RATE_HZ, NUM_LEVELS, CODEBOOK_SIZE = 75, 8, 1024
SAMPLE_RATE_HZ = 24_000
SPEC = CodecSpec("encodec", "0" * 64, SAMPLE_RATE_HZ, float(FRAME_RATE_HZ), NUM_LEVELS, CODEBOOK_SIZE)
_CONFIG_HASH = "0" * 64


def utterance(seed: int, speaker: int, index: int) -> tuple[np.ndarray, str]:
    """Codes `[T, Q]` and symbols of one utterance."""
    random = np.random.default_rng([seed, speaker, index])
    num_frames = round(FRAME_RATE_HZ * random.uniform(2.0, 12.0))
    codes = random.integers(0, CODEBOOK_SIZE, size=(num_frames, NUM_LEVELS), dtype=np.uint16)
    num_symbols = round(12 * num_frames / FRAME_RATE_HZ)
    symbols = [SYMBOLS[choice] for choice in random.integers(0, len(SYMBOLS), size=num_symbols)]
    becomes_space = random.random(num_symbols) < 1 / 6
    for place in np.flatnonzero(becomes_space[1:-1]) + 1:
        if symbols[place - 1] != " ":
            symbols[place] = " "
    return codes, "".join(symbols)


def coded_utterances(seed: int, speaker: int, num_utterances: int, groups: int) -> Iterator[CodedUtterance]:
    """The utterances of one speaker."""
    for index in range(num_utterances):
        codes, symbols = utterance(seed, speaker, index)
        name = f"g{speaker % groups}-s{speaker:05d}-u{index:05d}"
        audio = AudioRef(f"{name}.wav")
        duration_s = len(codes) / FRAME_RATE_HZ
        source = Utterance(name, audio, symbols, f"s{speaker:05d}", f"g{speaker % groups}", "en-us")
        yield CodedUtterance(source, tuple(symbols), np.ascontiguousarray(codes.T), duration_s, f"{speaker:032d}", symbols, {}, SAMPLE_RATE_HZ)


def write(folder: Path, speakers: int, num_utterances: int, groups: int = 3, seed: int = 0) -> Path:
    """A data set in `folder`, one part a speaker; parts that are there are kept."""
    for name in ("shards", "quarantine"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    vocabulary = Vocabulary((" ", *SYMBOLS))
    DatasetManifest(SPEC, {"name": "encodec"}, PhonemizerStamp("corpus-law", "1", {}), vocabulary, _CONFIG_HASH).save(folder)
    for speaker in range(speakers):
        identity = PartIdentity(speaker, f"{seed}-{speaker}", f"{seed}", _CONFIG_HASH, "encodec")
        commit_part(folder, identity, list(coded_utterances(seed, speaker, num_utterances, groups)), [], TarShard())
    return folder


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--speakers", type=int, default=20)
    parser.add_argument("--utterances", type=int, default=100)
    parser.add_argument("--groups", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    write(args.out, args.speakers, args.utterances, args.groups, args.seed)


if __name__ == "__main__":
    main()
