"""Documents -> packed positions, examples -> one packed batch. Knows segments, not tasks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from valle_data.records import Batch, Example, Segment


@dataclass(frozen=True)
class PackedDocuments:
    """Documents end to end: ids `[M]`, `bag_starts` `[S]`, `times` `[S]`, `lengths` `[D]` (fields as in `records.Batch`)."""

    ids: NDArray[np.int64]
    bag_starts: NDArray[np.int64]
    times: NDArray[np.float32]
    lengths: NDArray[np.int64]


def pack(documents: Sequence[Sequence[Segment]]) -> PackedDocuments:
    """Segments end to end, without padding; at least one document with at least one position."""
    segments = [segment for document in documents for segment in document]
    counts = np.concatenate([(segment.bags >= 0).sum(1) for segment in segments])
    return PackedDocuments(
        ids=np.concatenate([segment.bags[segment.bags >= 0] for segment in segments]),
        bag_starts=np.cumsum(counts) - counts,
        times=np.concatenate([segment.start + segment.step * np.arange(len(segment.bags)) for segment in segments]).astype(np.float32),
        lengths=np.array([sum(len(segment.bags) for segment in document) for document in documents], dtype=np.int64),
    )


def collate(examples: Sequence[Example]) -> Batch:
    """One packed batch of at least one example, causal documents first; the order within each kind is kept."""
    if not examples:
        raise ValueError("A batch needs at least one example.")
    ordered = sorted(examples, key=lambda example: not example.causal)
    packed = pack([example.segments for example in ordered])
    starts = np.cumsum(packed.lengths) - packed.lengths
    return Batch(
        ids=packed.ids,
        bag_starts=packed.bag_starts,
        times=packed.times,
        lengths=packed.lengths,
        num_causal=sum(example.causal for example in ordered),
        target_positions=np.concatenate([s + e.target_start + np.arange(len(e.targets)) for s, e in zip(starts, ordered, strict=True)]),
        targets=np.concatenate([example.targets for example in ordered]),
        heads=np.repeat([example.head for example in ordered], [len(example.targets) for example in ordered]),
        rows=np.array([example.row for example in ordered], dtype=np.int64),
        levels=np.array([example.level for example in ordered], dtype=np.int64),
    )
