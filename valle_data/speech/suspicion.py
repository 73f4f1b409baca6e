"""Row 10 of the faults: what a recogniser invents, told from what it heard."""

from dataclasses import dataclass

from pydantic import Field

from valle_data.config import Config
from valle_data.recognisers.base import Transcript
from valle_data.speech.judging import compression_ratio, longest_repetition

WINDOW_CHARACTERS = 500
"""What fits into the 30 s for which Whisper's bound of compression was found; a longer text always deflates better."""


class SuspicionRules(Config):
    """When a recognised text is not believed.

    A phrase `max_repetitions` times in a row, or a text that deflates by more than `max_compression_ratio`, is a loop. A text is put on silence where
    speech fills less than `min_speech_ratio` (0: not looked at), or where the recogniser itself finds silence more probable than `max_no_speech_prob`
    and its words less than `min_confidence_on_doubt`: Whisper's own pair of thresholds (Radford et al., 2022, section 4.5). The others bound speed, in
    characters per second of the recording, and confidence.
    """

    max_repetitions: int = Field(default=5, ge=2, le=100)
    max_compression_ratio: float = Field(default=2.4, gt=1, le=100)
    min_speech_ratio: float = Field(default=0.1, ge=0, le=1)
    max_no_speech_prob: float = Field(default=0.6, ge=0, le=1)
    min_confidence_on_doubt: float = Field(default=0.37, ge=0, le=1)
    min_confidence: float = Field(default=0.0, ge=0, le=1)
    max_characters_per_second: float = Field(default=30.0, gt=0)
    min_characters_per_second: float = Field(default=0.5, ge=0)


@dataclass(frozen=True)
class Suspicion:
    """`name` is what the column `asr_suspect` holds, `why` says it with the value."""

    name: str
    why: str


def suspicion(transcript: Transcript, *, duration_s: float, speech_ratio: float | None, rules: SuspicionRules) -> Suspicion | None:
    """The first thing that is wrong with a text heard in `duration_s` of which `speech_ratio` is speech, or None. A text without words is not suspect."""
    text = transcript.text.strip()
    if not text:
        return None
    repetitions = longest_repetition(text, transcript.language)
    ratio = max(compression_ratio(text[start : start + WINDOW_CHARACTERS]) for start in range(0, len(text), WINDOW_CHARACTERS))
    if repetitions >= rules.max_repetitions:
        return Suspicion("loop", f"it says the same {repetitions} times in a row, `max_repetitions` is {rules.max_repetitions}")
    if ratio > rules.max_compression_ratio:
        return Suspicion("loop", f"it deflates by {ratio:.1f}, `max_compression_ratio` is {rules.max_compression_ratio:g}")
    return _on_silence(transcript, speech_ratio, rules) or _out_of_range(transcript, len(text) / duration_s if duration_s else float("inf"), rules)


def _on_silence(transcript: Transcript, speech_ratio: float | None, rules: SuspicionRules) -> Suspicion | None:
    if speech_ratio is not None and speech_ratio < rules.min_speech_ratio:
        return Suspicion("text_on_silence", f"speech fills {speech_ratio:.2f} of the recording, `min_speech_ratio` is {rules.min_speech_ratio:g}")
    silence, confidence = transcript.no_speech_prob, transcript.confidence
    if silence is not None and confidence is not None and silence > rules.max_no_speech_prob and confidence < rules.min_confidence_on_doubt:
        return Suspicion("text_on_silence", f"silence is {silence:.2f} probable and the words {confidence:.2f}")
    return None


def _out_of_range(transcript: Transcript, characters_per_second: float, rules: SuspicionRules) -> Suspicion | None:
    if characters_per_second > rules.max_characters_per_second:
        return Suspicion("too_fast", f"{characters_per_second:.1f} characters a second, `max_characters_per_second` is {rules.max_characters_per_second:g}")
    if characters_per_second < rules.min_characters_per_second:
        return Suspicion("too_slow", f"{characters_per_second:.2f} characters a second, `min_characters_per_second` is {rules.min_characters_per_second:g}")
    if transcript.confidence is not None and transcript.confidence < rules.min_confidence:
        return Suspicion("low_confidence", f"confidence {transcript.confidence:.2f}, `min_confidence` is {rules.min_confidence:g}")
    return None
