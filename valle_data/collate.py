"""Examples -> one packed batch. Knows segments, not tasks."""

from collections.abc import Sequence

import numpy as np

from valle_data.records import Batch, Example


def collate(examples: Sequence[Example]) -> Batch:
    """Pack documents end to end without padding, causal ones first; the order within each kind is kept."""
    if not examples:
        raise ValueError("A batch needs at least one example.")
    ordered = sorted(examples, key=lambda example: not example.causal)
    segments = [segment for example in ordered for segment in example.segments]
    lengths = np.array([example.num_positions for example in ordered], dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    counts = np.concatenate([(segment.bags >= 0).sum(1) for segment in segments])
    return Batch(
        ids=np.concatenate([segment.bags[segment.bags >= 0] for segment in segments]),
        bag_starts=np.cumsum(counts) - counts,
        times=np.concatenate([segment.start + segment.step * np.arange(len(segment.bags)) for segment in segments]).astype(np.float32),
        lengths=lengths,
        num_causal=sum(example.causal for example in ordered),
        target_positions=np.concatenate([s + e.target_start + np.arange(len(e.targets)) for s, e in zip(starts, ordered, strict=True)]),
        targets=np.concatenate([example.targets for example in ordered]),
        heads=np.repeat([example.head for example in ordered], [len(example.targets) for example in ordered]),
        rows=np.array([example.row for example in ordered], dtype=np.int64),
        levels=np.array([example.level for example in ordered], dtype=np.int64),
    )
