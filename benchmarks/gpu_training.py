"""S8 and S10: our packed training step beside a padded loop like that of transformers' Trainer, on the same documents and the same backbone."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from gpu_corpus import draws
from gpu_report import Figure, Goal
from gpu_setup import Context, Scale, equal_llama, interleave, layout, our_model, rates, seconds
from torch import Tensor
from transformers import LlamaForCausalLM

from valle_data.collate import collate
from valle_data.records import Batch, Example
from valle_data.samplers.packing import pack
from valle_data.tasks import TASKS
from valle_model.device import pick_precision
from valle_model.optimizers import OPTIMIZERS
from valle_model.training.engines import ENGINES
from valle_model.valle import Valle

CLIP_NORM = 1.0
SHEET_TFLOPS = {"H200": 989.0, "H100": 989.0, "B200": 2250.0, "A100": 312.0, "L40S": 362.0}  # dense bf16, vendors' data sheets


def documents(scale: Scale) -> list[Example]:
    """Training documents of the corpus law."""
    task = TASKS["tts"](layout())
    return [task.example(draw) for draw in draws(scale.documents, scale.shortest_s, scale.longest_s, scale.prompt_s)]


def packed_batches(examples: Sequence[Example], max_positions: int) -> list[Batch]:
    """As the loader packs them, without padding."""
    costs = np.array([example.num_positions for example in examples])
    order, bounds = pack(costs, max_positions, np.random.default_rng(0))
    return [collate([examples[place] for place in order[a:b]]) for a, b in pairwise(bounds)]


@dataclass(frozen=True)
class PaddedBatch:
    """Ids, mask and labels `[B, L]`, as a padding collator makes them."""

    ids: Tensor
    mask: Tensor
    labels: Tensor


def padded_batches(examples: Sequence[Example], size: int) -> list[PaddedBatch]:
    """The same documents in random order, one id a position, padded to the longest of each batch."""
    order = np.random.default_rng(0).permutation(len(examples))
    rows = [torch.from_numpy(np.concatenate([segment.bags[:, 0] for segment in examples[place].segments])) for place in order]
    made = []
    for begin in range(0, len(rows), size):
        some = rows[begin : begin + size]
        ids = torch.nn.utils.rnn.pad_sequence(some, batch_first=True)
        mask = torch.arange(ids.shape[1]) < torch.tensor([len(row) for row in some])[:, None]
        made.append(PaddedBatch(ids, mask.long(), ids.masked_fill(~mask, -100)))
    return made


class PaddedLoop:
    """What transformers' Trainer does in a step with bf16=True: autocast, fused AdamW, gradients clipped to 1; nothing is logged."""

    def __init__(self, model: LlamaForCausalLM, precision: torch.dtype) -> None:
        self.model, self.precision = model.train(), precision
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step(self, batch: PaddedBatch) -> None:
        device = self.model.device
        with torch.autocast(device.type, self.precision, enabled=self.precision != torch.float32):
            loss = self.model(input_ids=batch.ids.to(device), attention_mask=batch.mask.to(device), labels=batch.labels.to(device), use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP_NORM)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def useful_flops(model: Valle, scale: Scale, batch: Batch) -> float:
    """Multiply-adds times two, forward and backward: 6 per position and weight of the backbone's matrices, 6 per target and weight of its head, and
    12 * depth * width per pair of positions that see each other (PaLM, Chowdhery et al. 2022, appendix B; causal documents count half of their pairs).
    """
    matrices = sum(parameter.numel() for parameter in model.backbone.parameters() if parameter.ndim >= 2)
    heads = np.bincount(batch.heads, minlength=model.ids.num_levels) @ np.array(model.ids.head_sizes)
    pairs = (batch.lengths.astype(float) ** 2 * np.where(np.arange(len(batch.lengths)) < batch.num_causal, 0.5, 1.0)).sum()
    return 6.0 * matrices * batch.num_positions + 6.0 * scale.width * float(heads) + 12.0 * scale.depth * scale.width * float(pairs)


def matmul_tflops(device: torch.device, size: int) -> float:
    """What the device reaches on a square bf16 product of random numbers: the median of ten."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    times = [seconds(lambda: a @ b, device) for _ in range(13)][3:]
    return 2 * size**3 / statistics.median(times) / 1e12


def training(context: Context) -> None:
    """See the module. Both run in the precision that `engine.precision=auto` picks here."""
    scale, device = context.scale, context.device
    peak = matmul_tflops(device, 8192 if context.judged else 128)
    context.notebook.fact("matmul_bf16_tflops", peak)
    examples = documents(scale)
    packed, padded = packed_batches(examples, scale.max_positions), padded_batches(examples, scale.padded_batch)
    entry = OPTIMIZERS["adamw"]
    engine_type = ENGINES["local"]
    engine = engine_type(
        engine_type.Config.model_validate({"device": str(device)}), our_model(scale, device), entry(entry.Config.model_validate({"lr": 1e-4})), CLIP_NORM
    )
    loop = PaddedLoop(equal_llama(scale, device), pick_precision("auto", device))
    ways = {"ours": lambda: [engine.step([batch], 1.0) for batch in packed], "peer": lambda: [loop.step(batch) for batch in padded]}
    times = interleave(ways, context)
    positions = sum(batch.num_positions for batch in packed)
    slots = sum(batch.ids.numel() for batch in padded)
    context.notebook.remark(
        f"Training: {len(examples)} documents, {positions:,} positions in {len(packed)} packed batches, or {slots:,} places in {len(padded)} padded batches "
        f"({100 * positions / slots:.0f} % of them useful); {engine.model.num_parameters / 1e6:.0f} M parameters, {str(loop.precision).removeprefix('torch.')}."
    )
    context.notebook.figure(
        Figure(
            "S8",
            "useful training positions/s",
            "/s",
            rates(positions, times["ours"]),
            "padded loop like HF Trainer's, batch " + str(scale.padded_batch),
            rates(positions, times["peer"]),
            goal=Goal(times_better=3.0),
            judged=context.judged,
        )
    )
    flops = sum(useful_flops(engine.model, scale, batch) for batch in packed)
    _utilisation(context, rates(flops / 1e12, times["ours"]), peak)


def _utilisation(context: Context, teraflops: Sequence[float], peak: float) -> None:
    """Against what the device reached on one matrix product, and against its data sheet where we have it; the goal is for the latter."""
    name = torch.cuda.get_device_name(context.device) if context.device.type == "cuda" else "CPU"
    sheet = next((value for known, value in SHEET_TFLOPS.items() if known in name), None)
    limits = {"measured": peak} | ({"sheet's": sheet} if sheet else {})
    for place, (source, limit) in enumerate(limits.items(), start=1):
        goal = Goal(at_least=45.0) if place == len(limits) else Goal()
        values = tuple(100 * value / limit for value in teraflops)
        context.notebook.figure(Figure("S10", f"MFU of the {source} {limit:.3g} TFLOP/s", "%", values, goal=goal, judged=context.judged))
