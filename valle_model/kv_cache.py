"""Keys and values of the positions a request has already been through."""

import torch
from torch import Tensor

from valle_model.layout import DecodeLayout, DocumentGroup


class KVCache:
    """Room for `capacity` positions of B requests in every layer, `[layers, B, H, capacity, E]`, allocated at the first write.

    Filled once from packed prompts (`fill`), then one position per request and step (`step`); `lengths` `[B]` counts what each request holds.
    transformers' layers call `update`.
    """

    def __init__(self, num_layers: int, capacity: int) -> None:
        self.capacity = capacity
        self.keys: list[Tensor | None] = [None] * num_layers
        self.values: list[Tensor | None] = [None] * num_layers
        self.lengths = torch.zeros(0, dtype=torch.int64)
        self._group: DocumentGroup | None = None

    def fill(self, group: DocumentGroup) -> None:
        """The next forward pass goes over packed prompts, one document a request."""
        if group.index.shape[1] > self.capacity:
            raise ValueError(f"A prompt of {group.index.shape[1]} positions does not fit a cache of {self.capacity}.")
        self._group = group
        self.lengths = group.valid.sum(1)

    def step(self) -> DecodeLayout:
        """The next forward pass adds one position to every request."""
        self._group = None
        longest = int(self.lengths.max()) + 1
        if longest > self.capacity:
            raise ValueError(f"The cache holds {self.capacity} positions and is full.")
        self.lengths = self.lengths + 1
        seen = torch.arange(longest, device=self.lengths.device) < self.lengths[:, None]
        return DecodeLayout(seen[:, None, None])

    def keep(self, requests: Tensor) -> None:
        """Go on with these requests only, `[B']` indices."""
        self.lengths = self.lengths[requests]
        for layer, (key, value) in enumerate(zip(self.keys, self.values, strict=True)):
            assert key is not None and value is not None
            self.keys[layer], self.values[layer] = key[requests], value[requests]

    def update(self, key: Tensor, value: Tensor, layer_idx: int, *_unused: object) -> tuple[Tensor, Tensor]:
        """Store what a layer computed and return all it may look at; the name and order are those of transformers' caches."""
        if self._group is not None:
            self._store_packed(key[0], value[0], layer_idx)
            return key, value
        keys, values = self.keys[layer_idx], self.values[layer_idx]
        assert keys is not None and values is not None, "fill the cache before stepping"
        rows = torch.arange(len(key), device=key.device)
        keys[rows, :, self.lengths - 1] = key[:, :, 0]
        values[rows, :, self.lengths - 1] = value[:, :, 0]
        longest = int(self.lengths.max())
        return keys[:, :, :longest], values[:, :, :longest]

    def _store_packed(self, key: Tensor, value: Tensor, layer: int) -> None:
        group = self._group
        assert group is not None
        for store, packed in ((self.keys, key), (self.values, value)):
            rows = packed.transpose(0, 1)[group.index].transpose(1, 2)
            room = rows.new_zeros(rows.shape[0], rows.shape[1], self.capacity, rows.shape[3])
            room[:, :, : rows.shape[2]] = rows
            store[layer] = room
