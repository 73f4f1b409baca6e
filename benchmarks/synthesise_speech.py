"""Synthesise a speech corpus with flite and espeak-ng, to train on and to test with.

    python benchmarks/synthesise_speech.py digits data/digits --utterances 3000 --seed 0
    python benchmarks/synthesise_speech.py sentences data/sentences
    python benchmarks/synthesise_speech.py digits examples/digits --utterances 100 --format ogg

Layout: `OUT/{group}/{speaker}/{utterance}.wav` with the text beside it as `.txt`. The group is `train` or `heldout`: a digit string belongs to
one side by its hash, so no string of the held-out side is ever spoken in training, by any voice. The same arguments give the same files.
Needs the `flite` and `espeak-ng` programs (Debian packages of those names); the corpora themselves are free to use.
"""

import argparse
import hashlib
import random
import subprocess
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import soundfile as sf
from speech_texts import digit_string, plain_sentence

FLITE_VOICES = ("slt", "rms", "awb", "kal16")
ESPEAK_ACCENTS = ("en-us", "en-gb", "en-gb-scotland")
ESPEAK_VARIANTS = (
    "m1 m2 m3 m4 m5 m6 m7 m8 f1 f2 f3 f4 f5 croak klatt klatt2 klatt4 steph aunty boris belinda adam anika denis ed gene iven john linda max "
    "michael quincy rob robert shelby zac"
).split()
HELDOUT_FRACTION = 0.1
FLITE_SHARE = 0.5  # of the `sentences` corpus: four natural-sounding voices weigh as much as all the formant ones together


@dataclass(frozen=True)
class Line:
    """One utterance to synthesise: `pitch` and `rate` are espeak-ng's own scales (0-99, words a minute) and unused by flite."""

    path: Path
    engine: str
    voice: str
    text: str
    pitch: int = 50
    rate: int = 165


def is_heldout(text: str) -> bool:
    """Whether a text belongs to the held-out side; a function of the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") < HELDOUT_FRACTION * 2**32


def digits_corpus(out: Path, utterances: int, seed: int) -> Iterator[Line]:
    for voice in FLITE_VOICES:
        rng = random.Random(f"digits-{seed}-{voice}")
        for index in range(utterances):
            text = digit_string(rng)
            group = "heldout" if is_heldout(text) else "train"
            yield Line(out / group / voice / f"{index:05d}.wav", "flite", voice, text)


def sentences_corpus(out: Path, hours: float, seed: int) -> Iterator[Line]:
    total = round(hours * 3600 / 3.0)  # sentences last about three seconds
    espeak = [f"{ESPEAK_ACCENTS[i % len(ESPEAK_ACCENTS)]}+{v}" for i, v in enumerate(ESPEAK_VARIANTS)]
    for engine, voices, share in (("flite", FLITE_VOICES, FLITE_SHARE), ("espeak", espeak, 1 - FLITE_SHARE)):
        for voice in voices:
            rng = random.Random(f"sentences-{seed}-{engine}-{voice}")
            for index in range(round(total * share / len(voices))):
                text = digit_string(rng, 3, 8) if rng.random() < 0.1 else plain_sentence(rng)
                name = f"{engine}_{voice.replace('+', '_')}"
                group = "heldout" if is_heldout(text) else "train"
                yield Line(out / group / name / f"{index:05d}.wav", engine, voice, text, rng.randint(30, 70), rng.randint(140, 190))


def synthesise(line: Line, audio_format: str = "wav") -> float:
    """Write one utterance and its text; returns its duration in seconds."""
    line.path.parent.mkdir(parents=True, exist_ok=True)
    if line.engine == "flite":
        command = ["flite", "-voice", line.voice, "-t", line.text, "-o", str(line.path)]
    else:
        command = ["espeak-ng", "-v", line.voice, "-s", str(line.rate), "-p", str(line.pitch), "-w", str(line.path), line.text]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    samples, rate = sf.read(line.path, dtype="float32")
    if audio_format != "wav":
        line.path.unlink()
        sf.write(line.path.with_suffix(f".{audio_format}"), samples, rate)
    line.path.with_suffix(".txt").write_text(line.text + "\n", encoding="utf-8")
    return len(samples) / rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", choices=("digits", "sentences"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--utterances", type=int, default=3000, help="digits: utterances of each voice")
    parser.add_argument("--hours", type=float, default=2.4, help="sentences: hours of speech, about")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", choices=("wav", "ogg", "flac"), default="wav")
    args = parser.parse_args()
    lines = digits_corpus(args.out, args.utterances, args.seed) if args.corpus == "digits" else sentences_corpus(args.out, args.hours, args.seed)
    todo = list(lines)
    with ProcessPoolExecutor() as pool:
        seconds = sum(pool.map(synthesise, todo, [args.format] * len(todo), chunksize=16))
    print(f"{len(todo)} utterances, {seconds / 3600:.2f} h in {args.out}")


if __name__ == "__main__":
    main()
