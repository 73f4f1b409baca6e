"""What a `valle train` run is."""

from pathlib import Path

from pydantic import Field, NonNegativeInt

from valle_data.config import Config, from_table
from valle_data.samplers.plan import SamplerConfig
from valle_model.optimizers import OPTIMIZERS
from valle_model.training.engines import ENGINES
from valle_model.training.trainer import LoopConfig, ScheduleConfig
from valle_model.valle import ModelConfig


class SamplesConfig(Config):
    """Speech made on the way, from texts of the validation split and prompts of the same speakers: `num` of them, each from another speaker if it can be."""

    num: int = Field(default=4, ge=1, le=64)
    temperature: float = Field(default=0.7, ge=0)
    top_p: float = Field(default=0.9, gt=0, le=1)
    max_duration_s: float = Field(default=12.0, gt=0)


class TrainConfig(Config):
    """Configuration of `valle train`. `dataset` is a folder written by `valle prepare`; `seed` decides the first weights and everything drawn."""

    dataset: Path
    model: ModelConfig = ModelConfig()
    sampler: SamplerConfig = SamplerConfig()
    optimizer: from_table(OPTIMIZERS) = "adamw"  # pyright: ignore[reportInvalidTypeForm]
    schedule: ScheduleConfig = ScheduleConfig()
    engine: from_table(ENGINES) = "local"  # pyright: ignore[reportInvalidTypeForm]
    loop: LoopConfig = LoopConfig()
    samples: SamplesConfig = SamplesConfig()
    seed: NonNegativeInt = 0
