"""Streams of causal codecs against their one-shot methods, and the steps they are made of against torch's own layers."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from tests.codec_dummies import CASES, voice
from valle_data.codecs.base import Codec
from valle_data.codecs.streaming import ConvStep, PlainStep, ResidualStep, Step, TransposedConvStep, in_blocks
from valle_data.errors import InputError, UsageError

CAUSAL = ["encodec-24khz", "mimi"]


@pytest.fixture(scope="module", params=CAUSAL)
def codec(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Codec:
    return CASES[request.param](tmp_path_factory.mktemp("weights"))


def cuts(total: int, largest: int, seed: int) -> Iterator[slice]:
    """Stretches of 0 to `largest` that cover `total`."""
    rng, start = np.random.default_rng(seed), 0
    while start < total:
        end = start + int(rng.integers(0, largest + 1))
        yield slice(start, min(end, total))
        start = end


@pytest.mark.parametrize("frames", [0, 0.001, 1, 1.5, 6, 7, 8, 11.9, 12, 13, 49.9, 50, 51, 113.3])
def test_streamed_codes_are_those_of_one_call(codec: Any, frames: float):
    waveform = voice(int(frames * codec.hop), codec.spec.sample_rate_hz)
    (codes,) = codec.encode([waveform])
    for largest in (37, 20_000):
        stream = codec.stream_encoder()
        found = [stream.push(waveform[cut]) for cut in cuts(len(waveform), largest, seed=largest)]
        np.testing.assert_array_equal(np.concatenate([*found, stream.finish()], axis=1), codes)


def test_codes_come_while_the_waveform_does(codec: Any):
    stream, arrived = codec.stream_encoder(), []
    for _ in range(6):
        arrived.append(stream.push(voice(codec.block_frames * codec.hop, codec.spec.sample_rate_hz)).shape[1])
    assert arrived == [codec.block_frames] * 6
    assert stream.finish().shape[1] == 0


@pytest.mark.parametrize("frames", [0, 1, 2, 6, 7, 8, 25, 60, 150])
@pytest.mark.parametrize("largest", [1, 40])
def test_streamed_sound_is_that_of_one_call(codec: Any, frames: int, largest: int):
    (codes,) = codec.encode([voice(frames * codec.hop, codec.spec.sample_rate_hz)])
    sound = codec.decode(codes)
    stream = codec.stream_decoder()
    pieces = [stream.push(codes[:, cut]) for cut in cuts(frames, largest, seed=2)]
    streamed = np.concatenate([*pieces, stream.finish()])
    assert streamed.dtype == np.float32 and streamed.shape == sound.shape
    np.testing.assert_allclose(streamed, sound, atol=1e-5)
    if frames == 150:
        assert np.abs(sound).max() > 1e-2


def test_sound_comes_while_the_codes_do(codec: Any):
    """EnCodec's first frames wait for the seventh, from which they are mirrored; then each frame comes at once."""
    (codes,) = codec.encode([voice(12 * codec.hop, codec.spec.sample_rate_hz)])
    stream = codec.stream_decoder()
    arrived = [len(stream.push(codes[:, frame : frame + 1])) // codec.hop for frame in range(12)]
    assert sum(arrived) == 12
    assert arrived == ([0] * 6 + [7] + [1] * 5 if codec.spec.name == "encodec" else [1] * 12)


def test_a_stream_decodes_fewer_levels(codec: Any):
    (codes,) = codec.encode([voice(20 * codec.hop, codec.spec.sample_rate_hz)])
    stream = codec.stream_decoder()
    streamed = np.concatenate([stream.push(codes[:2, :9]), stream.push(codes[:2, 9:]), stream.finish()])
    np.testing.assert_allclose(streamed, codec.decode(codes[:2]), atol=1e-5)
    stream = codec.stream_decoder()
    stream.push(codes[:2])
    with pytest.raises(UsageError, match="it began with 2, these codes have 3"):
        stream.push(codes[:3])


def test_two_streams_do_not_disturb_each_other(codec: Any):
    waveforms = [voice(60 * codec.hop, codec.spec.sample_rate_hz, seed) for seed in (1, 2)]
    streams = [codec.stream_encoder() for _ in waveforms]
    found: list[list[np.ndarray]] = [[], []]
    for cut in cuts(60 * codec.hop, 9000, seed=0):
        for stream, waveform, codes in zip(streams, waveforms, found, strict=True):
            codes.append(stream.push(waveform[cut]))
    for stream, codes, expected in zip(streams, found, codec.encode(waveforms), strict=True):
        np.testing.assert_array_equal(np.concatenate([*codes, stream.finish()], axis=1), expected)


def test_a_finished_stream_and_bad_input_are_refused(codec: Any):
    encoder, decoder = codec.stream_encoder(), codec.stream_decoder()
    with pytest.raises(InputError, match="mono waveforms"):
        encoder.push(np.zeros((1, 5), dtype=np.float32))
    with pytest.raises(InputError, match="is not below the codebook size"):
        decoder.push(np.full((1, 5), codec.spec.codebook_size, dtype=np.uint16))
    for stream in (encoder, decoder):
        assert stream.finish().size == 0
        with pytest.raises(UsageError, match=r"finished already\. Start another"):
            stream.finish()
    with pytest.raises(UsageError, match=r"finished and takes nothing more\. Start another with `stream_encoder\(\)`"):
        encoder.push(np.zeros(5, dtype=np.float32))
    with pytest.raises(UsageError, match=r"finished and takes nothing more\. Start another with `stream_decoder\(\)`"):
        decoder.push(np.zeros((1, 5), dtype=np.uint16))


@pytest.mark.parametrize("case", [case for case in CASES if case not in CAUSAL])
def test_other_codecs_refuse_and_say_why(case: str, tmp_path_factory: pytest.TempPathFactory):
    codec = CASES[case](tmp_path_factory.mktemp("weights"))
    assert codec.lookahead_samples != 0
    seen = "the whole utterance" if case == "encodec-48khz" else f"{codec.lookahead_samples} samples ahead"
    with pytest.raises(UsageError, match=rf"Only a causal codec can stream; .* looks at {seen}\. Use `decode`, or choose encodec at 24000 Hz or mimi\."):
        codec.stream_decoder()
    if case == "vocos":  # its encoder is EnCodec's
        waveform = voice(9000, 24_000)
        stream = codec.stream_encoder()
        np.testing.assert_array_equal(np.concatenate([stream.push(waveform), stream.finish()], axis=1), codec.encode([waveform])[0])
        return
    with pytest.raises(UsageError, match="Use `encode`"):
        codec.stream_encoder()


# ---- the steps


def one_pass(conv: torch.nn.Conv1d, x: torch.Tensor, padding: str) -> torch.Tensor:
    """Padded to the left by the kernel's reach beyond its stride; what is too short to be mirrored is followed by zeros."""
    before = (conv.kernel_size[0] - 1) * conv.dilation[0] + 1 - conv.stride[0]
    first, length = x[..., :1], x.shape[-1]
    mirrored = torch.cat([x, torch.zeros_like(first).expand(-1, -1, before)], dim=-1)[..., 1 : before + 1].flip(-1)
    left = {"constant": torch.zeros_like(first).expand(-1, -1, before), "replicate": first.expand(-1, -1, before), "reflect": mirrored}
    return conv(torch.cat([left[padding], x], dim=-1))[..., : length // conv.stride[0]]


@pytest.mark.parametrize("padding", ["constant", "reflect", "replicate"])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(1, 1, 1), (7, 1, 1), (3, 1, 2), (4, 2, 1), (10, 5, 1)])
@pytest.mark.parametrize("length", [4, 40])
def test_conv_step_equals_one_pass(padding: str, kernel: int, stride: int, dilation: int, length: int):
    if length % stride:
        pytest.skip("networks get whole frames")
    torch.manual_seed(0)
    conv = torch.nn.Conv1d(2, 3, kernel, stride=stride, dilation=dilation).double()
    x = torch.randn(1, 2, length, dtype=torch.float64)
    for block in (1, 3, 40):
        torch.testing.assert_close(in_blocks(ConvStep(conv, padding), x, block), one_pass(conv, x, padding))


@pytest.mark.parametrize(("kernel", "stride", "groups"), [(2, 1, 1), (4, 2, 2), (16, 8, 1), (5, 5, 1)])
@pytest.mark.parametrize("bias", [True, False])
def test_transposed_conv_step_equals_one_pass(kernel: int, stride: int, groups: int, bias: bool):
    torch.manual_seed(0)
    conv = torch.nn.ConvTranspose1d(4, 4, kernel, stride=stride, groups=groups, bias=bias).double()
    x = torch.randn(1, 4, 17, dtype=torch.float64)
    for block in (1, 4, 17):
        torch.testing.assert_close(in_blocks(TransposedConvStep(conv), x, block), conv(x)[..., : 17 * stride])


def test_residual_step_waits_for_its_block():
    conv = torch.nn.Conv1d(1, 1, 3)
    make: list[Step] = [ResidualStep(ConvStep(conv, "reflect"), PlainStep(lambda x: 2 * x)) for _ in range(2)]
    x = torch.randn(1, 1, 9)
    torch.testing.assert_close(in_blocks(make[0], x, 1), make[1](x, True))
