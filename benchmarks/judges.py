"""Judges of speech that work offline: what was said, by whom, and how much of it got lost.

pocketsphinx with a closed grammar is sharp on flite voices (spoken digits, one of sixty sentences). Its open vocabulary is not, nor does it understand
espeak-ng: nothing here uses it so. Waveforms are float32 `[N]` with their sample rate.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jiwer
import numpy as np
import soundfile as sf
import soxr
from numpy.typing import NDArray
from pocketsphinx import Decoder
from pystoi import stoi
from resemblyzer import VoiceEncoder, preprocess_wav

JUDGE_RATE_HZ = 16_000
SILENCE_S = 0.2  # around an utterance, which the recogniser wants
LEVEL = 20_000  # int16 per unit: what its models were trained at
WORD_INSERTION = 0.01  # probability; at the default 0.65 it hears words in pauses. Anything from 0.05 to 0.0001 serves recordings equally well


@dataclass(frozen=True)
class Sound:
    """A waveform `[N]` and its sample rate."""

    samples: NDArray[np.float32]
    sample_rate_hz: int

    @classmethod
    def read(cls, path: Path) -> "Sound":
        """A mono recording."""
        samples, rate = sf.read(path, dtype="float32")
        return cls(np.asarray(samples, dtype=np.float32), rate)

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.sample_rate_hz

    def at(self, sample_rate_hz: int) -> "Sound":
        """Resampled."""
        if sample_rate_hz == self.sample_rate_hz:
            return self
        return Sound(soxr.resample(self.samples, self.sample_rate_hz, sample_rate_hz), sample_rate_hz)


def plain_words(text: str) -> str:
    """Lower case, without punctuation: how grammars and error rates see a text."""
    return " ".join(re.findall(r"[a-z']+", text.lower()))


class GrammarJudge:
    """Hears only what its grammar allows. An utterance of nothing gives an empty string."""

    def __init__(self, rule: str) -> None:
        self.decoder = Decoder(loglevel="FATAL", wip=WORD_INSERTION)
        self.decoder.add_jsgf_string("judge", f"#JSGF V1.0; grammar judge; public <judge> = {rule};")
        self.decoder.activate_search("judge")

    @classmethod
    def of_words(cls, words: Iterable[str]) -> "GrammarJudge":
        """Any number of `words` in any order: for spoken digits."""
        return cls(f"( {' | '.join(words)} )+")

    @classmethod
    def of_sentences(cls, sentences: Iterable[str]) -> "GrammarJudge":
        """One of `sentences`, whole: which of them is it?"""
        return cls(" | ".join(f"( {plain_words(sentence)} )" for sentence in sentences))

    def hear(self, sound: Sound) -> str:
        """The words heard."""
        if not len(sound.samples):
            return ""
        silence = np.zeros(round(SILENCE_S * JUDGE_RATE_HZ), dtype=np.float32)
        padded = np.concatenate([silence, sound.at(JUDGE_RATE_HZ).samples, silence]) * LEVEL
        self.decoder.start_utt()
        self.decoder.process_raw(padded.clip(-32768, 32767).astype(np.int16).tobytes(), full_utt=True)
        self.decoder.end_utt()
        hypothesis = self.decoder.hyp()
        return hypothesis.hypstr if hypothesis else ""


@dataclass(frozen=True)
class WordErrors:
    """Substitutions, deletions and insertions against a reference of `num_words`."""

    num_errors: int
    num_words: int

    @property
    def rate(self) -> float:
        return self.num_errors / max(1, self.num_words)


def word_errors(reference: str, heard: str) -> WordErrors:
    """Edit distance in words, by jiwer. `reference` has at least one word."""
    result = jiwer.process_words(plain_words(reference), plain_words(heard))
    return WordErrors(result.substitutions + result.deletions + result.insertions, result.hits + result.substitutions + result.deletions)


def total(errors: Sequence[WordErrors]) -> WordErrors:
    return WordErrors(sum(e.num_errors for e in errors), sum(e.num_words for e in errors))


@dataclass(frozen=True)
class Identity:
    """Whom a sound resembles most, its cosine with the voice it should be, and its embedding `[256]`, a unit vector."""

    nearest: str
    cosine: float
    vector: NDArray[np.float32]


class SpeakerJudge:
    """resemblyzer's speaker encoder (a d-vector, Wan et al. 2018): every voice is the centroid of recordings of it."""

    def __init__(self, enrolment: Mapping[str, Sequence[Sound]]) -> None:
        self.encoder = VoiceEncoder("cpu", verbose=False)
        self.voices = {}
        for speaker, sounds in enrolment.items():
            centroid = np.mean([self.embed(sound) for sound in sounds], axis=0)
            self.voices[speaker] = centroid / np.linalg.norm(centroid)

    def embed(self, sound: Sound) -> NDArray[np.float32]:
        """Unit vector `[256]`."""
        return np.asarray(self.encoder.embed_utterance(preprocess_wav(sound.at(JUDGE_RATE_HZ).samples)))

    def identify(self, sound: Sound, speaker: str) -> Identity:
        """`speaker` is who it should be."""
        vector = self.embed(sound)
        cosines = {name: float(vector @ centroid) for name, centroid in self.voices.items()}
        return Identity(max(cosines, key=lambda name: cosines[name]), cosines[speaker], vector)

    def mean_cosine(self, identities: Sequence[Identity], speaker: str) -> float:
        """Cosine of the mean of `identities` with the voice: what short utterances lose in detail averages out."""
        mean = np.mean([identity.vector for identity in identities], axis=0)
        return float(mean @ self.voices[speaker] / max(1e-9, float(np.linalg.norm(mean))))


def intelligibility(reference: Sound, other: Sound) -> float:
    """STOI (Taal et al. 2011) of `other` against `reference`, which it follows sample by sample; the shorter one sets the length."""
    rate = reference.sample_rate_hz
    a, b = reference.samples, other.at(rate).samples
    length = min(len(a), len(b))
    return float(stoi(a[:length], b[:length], rate))
