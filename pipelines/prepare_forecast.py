"""`valle prepare --dry-run`: what a run would do, from the headers of the new recordings and a sample that is really prepared. Writes nothing."""

import itertools
import math
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipelines.catalog import Catalog, opened
from pipelines.console import Cell, Console
from pipelines.part import make_tools
from pipelines.planner import WINDOW, Source, check_usable, place_of, plan_parts
from pipelines.prepare_config import PrepareConfig
from pipelines.prepare_intake import entries_of, plan_options
from pipelines.prepare_manifest import manifest_for, refuse_other
from pipelines.prepare_state import records_of
from valle_data.audio import AudioInfo, probe
from valle_data.errors import ExitCode, InputError
from valle_data.records import AudioRef
from valle_data.shards import SHARDS, lock
from valle_data.shards.describe import sample_of
from valle_data.shards.index import PartIdentity, encode_table, index_table
from valle_data.shards.manifest import NAME
from valle_data.stages import STAGES
from valle_data.stages.base import Tools, Work

SAMPLE_UTTERANCES = 4
BYTES_PER_SAMPLE = 4


@dataclass(frozen=True)
class Sample:
    """What preparing a few utterances took: seconds of audio per second of work, and bytes on the disk for a second of audio."""

    num_utterances: int
    speed: float
    bytes_per_s: float
    reasons: Counter[str]


@dataclass(frozen=True)
class Headers:
    """What the headers of the new recordings say."""

    num_utterances: int
    duration_s: float
    highest_rate_hz: int
    reasons: Counter[str]


def dry_run(config: PrepareConfig, output: Path, workers: int, console: Console) -> ExitCode:
    """Show parts, hours, disk, memory and time of a run into `output`, which need not exist."""
    tools = make_tools(config)
    manifest = manifest_for(config, tools)
    if (output / NAME).exists():
        refuse_other(output, manifest)
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder) / "catalog.sqlite") as catalog:
        catalog.load(output, records_of(output))
        num_listed = catalog.list(entries_of(config))
        headers = _read_headers(catalog, config, console)
        sample = _prepare_sample(catalog, config, tools)
    rows: list[tuple[str, Cell]] = [
        ("utterances listed", num_listed),
        ("usable among them", headers.num_utterances),
        ("hours", round(headers.duration_s / 3600, 3)),
        ("parts, about", math.ceil(headers.duration_s / config.part_duration_s)),
        ("refused by listing, header or text", headers.reasons.total()),
        *((f"  {reason}", count) for reason, count in sorted(headers.reasons.items())),
        *_estimates(config, headers, sample, workers),
    ]
    console.table(f"What preparing into {output} would do", ["what", "value"], rows)
    console.info("Nothing was written. Time and disk are estimated from the sample; duplicates are found only when recordings are read whole.")
    return ExitCode.DONE


def _estimates(config: PrepareConfig, headers: Headers, sample: Sample | None, workers: int) -> list[tuple[str, Cell]]:
    part_bytes = min(headers.duration_s, config.part_duration_s) * headers.highest_rate_hz * BYTES_PER_SAMPLE
    process_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    memory = ("memory of a worker, MB", round((process_bytes + 2 * part_bytes) / 1e6))
    if sample is None:
        return [memory]
    refused = ", ".join(f"{reason} {count}" for reason, count in sorted(sample.reasons.items())) or "none"
    return [
        (f"refused of a sample of {sample.num_utterances}", refused),
        ("disk, MB", round(headers.duration_s * sample.bytes_per_s / 1e6, 1)),
        memory,
        ("hours per hour and worker", round(sample.speed, 1)),
        (f"time on {max(workers, 1)} workers", lock.describe_age(headers.duration_s / sample.speed / max(workers, 1))),
    ]


def _read_headers(catalog: Catalog, config: PrepareConfig, console: Console) -> Headers:
    reasons = Counter(str(problem.reason) for problem in catalog.problems())
    num_utterances, duration_s, rate, new, options = 0, 0.0, 0, catalog.new(), plan_options(config)
    with console.progress(catalog.num_new, "Reading headers", "utterances") as progress, ThreadPoolExecutor(4) as pool:
        while window := list(itertools.islice(new, WINDOW)):
            places = list(dict.fromkeys(place_of(utterance.audio) for utterance in window))
            infos = dict(zip(places, pool.map(lambda place: _header(place, config), places), strict=True))
            for utterance in window:
                source = Source("", infos[place_of(utterance.audio)])
                try:
                    info = check_usable(utterance, source, options)
                except InputError as error:
                    reasons[str(error.reason)] += 1
                    continue
                num_utterances, rate = num_utterances + 1, max(rate, info.sample_rate_hz)
                duration_s += utterance.audio.duration_s or max(0.0, info.duration_s - utterance.audio.start_s)
            progress.advance(len(window))
    return Headers(num_utterances, duration_s, rate, reasons)


def _header(place: AudioRef, config: PrepareConfig) -> AudioInfo | InputError:
    try:
        return probe(place, config.limits)
    except InputError as error:
        return error


def _prepare_sample(catalog: Catalog, config: PrepareConfig, tools: Tools) -> Sample | None:
    """Prepare the first few usable utterances once to load all models, and once more against the clock."""
    part = next(plan_parts(catalog, plan_options(config, limit=SAMPLE_UTTERANCES)), None)
    if part is None or not part.utterances:
        return None
    stages = [STAGES[name](options, tools) for name, options in config.stages().items()]
    reasons = Counter[str]()

    def prepare() -> Iterator[Work]:
        works = [Work.begin(planned) for planned in part.utterances]
        for stage in stages:
            result = stage.run(works)
            works = result.kept
            reasons.update(str(rejection.reason) for rejection in result.rejected)
        yield from works

    list(prepare())
    reasons.clear()
    started = time.perf_counter()
    works = sorted(prepare(), key=lambda work: work.utterance.id)
    elapsed_s, duration_s = time.perf_counter() - started, sum(work.duration_s for work in works)
    if not works:
        return None
    coded = [work.coded() for work in works]
    shard = SHARDS[config.shards]().encode([sample_of(one) for one in coded])
    identity = PartIdentity(0, "", "", "", tools.codec.spec.name, config.columns())
    num_bytes = len(shard.data) + len(encode_table(index_table(identity, "part-000000", coded, shard.members)))
    return Sample(len(part.utterances), duration_s / elapsed_s, num_bytes / duration_s, reasons)
