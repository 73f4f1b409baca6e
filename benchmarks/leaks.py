"""Whether a worker grows: resident memory over 1,000 parts through each codec, and over 100,000 lines through espeak. Writes docs/benchmarks/leaks.md.

    python benchmarks/leaks.py [--parts 1000] [--lines 100000] [--output docs/benchmarks/leaks.md]

A part is one encode and one decode of 0.03 to 0.15 s of noise, seldom as long as the one before: what a leak
costs is per call. Each codec runs in a process of its own, and its first parts, in which libraries fill their caches, are counted apart. Weights are
random, of the published classes; DAC and Mimi in a small shape.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
from record import Table, write_record
from speech_texts import SENTENCES, WORDS

LIMIT_MIB = 5.0
WARM_UP = 0.3  # of the count: by then the caches of oneDNN, which keep what they made for each length, have met every number of frames


@dataclass(frozen=True)
class Growth:
    """Resident memory in MiB: at the end, what the warm-up added, and what everything after it added."""

    resident: float
    warm_up: float
    growth: float


def resident() -> float:
    return psutil.Process().memory_info().rss / 2**20


def measure(once: Callable[[int], None], count: int) -> Growth:
    """Growth over `count` calls after `WARM_UP * count` others."""
    once(0)
    start = resident()
    for index in range(round(WARM_UP * count)):
        once(index)
    warm = resident()
    for index in range(count):
        once(index)
    end = resident()
    return Growth(end, warm - start, end - warm)


def make_mini(folder: Path):
    from valle_data.codecs.mini import MiniCodec

    return MiniCodec()


def make_encodec(folder: Path, sample_rate_hz: int = 24_000):
    import torch

    from valle_data.codecs.encodec import Encodec, make_model

    path = folder / f"encodec-{sample_rate_hz}.th"
    torch.save(make_model(sample_rate_hz).state_dict(), path)
    return Encodec(Encodec.Config.model_validate({"weights": path, "sample_rate_hz": sample_rate_hz}))


def make_encodec_48(folder: Path):
    return make_encodec(folder, 48_000)


def make_dac(folder: Path):
    from valle_data.codecs.dac import Dac, DacShape, make_model

    shape = DacShape(encoder_dim=16, latent_dim=64, decoder_dim=64, encoder_rates=(2, 4, 5, 8), decoder_rates=(8, 5, 4, 2), sample_rate=24_000)
    make_model(shape).save(str(folder / "dac.pth"), package=False)
    return Dac(Dac.Config(weights=folder / "dac.pth"))


def make_vocos(folder: Path):
    import torch

    from valle_data.codecs.vocos import CODEBOOKS, TRAINED_LEVELS, VocosCodec, VocosNetwork

    encodec = make_encodec(folder)
    books = torch.cat([layer.codebook for layer in encodec.model.quantizer.vq.layers[: TRAINED_LEVELS[-1]]])
    torch.save({**VocosNetwork().state_dict(), CODEBOOKS: books}, folder / "vocos.bin")
    return VocosCodec(VocosCodec.Config(weights=folder / "vocos.bin", encodec_weights=folder / "encodec-24000.th"))


def make_mimi(folder: Path):
    from transformers import MimiConfig, MimiModel

    from valle_data.codecs.mimi import Mimi

    MimiModel(MimiConfig(num_filters=16, num_hidden_layers=2)).save_pretrained(folder / "mimi")
    return Mimi(Mimi.Config(weights=folder / "mimi"))


CODECS = {"mini": make_mini, "encodec 24 kHz": make_encodec, "encodec 48 kHz": make_encodec_48, "dac": make_dac, "vocos": make_vocos, "mimi": make_mimi}


def codec_growth(name: str, parts: int) -> Growth:
    """Over `parts` parts in this process."""
    import numpy as np
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        codec = CODECS[name](Path(folder))

    def once(index: int) -> None:
        rng = np.random.default_rng(index)
        noise = rng.standard_normal(round(rng.uniform(0.03, 0.15) * codec.spec.sample_rate_hz), dtype=np.float32)
        codec.decode(codec.encode([0.1 * noise])[0])

    return measure(once, parts)


def espeak_growth(lines: int) -> Growth:
    """Over `lines` lines in this process, a thousand at a call."""
    from valle_data.text.phonemizers import PHONEMIZERS

    espeak = PHONEMIZERS["espeak"](PHONEMIZERS["espeak"].Config())

    def once(index: int) -> None:
        rng = random.Random(index)
        made = [" ".join(rng.choices(WORDS, k=rng.randint(4, 12))) + "." for _ in range(1000 - len(SENTENCES))]
        espeak.phonemize([*SENTENCES, *made], "en-us")

    return measure(once, lines // 1000)


def in_process(what: str, count: int) -> Growth:
    """The figure of `what`, measured by this program in a process of its own."""
    command = [sys.executable, "-W", "ignore", __file__, "--only", what, "--parts", str(count), "--lines", str(count)]
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return Growth(**json.loads(found.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", type=int, default=1000)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks/leaks.md"))
    parser.add_argument("--only", choices=[*CODECS, "espeak"], help="measure one and print it as JSON")
    options = parser.parse_args()
    if options.only:
        found = espeak_growth(options.lines) if options.only == "espeak" else codec_growth(options.only, options.parts)
        print(json.dumps(found.__dict__))
        return
    rows, worst = [], 0.0
    for name in (*CODECS, "espeak"):
        count = options.lines if name == "espeak" else options.parts
        found = in_process(name, count)
        worst = max(worst, found.growth)
        rows.append((name, f"{count:,} {'lines' if name == 'espeak' else 'parts'}", f"{found.growth:.1f}", f"{found.warm_up:.1f}", f"{found.resident:.0f}"))
        print(rows[-1], flush=True)
    holds = "holds" if worst <= LIMIT_MIB else "does not hold"
    summary = f"The limit of {LIMIT_MIB:g} MiB {holds}: the worst grows by {worst:.1f} MiB over {options.parts:,} parts or {options.lines:,} lines."
    columns = ("what", "over", "grew by, MiB", "warm-up before it, MiB", "resident at the end, MiB")
    notes = [f"The warm-up is {WARM_UP:.0%} of the count, on other inputs of the same law.", "One thread, random weights, noise of 0.03 to 0.15 s."]
    write_record(options.output, "Growth of a worker", summary, [Table("Resident memory", columns, tuple(rows))], notes)
    print(summary)


if __name__ == "__main__":
    main()
