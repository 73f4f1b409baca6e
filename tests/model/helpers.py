"""Small models and draws for the tests of the model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from valle_data.collate import pack
from valle_data.ids import IdSpace
from valle_data.records import Segment
from valle_data.tasks.base import Draw, Layout, Speech
from valle_model.layout import PackedLayout
from valle_model.valle import ModelConfig, Valle

IDS = IdSpace(num_phones=11, languages=("en-us", "de"), tasks=("tts", "tts-c"), num_levels=4, codebook_size=16)
LAYOUT = Layout(IDS, frames_per_phone=1.5)


@dataclass(frozen=True)
class TestDraw(Draw):
    """A draw that can also be read as what synthesis is asked."""

    __test__ = False

    def speech(self) -> Speech:
        assert self.prompt is not None
        return Speech("tts", self.level, self.language, self.phones, self.prompt, self.codes, text_covers_prompt=False)


def draw(level: int, frames: int, *, seed: int = 0, prompt_frames: int = 4) -> TestDraw:
    random = np.random.default_rng([seed, frames])
    codes = random.integers(0, IDS.codebook_size, (IDS.num_levels, frames))
    prompt = random.integers(0, IDS.codebook_size, (IDS.num_levels, prompt_frames))
    return TestDraw(0, level, "en-us", random.integers(0, IDS.num_phones, 6), codes, prompt, cut=0.3)


def model(attention: str = "sdpa", seed: int = 0) -> Valle:
    torch.manual_seed(seed)
    architecture = {"name": "llama", "width": 32, "depth": 2, "heads": 2, "feedforward": 48, "attention": attention}
    return Valle(ModelConfig.model_validate({"architecture": architecture}), IDS).eval()


@torch.no_grad()
def packed_hidden(net: Valle, segments: Sequence[Segment], num_causal: int) -> Tensor:
    """Hidden states `[S, D]` of one document."""
    packed = pack([segments])
    return net.hidden(*(torch.from_numpy(x) for x in (packed.ids, packed.bag_starts, packed.times)), PackedLayout.of(packed.lengths, num_causal))
