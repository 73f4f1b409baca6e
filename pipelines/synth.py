"""`valle synth`: texts and a voice -> wave files."""

import json
import math
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile
from pydantic import ValidationError

from pipelines.console import Console
from valle_data.codecs import CODECS
from valle_data.errors import ExitCode, InputError, ReasonCode, UsageError
from valle_model.decoding.filters import SamplingConfig
from valle_model.synthesis import CONTINUATION, SynthesisRequest, SynthesisResult, real_time_factor
from valle_model.voice import Voice

TOGETHER = 16  # texts that are spoken in one batch
MAX_DURATION_S = 120.0  # of one text: keys and values of all of it are held in memory


@dataclass(frozen=True)
class SynthOptions:
    """What `valle synth` was asked for; `seed` None means: take a new one, and say which.

    `codec` decodes in place of the model's own, as `vocos` does for the codes of `encodec`.
    """

    texts: tuple[str, ...]
    checkpoint: Path
    output: Path
    prompt: Path | None
    prompt_text: str | None
    language: str | None
    temperature: float
    top_k: int
    top_p: float
    repetition_penalty: float
    repetition_window: int
    repetition_threshold: float
    max_duration_s: float
    nar_temperature: float
    seed: int | None
    codec: str | None = None


def run(options: SynthOptions, console: Console) -> ExitCode:
    """Write one wave file a text, and beside it a `.json` with all options, so that it can be made again."""
    seed = options.seed if options.seed is not None else secrets.randbelow(2**31)
    voice = Voice.load(options.checkpoint, codec=CODECS[options.codec].Config() if options.codec else None)
    for problem in voice.passed_over:
        console.warning(f"A newer checkpoint is not complete and was passed over: {problem}. Speaking with {voice.checkpoint.name}.")
    requests = make_requests(options, voice, seed)
    outputs = output_paths(options.output, len(options.texts))
    rows: list[list[str | float]] = []
    with console.progress(len(requests), "Speaking", "texts") as progress:
        for start in range(0, len(requests), TOGETHER):
            for place, result in enumerate(voice.synthesizer.synthesize(requests[start : start + TOGETHER]), start):
                if len(result.waveform):
                    write(outputs[place], result, voice, {**asdict(options), "text": options.texts[place], "seed": seed})
                rows.append(report_row(outputs[place], result, voice.card.codec.sample_rate_hz))
                progress.advance(1)
    console.table("Spoken", ["file", "seconds", "ended by", "real-time factor"], rows)
    silent = [text for text, row in zip(options.texts, rows, strict=True) if not row[1]]
    if any(row[2] == "max_frames" for row in rows):
        console.warning(f"Some speech was cut at {options.max_duration_s:g} s. Raise --max-duration, or try another --seed.")
    if silent:
        names = ", ".join(map(repr, silent[:5]))
        raise InputError(ReasonCode.EMPTY_AUDIO, f"The model ended {len(silent)} of {len(rows)} texts before their first frame ({names}). Try another --seed.")
    console.result(
        {"files": [str(path) for path in outputs], "seed": seed, "checkpoint": str(voice.checkpoint)}, f"Seed {seed}, checkpoint {voice.checkpoint}."
    )
    return ExitCode.DONE


def make_requests(options: SynthOptions, voice: Voice, seed: int) -> list[SynthesisRequest]:
    """One request a text; every text has the same seed, so it sounds the same alone or among others."""
    if options.prompt_text is not None and options.prompt is None:
        raise UsageError("--prompt-text says what is spoken in the prompt, but there is no --prompt. Give the recording too.")
    if not 0 < options.max_duration_s <= MAX_DURATION_S:
        raise UsageError(f"--max-duration is a number of seconds above 0 and at most {MAX_DURATION_S:g}, not {options.max_duration_s:g}.")
    if not math.isfinite(options.nar_temperature):
        raise UsageError(f"--nar-temperature is a number from 0 up, not {options.nar_temperature:g}.")
    if options.prompt_text is not None and CONTINUATION not in voice.card.tasks:
        raise UsageError(
            f"--prompt-text needs a model trained on the task {CONTINUATION}; this one was trained on {', '.join(voice.card.tasks)}. Leave it out."
        )
    sampling = make_sampling(options, seed)
    language = voice.language(options.language)
    prompt = voice.encode_prompt(options.prompt) if options.prompt else None
    return [
        SynthesisRequest(
            phones=voice.phones(text, language),
            language=language,
            prompt=prompt,
            prompt_phones=[*voice.phones(options.prompt_text, language), *voice.word_boundary] if options.prompt_text is not None else None,
            sampling=sampling,
            nar_temperature=options.nar_temperature,
            max_duration_s=options.max_duration_s,
        )
        for text in options.texts
    ]


def make_sampling(options: SynthOptions, seed: int) -> SamplingConfig:
    """The decoding options; UsageError names the flag that is out of range."""
    try:
        return SamplingConfig(
            temperature=options.temperature,
            top_k=options.top_k,
            top_p=options.top_p,
            repetition_penalty=options.repetition_penalty,
            repetition_window=options.repetition_window,
            repetition_threshold=options.repetition_threshold,
            seed=seed,
        )
    except ValidationError as error:
        wrong = [f"--{str(e['loc'][0]).replace('_', '-')} {e['input']}: {e['msg']}" for e in error.errors()]
        raise UsageError("; ".join(wrong)) from None


def output_paths(output: Path, count: int) -> list[Path]:
    """`out.wav`, or for several texts `out-001.wav`, `out-002.wav` ..."""
    if output.suffix.lower() != ".wav":
        raise UsageError(f"The output is a .wav file, not {output.name!r}.")
    if not output.parent.is_dir():
        raise UsageError(f"There is no folder {output.parent}. Make it, or choose another output.")
    return [output] if count == 1 else [output.with_stem(f"{output.stem}-{place:03d}") for place in range(1, count + 1)]


def write(path: Path, result: SynthesisResult, voice: Voice, options: dict[str, object]) -> None:
    """The wave file (16 bit) and its options."""
    soundfile.write(path, np.clip(result.waveform, -1.0, 1.0), voice.card.codec.sample_rate_hz, subtype="PCM_16")
    del options["texts"]
    details = {**options, "checkpoint": str(voice.checkpoint), "stop_reason": result.stop_reason, "num_frames": int(result.codes.shape[1])}
    path.with_suffix(".json").write_text(json.dumps(details, indent=2, default=str, ensure_ascii=False) + "\n", encoding="utf-8")


def report_row(path: Path, result: SynthesisResult, sample_rate_hz: int) -> list[str | float]:
    return [str(path), round(len(result.waveform) / sample_rate_hz, 2), result.stop_reason, round(real_time_factor(result, sample_rate_hz), 3)]
