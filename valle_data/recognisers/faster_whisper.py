"""Whisper (Radford et al., "Robust speech recognition via large-scale weak supervision", 2022) by faster-whisper and CTranslate2.

Chunks of any number of recordings go through the model together. Its window is 30 s whatever it holds, so chunks need no padding to each other; the
features of a chunk, its language, its text and the times of its words are worked out without looking at another chunk.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from math import exp
from pathlib import Path
from typing import Any, Literal

import numpy as np
from faster_whisper import WhisperModel, available_models
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens, merge_punctuations
from faster_whisper.utils import download_model
from numpy.typing import NDArray
from pydantic import Field

from valle_data.config import speed
from valle_data.errors import EnvironmentProblem, InputError, ReasonCode, UsageError
from valle_data.recognisers.base import RATE_HZ, Recogniser, RecogniserConfig, Transcript, Word, is_undetermined
from valle_data.registry import nearest

FILES = ("model.bin", "config.json", "tokenizer.json")
BESIDE = ("preprocessor_config.json", "vocabulary.json", "vocabulary.txt")
"""Files that a model may have too, with the features it was trained on and its words."""
ALIASES = {"cmn": "zh", "iw": "he", "nb": "no", "fil": "tl", "in": "id", "jv": "jw", "ji": "yi"}
"""Primary subtags of BCP 47 that Whisper writes otherwise."""
NON_SPEECH: Any = [-1]
"""faster-whisper's word for all tokens that are no speech (notes, brackets); it wants a list, whatever its annotation says."""
BEFORE, AFTER = "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、"
"""Punctuation that belongs to the word behind it, and to the word before it."""


class FasterWhisperRecogniser(Recogniser):
    """See the module."""

    max_duration_s = 30.0

    class Config(RecogniserConfig):
        """`model` is a name that faster-whisper knows or `owner/name`, found in the usual cache or fetched; `weights` is a folder instead of it.

        With `batch_size` 1 a text depends on its own chunk alone. A larger one is faster on a GPU; there the rounding of a sum may depend on the number
        of rows, so that a word near a tie may depend on what else is in the part, though never on the number of workers.
        """

        name: Literal["faster_whisper"] = "faster_whisper"
        model: str = "large-v3"
        weights: Path | None = None
        compute_type: str = "default"
        beam_size: int = Field(default=5, ge=1, le=32)
        batch_size: int = Field(default=1, ge=1, le=256)
        device: Literal["auto", "cpu", "cuda"] = speed("auto")
        cpu_threads: int = speed(0, ge=0, le=256)

        def options(self) -> dict[str, Any]:
            """Without the name of the model: the stamp has the hash of its weights."""
            return {name: value for name, value in super().options().items() if name != "model"}

        def stamp(self) -> str:
            packages = ", ".join(f"{name} {version(name)}" for name in ("faster-whisper", "ctranslate2"))
            return f"{packages}, weights {weights_hash(_weights_folder(self))}"

    def __init__(self, config: "FasterWhisperRecogniser.Config") -> None:
        self.config = config
        folder = str(_weights_folder(config))
        self.model = WhisperModel(folder, device=config.device, compute_type=config.compute_type, cpu_threads=config.cpu_threads)

    def transcribe(
        self, waveforms: Sequence[NDArray[np.float32]], languages: Sequence[str], expected: Sequence[str] | None = None
    ) -> list[Transcript | InputError]:
        codes = [self._code(language) for language in languages]
        unknown = [index for index, code in enumerate(codes) if code is None]
        for index, detected in zip(unknown, self._detect([waveforms[index] for index in unknown]), strict=True):
            codes[index] = detected
        outcomes: dict[int, Transcript | InputError] = {index: code for index, code in enumerate(codes) if isinstance(code, InputError)}
        for language in sorted({code for code in codes if isinstance(code, str)}):
            chosen = [index for index, code in enumerate(codes) if code == language]
            for first in range(0, len(chosen), self.config.batch_size):
                batch = chosen[first : first + self.config.batch_size]
                outcomes.update(zip(batch, self._hear([waveforms[index] for index in batch], language), strict=True))
        return [_in_own_words(outcomes[index], languages[index]) for index in range(len(waveforms))]

    def _code(self, language: str) -> str | InputError | None:
        """Whisper's name of a BCP 47 tag, None for one to be found out."""
        primary = language.lower().replace("_", "-").split("-")[0]
        if is_undetermined(primary):
            return None if self.model.model.is_multilingual else "en"
        code = ALIASES.get(primary, primary)
        known = self.model.supported_languages
        if code in known:
            return code
        listed = nearest(code, known) or f" It knows: {', '.join(sorted(known))}."
        return InputError(ReasonCode.UNKNOWN_LANGUAGE, f"This Whisper model does not know the language {language!r}.{listed}")

    def _encode(self, waveforms: Sequence[NDArray[np.float32]]) -> Any:
        return self.model.encode(np.stack([pad_or_trim(self.model.feature_extractor(waveform)) for waveform in waveforms]))

    def _detect(self, waveforms: Sequence[NDArray[np.float32]]) -> list[str]:
        found: list[str] = []
        for first in range(0, len(waveforms), self.config.batch_size):
            results = self.model.model.detect_language(self._encode(waveforms[first : first + self.config.batch_size]))
            found += [result[0][0][2:-2] for result in results]
        return found

    def _hear(self, waveforms: Sequence[NDArray[np.float32]], language: str) -> list[Transcript]:
        tokenizer = Tokenizer(self.model.hf_tokenizer, self.model.model.is_multilingual, task="transcribe", language=language)
        encoded = self._encode(waveforms)
        prompt = self.model.get_prompt(tokenizer, [], without_timestamps=True)
        results = self.model.model.generate(
            encoded,
            [prompt] * len(waveforms),
            beam_size=self.config.beam_size,
            max_length=self.model.max_length,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=list(get_suppressed_tokens(tokenizer, NON_SPEECH) or ()),
        )
        tokens = [[token for token in result.sequences_ids[0] if token < tokenizer.eot] for result in results]
        words = self._times(tokenizer, tokens, encoded, [len(waveform) / RATE_HZ for waveform in waveforms])
        shares = self._language_probs(encoded, language, len(waveforms))
        heard = [
            _Heard(tokenizer.decode(ids).strip(), len(result.sequences_ids[0]), result.scores[0], result.no_speech_prob)
            for ids, result in zip(tokens, results, strict=True)
        ]
        return [one.transcript(language, share, spoken) for one, share, spoken in zip(heard, shares, words, strict=True)]

    def _language_probs(self, encoded: Any, language: str, count: int) -> list[float | None]:
        if not self.model.model.is_multilingual:
            return [None] * count
        return [float(dict(result).get(f"<|{language}|>", 0.0)) for result in self.model.model.detect_language(encoded)]

    def _times(self, tokenizer: Tokenizer, tokens: list[list[int]], encoded: Any, durations_s: Sequence[float]) -> list[tuple[Word, ...]]:
        """Words with times by dynamic time warping over cross attention, as the model finds them; nothing is carried from one chunk to the next."""
        if not any(tokens):
            return [() for _ in tokens]
        frames: Any = [max(2, round(duration_s * self.model.frames_per_second)) for duration_s in durations_s]  # a number per chunk, as CTranslate2 wants
        alignments: Any = self.model.find_alignment(tokenizer, tokens, encoded, frames)  # pyright: ignore[reportArgumentType] - a list per chunk
        return [_words(alignment, duration_s) for alignment, duration_s in zip(alignments, durations_s, strict=True)]


@dataclass(frozen=True)
class _Heard:
    """What the decoder gave for one chunk: `score` is its mean log probability per token."""

    text: str
    num_tokens: int
    score: float
    no_speech_prob: float

    def transcript(self, language: str, language_prob: float | None, words: tuple[Word, ...]) -> Transcript:
        mean = self.score * self.num_tokens / (self.num_tokens + 1)  # the end-of-text token counts, as in Whisper's own average
        return Transcript(self.text, language, words, min(1.0, exp(mean)), language_prob, float(self.no_speech_prob))


def _words(alignment: list[dict[str, Any]], duration_s: float) -> tuple[Word, ...]:
    merge_punctuations(alignment, BEFORE, AFTER)
    kept: list[Mapping[str, Any]] = [word for word in alignment if word["word"].strip()]
    return tuple(
        Word(word["word"].strip(), min(float(word["start"]), duration_s), min(float(word["end"]), duration_s), float(word["probability"])) for word in kept
    )


def _in_own_words(outcome: Transcript | InputError, language: str) -> Transcript | InputError:
    """With the tag that was given rather than Whisper's name for it."""
    return outcome if is_undetermined(language) or isinstance(outcome, InputError) else replace(outcome, language=language)


def _weights_folder(config: FasterWhisperRecogniser.Config) -> Path:
    """The folder of a converted model. Raises EnvironmentProblem where it is not there and cannot be fetched."""
    folder = config.weights if config.weights is not None else _cached(config.model)
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise EnvironmentProblem(
            f"A Whisper model is a folder with {', '.join(FILES)} as CTranslate2 converts it; {str(folder)!r} has no {', '.join(missing)}. "
            "Convert yours with `ct2-transformers-converter --copy_files tokenizer.json preprocessor_config.json`, or name another folder in `weights`."
        )
    return folder


def _cached(model: str) -> Path:
    if "/" not in model and model not in available_models():
        raise UsageError(f"faster-whisper knows no model {model!r}.{nearest(model, available_models())} Give a name, `owner/name`, or a folder as `weights`.")
    try:
        return Path(download_model(model, local_files_only=True))
    except FileNotFoundError:
        pass  # not in the cache yet
    try:
        return Path(download_model(model))
    except OSError as error:
        raise EnvironmentProblem(
            f"The Whisper model {model!r} is not in the cache and cannot be fetched: {type(error).__name__}. "
            "Fetch it on a machine with a network (`hf download`) and give its folder as `weights`, or choose `recogniser: pocketsphinx`."
        ) from error


@cache
def weights_hash(folder: Path) -> str:
    """Of the files that decide what the model hears."""
    digest = hashlib.sha256()
    for name in (*FILES, *(name for name in BESIDE if (folder / name).is_file())):
        with open(folder / name, "rb") as file:
            digest.update(name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
