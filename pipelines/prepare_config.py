"""What a `valle prepare` run is."""

from typing import Any, Literal, cast

from pydantic import Field, model_validator

from pipelines.executors import EXECUTORS
from pipelines.executors.pools import Pool, divided
from pipelines.planner import MARGIN_S
from valle_data.audio import AudioLimits
from valle_data.codecs import CODECS
from valle_data.config import StageConfig, from_table, stage_options
from valle_data.corpora import CORPORA
from valle_data.shards import SHARDS
from valle_data.stages import ALWAYS, STAGES
from valle_data.text.phonemizers import PHONEMIZERS

CONFIG_NAME = "prepare.yaml"
LONG_RECORDING_BYTES = 1024 * 1024 * 1024
StageOptions = stage_options(STAGES, ALWAYS)


class PrepareConfig(StageOptions):
    """Configuration of `valle prepare`: a field for each stage, `true` or a mapping of its options to have it run, and what follows.

    `corpus`, or several `corpora` with labels of their own. `shards`: the format of the shard files. `part_duration_s`: about how much audio makes a part,
    the unit of work, retry and commit. `duplicate_audio`: the second utterance with the same sound goes to quarantine or stays.
    `max_quarantine_fraction`: when more of the utterances are refused, the run ends with exit code 3. `executor`: who does the work, with its limits; the flags
    `--workers` and `--address` go before it.
    """

    corpus: from_table(CORPORA) | None = None  # pyright: ignore[reportInvalidTypeForm]
    corpora: tuple[from_table(CORPORA), ...] = ()  # pyright: ignore[reportInvalidTypeForm]
    codec: from_table(CODECS) = "mini"  # pyright: ignore[reportInvalidTypeForm]
    phonemizer: from_table(PHONEMIZERS) = "espeak"  # pyright: ignore[reportInvalidTypeForm]
    shards: Literal[tuple(SHARDS)] = "tar"  # pyright: ignore[reportInvalidTypeForm]
    duplicate_audio: Literal["quarantine", "keep"] = "quarantine"
    part_duration_s: float = Field(default=900.0, ge=1, le=86_400)
    max_quarantine_fraction: float = Field(default=0.05, ge=0, le=1)
    executor: from_table(EXECUTORS) | None = None  # pyright: ignore[reportInvalidTypeForm]
    pools: tuple[Pool, ...] = Field(default=(), description="how stages are divided among workers of a cluster; none: each worker runs all of them")

    @model_validator(mode="after")
    def _makes_sense(self) -> "PrepareConfig":
        if (self.corpus is None) == (not self.corpora):
            raise ValueError("names one `corpus`, or a list of `corpora`")
        labels = [entry.label or entry.name for entry in self.all_corpora()]
        if twice := sorted({label for label in labels if labels.count(label) > 1}):
            raise ValueError(f"gives each of several corpora a `label` of its own; {twice[0]!r} occurs twice")
        if self.decode is None or self.phonemize is None or self.quantize is None:  # pyright: ignore[reportAttributeAccessIssue]
            raise ValueError("needs the stages decode, phonemize and quantize: without one of them there is nothing to train on")
        divided(self.pools, list(self.stages()))
        return self

    def all_corpora(self) -> tuple[Any, ...]:
        return self.corpora or (self.corpus,)

    def stages(self) -> dict[str, StageConfig]:
        """The stages that run, in their order, and their options. Where a stage cuts recordings, as much as a part of one may be decoded."""
        chosen = {name: options for name in STAGES if (options := getattr(self, name)) is not None}
        if any(STAGES[name].cuts for name in chosen):
            limits = self.limits
            longest_s = max(limits.max_duration_s, self.part_duration_s + 4 * MARGIN_S)
            changes = {"max_duration_s": longest_s, "max_decoded_bytes": max(limits.max_decoded_bytes, LONG_RECORDING_BYTES)}
            chosen["decode"] = limits.model_copy(update=changes)
        return chosen

    def columns(self) -> dict[str, str]:
        """The scores that the stages write, in order."""
        return {column: kind for name in self.stages() for column, kind in STAGES[name].columns.items()}

    @property
    def limits(self) -> AudioLimits:
        return cast(AudioLimits, getattr(self, "decode"))  # noqa: B009 - a field made from the table of stages

    @property
    def max_characters(self) -> int:
        return getattr(self, "phonemize").max_characters  # noqa: B009
