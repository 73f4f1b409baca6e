"""NAR decoding: each level above 0 at once, from the sum of the levels below it (VALL-E, section 4.2.2)."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from valle_data.collate import pack
from valle_data.tasks.base import Layout, Speech, speech_segments
from valle_model.decoding.filters import check_finite, draw, scale_temperature
from valle_model.layout import PackedLayout
from valle_model.valle import Valle


@torch.inference_mode()
def decode_upper_levels(
    model: Valle, speeches: Sequence[Speech], layout: Layout, *, temperatures: Sequence[float], generators: Sequence[torch.Generator]
) -> list[np.ndarray]:
    """Codes `[Q, T]` of speeches whose `target` is level 0, `[1, T]`. Temperature 0 takes the most likely code."""
    targets = [speech.target for speech in speeches]
    device = model.output.weight.device
    for level in range(1, model.ids.num_levels):
        known = [replace(speech, level=level, target=target) for speech, target in zip(speeches, targets, strict=True)]
        packed = pack([speech_segments(speech, layout) for speech in known])
        attention = PackedLayout.of(torch.from_numpy(packed.lengths), 0, device)
        ids, starts, times = (torch.from_numpy(array).to(device) for array in (packed.ids, packed.bag_starts, packed.times))
        hidden = model.hidden(ids, starts, times, attention)
        ends = np.cumsum(packed.lengths)
        for place, (target, end) in enumerate(zip(targets, ends, strict=True)):
            logits = check_finite(model.logits(hidden[end - target.shape[1] : end], level).float().cpu())
            if temperatures[place] == 0:
                chosen = logits.argmax(-1).numpy()
            else:
                chosen = np.array([draw(row, generators[place]) for row in scale_temperature(logits, temperatures[place])])
            targets[place] = np.concatenate([target, chosen[None].astype(np.int64)])
    return targets
