"""How fast the sampler plans and the loader makes batches, beside webdataset and a bare read of the same shards, in one run.

    python benchmarks/loader.py --work work/loader -o docs/benchmarks/loader.md

CPU-time of the process (all threads), rounds interleaved, median (smallest-largest). Takes about ten minutes and 300 MB in `--work`.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from corpus_law import write
from record import Table, median_and_spread, write_record

from valle_data.dataset import Dataset
from valle_data.ids import IdSpace
from valle_data.loader import Loader
from valle_data.samplers.plan import Columns, Place, Plan, SamplerConfig
from valle_data.tasks import TASKS
from valle_data.tasks.base import Layout

MAX_POSITIONS = 16_384
CONFIG = SamplerConfig(max_positions=MAX_POSITIONS, tasks={"tts": 0.8, "tts-c": 0.2}, prompt_min_duration_s=1.0, prompt_max_duration_s=3.0)
SIZES = {2_000: 20, 20_000: 200}  # utterances: speakers


@dataclass(frozen=True)
class Speed:
    """Utterances per CPU-second, one entry a round."""

    what: str
    rates: list[float]


def cpu_rate(work: Callable[[], int]) -> float:
    """Utterances per CPU-second of `work`, which returns how many it handled."""
    start = time.process_time()
    count = work()
    return count / (time.process_time() - start)


def fresh_loader(folder: Path) -> Loader:
    data = Dataset.open(folder)
    ids = IdSpace(len(data.vocabulary), data.languages, tuple(TASKS), data.codec.num_levels, data.codec.codebook_size)
    return Loader(data, Plan(data.columns, CONFIG), [TASKS[name](Layout(ids, 6.25)) for name in CONFIG.tasks], ids)


def load(loader: Loader, num_utterances: int) -> int:
    """Batches until `num_utterances` have come; four more are fetched ahead and not counted."""
    count = 0
    batches = iter(loader)
    for batch in batches:
        count += len(batch.rows)
        if count >= num_utterances:
            break
    batches.close()
    return count


def look(loader: Loader, num_utterances: int) -> int:
    """The planned codes as views on the shards, and the phones: what there is to read, and nothing made of it."""
    data, plan = loader.dataset, loader.plan
    count, place = 0, Place()
    while count < num_utterances:
        batch = plan.micro_batch(place)
        spans = zip(batch.rows.tolist(), batch.prompt_rows.tolist(), batch.prompt_start.tolist(), batch.prompt_frames.tolist(), strict=True)
        for row, prompt, start, frames in spans:
            data.codes(row)
            data.phones(row)
            if prompt >= 0:
                data.codes(prompt, start, start + frames)
        count += len(batch.rows)
        place = plan.advance(place, 1)
    return count


def read_webdataset(folder: Path, num_utterances: int) -> int:
    from webdataset.compat import WebDataset  # the peer; it imports torch

    shards = [str(path) for path in sorted((folder / "shards").glob("*.tar"))]
    samples: Any = WebDataset(shards, shardshuffle=False).decode()
    return sum(1 for _ in islice(samples, num_utterances))


def read_raw(folder: Path) -> int:
    """Every byte of every shard, in order."""
    for path in sorted((folder / "shards").glob("*.tar")):
        with path.open("rb", buffering=0) as file:
            while file.read(1 << 20):
                pass
    return sum(json.loads(path.read_bytes())["num_utterances"] for path in (folder / "shards").glob("*.json"))


def compare(folder: Path, num_utterances: int, rounds: int) -> list[Speed]:
    """T1 and T3: four ways through the same shards, in turn."""
    loader = fresh_loader(folder)
    ways: dict[str, Callable[[], int]] = {
        "valle batches, open and checked": lambda: load(loader, num_utterances),
        "valle batches, opened anew (index read, every member's checksum and codes verified)": lambda: load(fresh_loader(folder), num_utterances),
        "valle views of target and prompt codes, no batches": lambda: look(loader, num_utterances),
        "webdataset `.decode()`, samples": lambda: read_webdataset(folder, num_utterances),
        "raw sequential read of the shards": lambda: read_raw(folder),
    }
    speeds = {what: Speed(what, []) for what in ways}
    for way in ways.values():
        way()
    for _ in range(rounds):
        for what, way in ways.items():
            speeds[what].rates.append(cpu_rate(way))
    return list(speeds.values())


def made_up_columns(num_rows: int) -> Columns:
    """1-30 s, log-normal, 75 frames a second; Zipf-like speakers in the order of the rows, as parts are."""
    random = np.random.default_rng(0)
    frames = (np.clip(random.lognormal(np.log(6.5), 0.7, num_rows), 1, 30) * 75).astype(np.uint16)
    popularity = 1 / np.arange(1, num_rows // 50 + 1) ** 0.8
    speaker = np.sort(random.choice(len(popularity), num_rows, p=popularity / popularity.sum())).astype(np.uint32)
    return Columns(frames, (frames // 6).astype(np.uint16), speaker, (speaker % 3).astype(np.uint8), 75.0, 8, "made-up")


def planned(mode: str, columns: Columns, rounds: int) -> tuple[str, ...]:
    """T5, T4, T20 for one mode."""
    plan = Plan(columns, SamplerConfig.model_validate({"mode": mode, "max_positions": 30_000}))
    blocks = [plan.block(block) for block in range(rounds)]
    loads = np.concatenate([np.add.reduceat(block.documents.positions, block.bounds[:-1]) for block in blocks])
    steps = loads[: len(loads) // 8 * 8].reshape(-1, 8)
    rates = [cpu_rate(lambda at=at: len(plan.block(100 * at).documents.rows)) for at in range(1, rounds + 1)]
    return (
        mode,
        median_and_spread([rate / 1000 for rate in rates], " k"),
        f"{100 * loads.mean() / 30_000:.2f} %",
        "0",
        f"{(steps.max(1) / steps.mean(1)).mean():.4f}",
    )


def seeking(columns: Columns, rounds: int) -> list[tuple[str, str]]:
    """T6 and T7: CPU-time of the first micro-batch somewhere, of making the plan, and the bytes of its state."""
    start = time.process_time()
    plan = Plan(columns, CONFIG)
    rows = [("the plan itself, made once", f"{time.process_time() - start:.2f} s")]
    for share in (0.01, 0.99, 100.5):
        times = []
        for at in range(rounds):
            start = time.process_time()
            plan.micro_batch(Place(int(share * plan.schedule.blocks_per_epoch) + 2 * at))
            times.append(1000 * (time.process_time() - start))
        rows.append((f"{share:.2f} epochs", median_and_spread(times, " ms")))
    return [*rows, ("state after 10^9 blocks", f"{len(json.dumps(plan.state(Place(10**9, 10**4))).encode())} bytes")]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the corpora; kept for the next run")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    tables, ratios = [], []
    for size, speakers in SIZES.items():
        folder = write(args.work / f"law-{size}", speakers, size // speakers)
        warm, _, _, webdataset, raw = speeds = compare(folder, size, args.rounds)
        tables.append(
            Table(
                f"{size:,} utterances",
                ("way", "utterances per CPU-second"),
                tuple((s.what, median_and_spread([rate / 1000 for rate in s.rates], " k")) for s in speeds),
            )
        )
        times = [w / p for w, p in zip(warm.rates, webdataset.rates, strict=True)]
        share = [w / r for w, r in zip(warm.rates, raw.rates, strict=True)]
        data = Dataset.open(folder)
        index = (data.nbytes - sum(len(data.phones(row)) for row in range(len(data)))) / len(data)
        ratios.append((f"{size:,}", median_and_spread(times, "x"), median_and_spread(share), f"{index:.1f} bytes"))
    million = made_up_columns(1_000_000)
    modes = [planned(mode, million, args.rounds) for mode in ("path", "speaker", "group")]
    seeks = seeking(made_up_columns(10_000_000), args.rounds)
    tables.append(Table("Ratios (T1, T3) and memory", ("utterances", "of webdataset", "of the raw read", "index per utterance besides phones"), tuple(ratios)))
    tables.append(
        Table(
            "Planning (T5, T4, T20), 1,000,000 rows, 400 s",
            ("mode", "utterances per CPU-second", "useful positions", "padding", "max/mean of 8 ranks"),
            tuple(modes),
        )
    )
    tables.append(Table("Seeking (T6, T7), 10,000,000 rows: CPU-time of the first micro-batch there", ("where", "takes"), tuple(seeks)))
    write_record(
        args.output,
        "Loader and sampler",
        f"Utterances of 2-12 s at 75 frames a second and 8 levels (`benchmarks/corpus_law.py`), random access, with prompts of 1-3 s, into packed batches of "
        f"{MAX_POSITIONS:,} positions, against what a stock webdataset pipeline decodes in order and what a bare read of the bytes takes.",
        tables,
        [
            "A way is run once before it is measured: nothing counts imports or a cold page cache.",
            "webdataset decodes both members of a sample, in order; it chooses no prompt and packs nothing. The raw read includes the .json members.",
            "What is between the views and the batches is laying documents down one by one (`Task.example`) and joining them (`collate`).",
            "Goals: T1 15x of webdataset, T3 0.20 of the raw read, T4 98 % useful, T5 1.05 M a second, T6 100 ms and the same everywhere, plan made in 1 s, "
            "T7 512 bytes, T20 1.03.",
        ],
    )


if __name__ == "__main__":
    main()
