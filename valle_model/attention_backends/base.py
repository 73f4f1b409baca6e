"""What an attention backend owes. Shapes: H heads, S packed positions, B requests, L cached positions, E width of a head."""

from abc import ABC, abstractmethod

from torch import Tensor

from valle_model.layout import DecodeLayout, PackedLayout


class AttentionBackend(ABC):
    """Both methods return what `softmax(scaling * q k^T + mask) v` is, in the shape of the query."""

    @abstractmethod
    def packed(self, query: Tensor, key: Tensor, value: Tensor, layout: PackedLayout, scaling: float) -> Tensor:
        """`[H, S, E]` each: documents packed end to end."""

    @abstractmethod
    def decode(self, query: Tensor, key: Tensor, value: Tensor, layout: DecodeLayout, scaling: float) -> Tensor:
        """Query `[B, H, 1, E]`, key and value `[B, H, L, E]`: one new position of each request."""
