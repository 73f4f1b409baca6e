"""S1, S2, S4, S5, S6: decoding beside transformers' `generate` on an equal model, and beside a loop that computes everything again for each frame.

All models compute in bfloat16, with temperature 1 and no filter.
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_corpus import FRAME_RATE_HZ, IDS, MINI_FRAME_RATE_HZ, PHONES_PER_S
from gpu_report import Figure, Goal
from gpu_setup import Context, Scale, ar_request, equal_llama, interleave, layout, our_model, rates, talkative
from safetensors.torch import save_file
from transformers import GenerationConfig, LlamaForCausalLM

from valle_data.codecs.mini import MiniCodec
from valle_data.codecs.mini.network import MiniNetwork, MiniShape
from valle_data.collate import pack
from valle_data.tasks.base import Layout, speech_segments
from valle_model.decoding.autoregressive import ArRequest, decode_level_0
from valle_model.decoding.filters import make_generator, sample
from valle_model.decoding.parallel import decode_upper_levels
from valle_model.layout import PackedLayout
from valle_model.synthesis import SynthesisRequest, Synthesizer
from valle_model.valle import Valle

DTYPE = torch.bfloat16


@torch.inference_mode()
def recompute_level_0(model: Valle, request: ArRequest, how: Layout) -> list[int]:
    """Level 0 as systems without a cache decode it: the whole document again for every frame."""
    device = model.output.weight.device
    generator = make_generator(request.sampling)
    tokens: list[int] = []
    while len(tokens) < request.max_frames:
        packed = pack([speech_segments(replace(request.speech, target=np.array([tokens], dtype=np.int64)), how)])
        ids, starts, times = (torch.from_numpy(array).to(device) for array in (packed.ids, packed.bag_starts, packed.times))
        hidden = model.hidden(ids, starts, times, PackedLayout.of(torch.from_numpy(packed.lengths), 1, device))
        logits = model.logits(hidden[-1:], 0)[0].float().cpu()
        token = sample(logits, torch.tensor(tokens, dtype=torch.int64), request.sampling, generator)
        if token == IDS.stop:
            break
        tokens.append(token)
    return tokens


def decode_all(model: Valle, requests: Sequence[ArRequest], how: Layout) -> list[np.ndarray]:
    """Level 0 of every request, which must not end early: the rates count on its length."""
    results = decode_level_0(model, requests, how)
    assert all(len(result.codes) == request.max_frames for result, request in zip(results, requests, strict=True)), "a request stopped early"
    return [result.codes for result in results]


def generate(model: Any, rows: int, context_length: int, steps: int, cache: str | None) -> None:
    """transformers' `generate` over a random prompt; a static cache makes it compile the decoding step on CUDA devices."""
    random = np.random.default_rng(3)
    prompt = torch.from_numpy(random.integers(0, IDS.size, (rows, context_length))).to(model.device)
    config = GenerationConfig(max_new_tokens=steps, do_sample=True, top_k=0, top_p=1.0, temperature=1.0, pad_token_id=0, cache_implementation=cache)
    found = model.generate(inputs=prompt, attention_mask=torch.ones_like(prompt), generation_config=config)
    assert isinstance(found, torch.Tensor) and found.shape == (rows, context_length + steps)


def positions_before_target(request: ArRequest) -> int:
    return sum(len(segment.bags) for segment in speech_segments(request.speech, layout()))


def autoregressive(context: Context) -> None:
    """S1 and S5, against `generate` as it is: dynamic cache, nothing compiled."""
    scale = context.scale
    ours, peer = talkative(our_model(scale, context.device)).to(DTYPE), equal_llama(scale, context.device, DTYPE).eval()
    one = [_utterance_request(scale, FRAME_RATE_HZ, scale.single_steps)]
    _compare(context.share(0.5), ours, peer, one, None, ("S1", "tokens, one request", Goal(times_better=10.0)))
    num_phones = round(scale.speech_s * PHONES_PER_S)
    many = [
        ar_request(seed, num_phones=num_phones, prompt_frames=scale.context - num_phones - 3, max_frames=scale.many_steps) for seed in range(scale.requests)
    ]
    _compare(context, ours, peer, many, None, ("S5", f"tokens, {scale.requests} requests", Goal(times_better=4.0, at_least=60_000)))


def autoregressive_static(context: Context) -> None:
    """S2, against `generate` with a static cache, whose decoding step transformers compiles."""
    scale = context.scale
    ours, peer = talkative(our_model(scale, context.device)).to(DTYPE), equal_llama(scale, context.device, DTYPE).eval()
    request = _utterance_request(scale, FRAME_RATE_HZ, scale.single_steps)
    _compare(context, ours, peer, [request], "static", ("S2", "tokens, one request", Goal(times_better=1.5)))


def _utterance_request(scale: Scale, frame_rate_hz: int, max_frames: int) -> ArRequest:
    return ar_request(0, num_phones=round(scale.speech_s * PHONES_PER_S), prompt_frames=round(scale.prompt_s * frame_rate_hz), max_frames=max_frames)


def _compare(context: Context, ours: Valle, peer: LlamaForCausalLM, requests: Sequence[ArRequest], cache: str | None, row: tuple[str, str, Goal]) -> None:
    before, steps = positions_before_target(requests[0]), requests[0].max_frames
    ways = {"ours": lambda: decode_all(ours, requests, layout()), "peer": lambda: generate(peer, len(requests), before, steps, cache)}
    times = interleave(ways, context)
    number, what, goal = row
    context.notebook.figure(
        Figure(
            number,
            f"AR {what}, {before} positions + {steps} steps",
            "/s",
            rates(len(requests) * steps, times["ours"]),
            f"HF generate, {cache or 'dynamic'} cache",
            rates(len(requests) * steps, times["peer"]),
            goal=goal,
            judged=context.judged,
        )
    )


def utterance(context: Context) -> None:
    """S4 and S6: one utterance from phones to codes at 75 Hz, and to a waveform with a mini codec of random weights at 25 Hz."""
    scale, device = context.scale, context.device
    model = talkative(our_model(scale, device)).to(DTYPE)
    request = _utterance_request(scale, FRAME_RATE_HZ, round(scale.speech_s * FRAME_RATE_HZ))

    def upper(level_0: Sequence[int] | np.ndarray) -> None:
        speech = replace(request.speech, level=1, target=np.asarray(level_0)[None])
        decode_upper_levels(model, [speech], layout(), temperatures=[0.0], generators=[make_generator(request.sampling)])

    cached, recomputed = (lambda: upper(decode_all(model, [request], layout())[0])), (lambda: upper(recompute_level_0(model, request, layout())))
    times = interleave({"ours": cached, "peer": recomputed}, context.share(0.75))
    seconds_of_speech = f"{scale.speech_s:g} s of speech"
    before = positions_before_target(request)
    context.notebook.figure(
        Figure(
            "S4",
            f"{seconds_of_speech}, AR + NAR at {FRAME_RATE_HZ} Hz, {before} positions before",
            "s",
            times["ours"],
            "everything again for each frame",
            times["peer"],
            more_is_better=False,
            goal=Goal(times_better=25.0),
            judged=context.judged,
        )
    )
    upper_only = interleave({"ours": lambda: upper(np.zeros(request.max_frames, dtype=np.int64))}, context)["ours"]
    context.notebook.figure(Figure("S4, NAR", f"{IDS.num_levels - 1} NAR passes over {seconds_of_speech} at {FRAME_RATE_HZ} Hz", "s", upper_only))
    rtf = tuple(value / scale.speech_s for value in times["ours"])
    context.notebook.figure(Figure("S6", f"RTF of {seconds_of_speech}, {FRAME_RATE_HZ} Hz, no codec", "", rtf, goal=Goal(at_most=0.03), judged=context.judged))
    with tempfile.TemporaryDirectory() as folder:
        synthesizer = Synthesizer(model, layout(MINI_FRAME_RATE_HZ), random_mini_codec(scale, Path(folder)))
    mini = _utterance_request(scale, MINI_FRAME_RATE_HZ, 0)
    wanted = SynthesisRequest(tuple(mini.speech.phones.tolist()), "en-us", prompt=mini.speech.prompt, max_duration_s=scale.speech_s)

    def speak() -> None:
        (result,) = synthesizer.synthesize([wanted])
        assert result.codes.shape[1] == round(scale.speech_s * MINI_FRAME_RATE_HZ), "the utterance stopped early"

    spoken = interleave({"ours": speak}, context)["ours"]
    rtf = tuple(value / scale.speech_s for value in spoken)
    context.notebook.figure(
        Figure("S6", f"RTF of {seconds_of_speech}, {MINI_FRAME_RATE_HZ} Hz, mini codec included", "", rtf, goal=Goal(at_most=0.03), judged=context.judged)
    )


def random_mini_codec(scale: Scale, folder: Path) -> MiniCodec:
    """The mini codec with random weights, its codebooks included."""
    torch.manual_seed(0)
    shape = MiniShape(encoder_width=scale.codec_width, encoder_depth=1, decoder_width=scale.codec_width, decoder_depth=scale.codec_depth)
    network = MiniNetwork(shape)
    network.quantizer.codebooks.normal_()
    path = folder / "weights.safetensors"
    save_file(network.state_dict(), path, metadata={"shape": json.dumps(asdict(shape))})
    return MiniCodec(MiniCodec.Config(weights=path))
