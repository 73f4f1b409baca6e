"""Does the device compute what it should: attention against the formula in float64, the model against the CPU, the cache against no cache."""

from dataclasses import replace

import numpy as np
import torch
from gpu_corpus import PHONES_PER_S
from gpu_decoding import recompute_level_0
from gpu_report import Figure, Goal
from gpu_setup import Context, Scale, ar_request, layout, our_model, relative_error
from gpu_training import documents
from torch import Tensor

from valle_data.collate import collate
from valle_data.errors import EnvironmentProblem
from valle_data.records import Batch
from valle_model.attention_backends import ATTENTION_BACKENDS
from valle_model.attention_backends.base import AttentionBackend
from valle_model.attention_backends.eager import EagerAttention
from valle_model.decoding.autoregressive import decode_level_0
from valle_model.layout import DecodeLayout, PackedLayout
from valle_model.tensors import TensorBatch

LIMITS = {torch.float32: 1e-5, torch.bfloat16: 1e-2}
LAYOUTS = {"causal and full documents": ((57, 1, 130, 64, 9, 31), 3), "one causal document": ((150,), 1), "full documents": ((33, 80), 0)}


def parity(context: Context) -> None:
    """See the module. These figures fail the program when they miss their goals, at every size and on every device."""
    for name in ATTENTION_BACKENDS:
        if name == "eager":
            continue
        try:
            backend: AttentionBackend = ATTENTION_BACKENDS[name]()
        except EnvironmentProblem as problem:
            context.notebook.remark(f"Attention backend {name!r} cannot run here: {problem}")
            continue
        for dtype, limit in LIMITS.items():
            _attention(context, name, backend, dtype, limit)
    _losses(context)
    _cache(context)


def _note(context: Context, what: str, error: float, unit: str, limit: float, peer: str) -> None:
    context.notebook.figure(Figure("parity", what, unit, (error,), peer, more_is_better=False, goal=Goal(at_most=limit), essential=True))


def _attention(context: Context, name: str, backend: AttentionBackend, dtype: torch.dtype, limit: float) -> None:
    """The worst relative error over all layouts, of the output and of the gradients."""
    outputs, gradients = [], []
    for lengths, num_causal in LAYOUTS.values():
        packed = PackedLayout.of(lengths, num_causal, context.device)
        ours = _attend(backend, packed, dtype, dtype)
        reference = _attend(EagerAttention(), packed, dtype, torch.float64)
        errors = [relative_error(found, right) for found, right in zip(ours, reference, strict=True)]
        outputs.append(errors[0])
        gradients.append(max(errors[1:]))
    short = str(dtype).removeprefix("torch.")
    _note(context, f"{name} attention, packed, {short}", max(outputs), "relative", limit, "the formula in float64")
    _note(context, f"{name} attention, gradients, {short}", max(gradients), "relative", 2 * limit, "the formula in float64")
    query, keys, values = (_random((3, 4, length, 32), seed, context.device).to(dtype) for seed, length in enumerate((1, 77, 77)))
    cached = DecodeLayout((torch.arange(77, device=context.device) < torch.tensor([[77], [1], [40]], device=context.device))[:, None, None])
    right = EagerAttention().decode(query.double(), keys.double(), values.double(), cached, 32**-0.5)
    error = relative_error(backend.decode(query, keys, values, cached, 32**-0.5), right)
    _note(context, f"{name} attention, one step, {short}", error, "relative", limit, "the formula in float64")


def _random(shape: tuple[int, ...], seed: int, device: torch.device) -> Tensor:
    return torch.from_numpy(np.random.default_rng([4, seed]).standard_normal(shape)).to(device)


def _attend(backend: AttentionBackend, packed: PackedLayout, rounded_to: torch.dtype, computed_in: torch.dtype) -> list[Tensor]:
    """Output and gradients of query, key and value, `[H, S, E]` each; inputs are the same numbers for every precision they are computed in."""
    shape = (4, int(packed.lengths.sum()), 32)
    device = packed.lengths.device
    inputs = [_random(shape, seed, device).to(rounded_to).to(computed_in).requires_grad_() for seed in range(3)]
    query, key, value = inputs
    output = backend.packed(query, key, value, packed, 32**-0.5)
    output.backward(_random(shape, 3, device).to(rounded_to).to(computed_in))
    gradients = [tensor.grad for tensor in inputs]
    return [output.detach(), *(gradient for gradient in gradients if gradient is not None)]


def _losses(context: Context) -> None:
    """One batch through two layers of the model, on the CPU in float32 and on the device."""
    scale = replace(context.scale, depth=2)
    batch = collate(documents(scale)[:6])
    loss, norm = _loss_and_norm(scale, batch, torch.device("cpu"), torch.float32)
    for precision, limit in LIMITS.items():
        found_loss, found_norm = _loss_and_norm(scale, batch, context.device, precision)
        short = str(precision).removeprefix("torch.")
        _note(context, f"loss, {short}", abs(found_loss / loss - 1), "relative", limit, "float32 on the CPU")
        _note(context, f"norm of all gradients, {short}", abs(found_norm / norm - 1), "relative", 10 * limit, "float32 on the CPU")


def _loss_and_norm(scale: Scale, batch: Batch, device: torch.device, dtype: torch.dtype) -> tuple[float, float]:
    model = our_model(scale, device)
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        loss = model.loss(TensorBatch.of(batch, device)).loss
    loss.backward()
    norms = [parameter.grad.double().norm() for parameter in model.parameters() if parameter.grad is not None]
    return float(loss.detach()), float(torch.stack(norms).norm())


def _cache(context: Context) -> None:
    """The likeliest codes in float32 with the cache, together, and without it, one by one."""
    scale = replace(context.scale, depth=2)
    model = our_model(scale, context.device).eval()
    requests = [
        ar_request(seed, num_phones=round(scale.speech_s * PHONES_PER_S), prompt_frames=10 + 7 * seed, max_frames=scale.many_steps, temperature=0.0)
        for seed in range(3)
    ]
    cached = decode_level_0(model, requests, layout())
    alone = [recompute_level_0(model, request, layout()) for request in requests]
    differing = sum(found.codes.tolist() != right for found, right in zip(cached, alone, strict=True))
    _note(context, "requests whose codes differ, cached and batched", float(differing), f"of {len(requests)}", 0.0, "no cache, alone")
