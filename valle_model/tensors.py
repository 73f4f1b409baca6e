"""A batch on a device."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from valle_data.records import Batch
from valle_model.layout import PackedLayout


@dataclass(frozen=True)
class TensorBatch:
    """`records.Batch` as tensors, with its attention layout; `present_heads` are the heads that occur in `heads`."""

    ids: Tensor
    bag_starts: Tensor
    times: Tensor
    layout: PackedLayout
    target_positions: Tensor
    targets: Tensor
    heads: Tensor
    present_heads: tuple[int, ...]

    @classmethod
    def of(cls, batch: Batch, device: torch.device | str = "cpu") -> Self:
        def move(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array).to(device, non_blocking=True)

        return cls(
            ids=move(batch.ids),
            bag_starts=move(batch.bag_starts),
            times=move(batch.times),
            layout=PackedLayout.of(torch.from_numpy(batch.lengths), batch.num_causal, device),
            target_positions=move(batch.target_positions),
            targets=move(batch.targets),
            heads=move(batch.heads),
            present_heads=tuple(int(head) for head in np.unique(batch.heads)),
        )
