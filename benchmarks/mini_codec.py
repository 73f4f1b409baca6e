"""How good, fast and small is the mini codec?

    python benchmarks/mini_codec.py data/sentences/heldout data/digits -o docs/benchmarks/mini_codec.md

STOI of held-out sentences after the round trip, digit errors before and after it, real time on one core beside EnCodec (6 kbit/s, random weights: speed
does not depend on them) in the same interleaved run, size of the weights, and what their header says of their training.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from judges import GrammarJudge, Sound, WordErrors, intelligibility, total, word_errors
from numpy.typing import NDArray
from record import Table, interval, median_and_spread, write_record
from safetensors import safe_open
from speech_texts import DIGITS

from valle_data.codecs.base import Codec
from valle_data.codecs.encodec import Encodec, make_model
from valle_data.codecs.mini import SHIPPED_WEIGHTS, MiniCodec

SPEED_S = 10.0  # length of the recording that speed is measured on


def round_trip(codec: Codec, sound: Sound, levels: int | None = None) -> Sound:
    """Through the codec at its rate, cut to the length that went in."""
    resampled = sound.at(codec.spec.sample_rate_hz)
    (codes,) = codec.encode([resampled.samples])
    return Sound(codec.decode(codes[:levels])[: len(resampled.samples)], codec.spec.sample_rate_hz)


def spread_over(paths: Sequence[Path], count: int) -> list[Path]:
    """At most `count` of `paths`, evenly."""
    return [paths[i] for i in sorted({round(p) for p in np.linspace(0, len(paths) - 1, min(count, len(paths)))})]


def stoi_table(codec: Codec, folder: Path, count: int) -> Table:
    """STOI by kind of voice and by how many levels are decoded."""
    rows = []
    for kind in ("flite", "espeak"):
        sounds = [Sound.read(path) for path in spread_over(sorted(folder.glob(f"{kind}_*/*.wav")), count)]
        for levels in (8, 4, 1):
            scores = [intelligibility(sound, round_trip(codec, sound, levels)) for sound in sounds]
            low, high = interval(scores, lambda some: float(np.mean(some)))
            rows.append((kind, str(len(sounds)), str(levels), f"{np.mean(scores):.3f} ({low:.3f}-{high:.3f})", f"{min(scores):.3f}"))
            print("  ".join(rows[-1]), flush=True)
    return Table("STOI of held-out sentences after the round trip", ("voices", "utterances", "levels", "mean (95 % interval)", "lowest"), tuple(rows))


def digits_table(codec: Codec, corpus: Path, per_voice: int) -> Table:
    """Errors of the digit judge on recordings and on their round trips."""
    judge = GrammarJudge.of_words(DIGITS)
    paths = [path for speaker in sorted((corpus / "heldout").iterdir()) for path in sorted(speaker.glob("*.wav"))[:per_voice]]
    pairs: list[tuple[WordErrors, WordErrors]] = []
    for path in paths:
        text, sound = path.with_suffix(".txt").read_text(encoding="utf-8"), Sound.read(path)
        pairs.append((word_errors(text, judge.hear(sound)), word_errors(text, judge.hear(round_trip(codec, sound)))))
    rows = []
    for name, measure in (
        ("recording", lambda some: 100 * total([a for a, _ in some]).rate),
        ("codec round trip", lambda some: 100 * total([b for _, b in some]).rate),
        ("difference, in points", lambda some: 100 * (total([b for _, b in some]).rate - total([a for a, _ in some]).rate)),
    ):
        low, high = interval(pairs, measure)
        rows.append((name, f"{measure(pairs):.2f} ({low:.2f}-{high:.2f})"))
        print("  ".join(rows[-1]), flush=True)
    words = total([a for a, _ in pairs]).num_words
    return Table(f"Word errors of {len(pairs)} held-out digit strings, {words} words, 4 flite voices", ("speech", "% (95 % interval)"), tuple(rows))


@dataclass(frozen=True)
class Speed:
    """Seconds of speech per second of computing."""

    encode: float
    decode: float


def measure_speed(codec: Codec, waveform: NDArray[np.float32]) -> Speed:
    """One encode and one decode; processor time, because the machine may be shared."""
    duration_s = len(waveform) / codec.spec.sample_rate_hz
    begin = time.process_time()
    (codes,) = codec.encode([waveform])
    middle = time.process_time()
    codec.decode(codes)
    return Speed(duration_s / (middle - begin), duration_s / (time.process_time() - middle))


def speed_table(mini: Codec, paths: Sequence[Path], rounds: int) -> Table:
    """The two codecs in turn on the same ten seconds; the first round warms up and is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "random.th"
        torch.save(make_model(24_000).state_dict(), weights)
        codecs: dict[str, Codec] = {"mini, 2 kbit/s": mini, "EnCodec 24 kHz, 6 kbit/s": Encodec(Encodec.Config(weights=weights))}
    waveform = np.concatenate([Sound.read(path).at(24_000).samples for path in paths])[: round(SPEED_S * 24_000)]
    speeds: dict[str, list[Speed]] = {name: [] for name in codecs}
    for _ in range(rounds + 1):
        for name, codec in codecs.items():
            speeds[name].append(measure_speed(codec, waveform))
    rows = tuple(
        (name, median_and_spread([s.encode for s in some[1:]], "x"), median_and_spread([s.decode for s in some[1:]], "x")) for name, some in speeds.items()
    )
    for row in rows:
        print("  ".join(row), flush=True)
    title = f"Times real time on one core ({len(waveform) / 24_000:.0f} s of speech at once, {rounds} interleaved rounds, processor time): median (range)"
    return Table(title, ("codec", "encode", "decode"), rows)


def weights_table(path: Path, codec: Codec, num_parameters: int) -> Table:
    """What the file is and what its header says of the training."""
    with safe_open(path, "pt") as file:
        header = file.metadata()
    rows = (
        ("file", f"{path.stat().st_size / 1e6:.2f} MB, sha256 {codec.spec.weights_hash[:16]}"),
        ("parameters, with codebooks", f"{num_parameters / 1e6:.2f} M"),
        ("training steps, last run", header["steps"]),
        ("training time, last run", f"{int(header['seconds']) / 60:.0f} min"),
    )
    return Table("The weights", ("", ""), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sentences", type=Path, help="held-out group of the sentences corpus")
    parser.add_argument("digits", type=Path, help="digits corpus")
    parser.add_argument("--weights", type=Path, default=SHIPPED_WEIGHTS)
    parser.add_argument("--utterances", type=int, default=100, help="sentences of each kind of voice, and digit strings of each voice")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("-o", "--out", type=Path, help="write the record here")
    args = parser.parse_args()
    torch.set_num_threads(1)
    codec = MiniCodec(MiniCodec.Config(weights=args.weights))
    num_parameters = sum(tensor.numel() for tensor in codec.network.state_dict().values())
    tables = [
        weights_table(args.weights, codec, num_parameters),
        speed_table(codec, sorted(args.sentences.glob("flite_*/*.wav"))[:8], args.rounds),
        stoi_table(codec, args.sentences, args.utterances),
        digits_table(codec, args.digits, args.utterances),
    ]
    if args.out:
        summary = (
            "The codec in the box at 24 kHz, 25 frames a second, 8 levels of 1024. Target: STOI >= 0.93 on held-out flite speech, at most one point more "
            "digit errors than the recording, 20 times real time each way on one core, at most 12 MB."
        )
        notes = [
            "STOI: pystoi against the recording. Digits: pocketsphinx with a closed grammar. Intervals are bootstrapped over utterances.",
            "The corpora are made by benchmarks/synthesise_speech.py with its defaults; a text is held out for all voices or none.",
        ]
        write_record(args.out, "Mini codec", summary, tables, notes)


if __name__ == "__main__":
    main()
