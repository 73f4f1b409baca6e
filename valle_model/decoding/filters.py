"""From logits to a token: pure functions over float32 logits `[V]` or `[B, V]`; what a filter forbids becomes -inf.

Temperature, top-k (Fan et al. 2018), top-p (Holtzman et al. 2020), repetition penalty (CTRL, Keskar et al. 2019, section 4.1) and
repetition-aware sampling (VALL-E 2, Chen et al. 2024, arXiv:2406.05370, section 3.2.1).
"""

import torch
from pydantic import Field
from torch import Tensor

from valle_data.config import Config
from valle_data.errors import InputError, ReasonCode


class SamplingConfig(Config):
    """How a token is picked. `temperature` 0 takes the most likely token and draws nothing; `top_k` 0 and `top_p` 1 keep every token.

    `repetition_penalty` makes the tokens of the last `repetition_window` less likely, 1 leaves them alone. `repetition_threshold` is the share of
    that window above which a drawn token is drawn again from the model's own unfiltered distribution (VALL-E 2 uses 10 and 0.1); 1 never does.
    """

    temperature: float = Field(default=1.0, ge=0)
    top_k: int = Field(default=0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    repetition_penalty: float = Field(default=1.0, ge=1)
    repetition_window: int = Field(default=10, ge=1)
    repetition_threshold: float = Field(default=1.0, ge=0, le=1)
    seed: int = Field(default=0, ge=0, lt=2**63)


def make_generator(config: SamplingConfig) -> torch.Generator:
    """The random numbers of one request. It lives on the CPU, so that a seed means the same on every device."""
    return torch.Generator().manual_seed(config.seed)


def penalise_repetition(logits: Tensor, history: Tensor, penalty: float) -> Tensor:
    """Divide positive and multiply negative logits of the tokens in `history` `[L]` or `[B, L]` by `penalty` >= 1; -1 in `history` is no token."""
    index = history.clamp(min=0)
    chosen = logits.gather(-1, index)
    lowered = torch.where(chosen > 0, chosen / penalty, chosen * penalty)
    return logits.scatter_reduce(-1, index, torch.where(history >= 0, lowered, chosen), "amin")


def scale_temperature(logits: Tensor, temperature: float) -> Tensor:
    """Logits over `temperature` > 0, shifted to a maximum of 0 first, so that no temperature can overflow."""
    return (logits - logits.amax(-1, keepdim=True)) / temperature


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the `k` largest, and everything equal to the smallest of them; 0 keeps all."""
    if not 0 < k < logits.shape[-1]:
        return logits
    smallest = logits.topk(k, dim=-1).values[..., -1:]
    return logits.masked_fill(logits < smallest, -torch.inf)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the most likely tokens up to and including the one with which their probabilities reach `p`: at least one. 1 keeps all."""
    if p >= 1:
        return logits
    ordered, order = logits.sort(dim=-1, descending=True, stable=True)
    probabilities = ordered.softmax(-1)
    reached_before = probabilities.cumsum(-1) - probabilities >= p
    reached_before[..., 0] = False
    return logits.masked_fill(reached_before.scatter(-1, order, reached_before), -torch.inf)


def penalise_recent(logits: Tensor, history: Tensor, config: SamplingConfig) -> Tensor:
    """`penalise_repetition` over the last `config.repetition_window` tokens of `history`."""
    if config.repetition_penalty == 1 or not history.shape[-1]:
        return logits
    return penalise_repetition(logits, history[..., -config.repetition_window :], config.repetition_penalty)


def filter_logits(logits: Tensor, history: Tensor, config: SamplingConfig) -> Tensor:
    """All filters of `config` in the order penalty, temperature, top-k, top-p. `config.temperature` is positive here."""
    logits = scale_temperature(penalise_recent(logits, history, config), config.temperature)
    return keep_top_p(keep_top_k(logits, config.top_k), config.top_p)


def draw(logits: Tensor, generator: torch.Generator) -> int:
    """One token by inversion of the cumulative distribution of logits `[V]`; never one whose probability is 0."""
    cumulative = logits.double().softmax(-1).cumsum(-1)
    position = torch.rand((), dtype=torch.float64, generator=generator).to(logits.device) * cumulative[-1]
    last = torch.searchsorted(cumulative, cumulative[-1])
    return int(torch.minimum(torch.searchsorted(cumulative, position, right=True), last))


def check_finite(logits: Tensor) -> Tensor:
    """The logits `[..., V]` themselves; InputError `broken_checkpoint` where NaN or infinity leaves nothing to choose from."""
    if not torch.isfinite(logits.amax(-1)).all():
        raise InputError(
            ReasonCode.BROKEN_CHECKPOINT, "The model's logits hold NaN or infinity, or no token is allowed. Use another checkpoint, or compute in float32."
        )
    return logits


def sample(logits: Tensor, history: Tensor, config: SamplingConfig, generator: torch.Generator) -> int:
    """The next token of one request from its logits `[V]` and the tokens `[L]` before it.

    `generator` belongs to the request (`make_generator`): what else is in the batch changes nothing.
    """
    logits = check_finite(logits.float())
    if config.temperature == 0:
        return int(penalise_recent(logits, history, config).argmax())
    token = draw(filter_logits(logits, history, config), generator)
    recent = history[-config.repetition_window :]
    if int((recent == token).sum()) / config.repetition_window > config.repetition_threshold:
        return draw(logits, generator)
    return token
