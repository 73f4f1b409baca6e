"""transformers' Llama (Touvron et al. 2023): pre-norm, rotary positions, gated feed-forward."""

from typing import Any, Literal

from pydantic import PositiveInt, model_validator
from torch import Tensor
from transformers import LlamaConfig, LlamaModel

from valle_data.config import EntryConfig
from valle_model.architectures.base import Backbone
from valle_model.attention_backends import ATTENTION_BACKENDS, register
from valle_model.kv_cache import KVCache
from valle_model.layout import AttentionLayout


class Llama(Backbone):
    """See the module. Times may be fractions of a frame: rotary embeddings take any number."""

    class Config(EntryConfig):
        """`width` D, `depth` layers, `heads` H of width D / H, `feedforward` the inner width of the gated feed-forward."""

        name: Literal["llama"] = "llama"
        width: PositiveInt = 256
        depth: PositiveInt = 6
        heads: PositiveInt = 4
        feedforward: PositiveInt = 768
        attention: str = "sdpa"
        gradient_checkpointing: bool = False

        @model_validator(mode="after")
        def _check(self) -> "Llama.Config":
            if self.width % (2 * self.heads):
                raise ValueError(f"width is a multiple of twice the heads; {self.width} is not a multiple of {2 * self.heads}")
            _ = ATTENTION_BACKENDS[self.attention]
            return self

    def __init__(self, config: "Llama.Config") -> None:
        super().__init__()
        self.width, self.num_layers = config.width, config.depth
        llama = LlamaConfig(
            vocab_size=1, hidden_size=config.width, num_hidden_layers=config.depth, num_attention_heads=config.heads, intermediate_size=config.feedforward,
            use_cache=False, bos_token_id=None, eos_token_id=None, pad_token_id=None,
        )  # fmt: skip
        llama._attn_implementation = register(config.attention)
        self.model = LlamaModel(llama)
        # The embedding of a model is its own; transformers would keep an unused one in every checkpoint.
        del self.model.embed_tokens
        if config.gradient_checkpointing:
            self.model.gradient_checkpointing_enable()

    def forward(self, embedded: Tensor, times: Tensor, layout: AttentionLayout, cache: KVCache | None = None) -> Tensor:
        past: Any = cache
        output = self.model(inputs_embeds=embedded, position_ids=times, past_key_values=past, use_cache=False, layout=layout)
        return output.last_hidden_state
