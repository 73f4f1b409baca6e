"""The mini codec's parts: filters against torchaudio, quantiser against a loop, overlap-add against torch, look-ahead as declared."""

import math

import pytest
import soundfile
import soxr
import torch
from pystoi import stoi

from tests.conftest import ROOT
from valle_data.codecs.mini import SHIPPED_WEIGHTS, MiniCodec
from valle_data.codecs.mini.network import (
    FRAME,
    HOP,
    LOOKAHEAD_SAMPLES,
    MARGIN,
    SAMPLE_RATE_HZ,
    WINDOW,
    LookBackConv,
    MiniNetwork,
    MiniShape,
    mel_filterbank,
)
from valle_data.codecs.mini.quantizer import ResidualQuantizer

SMALL = MiniShape(num_mels=40, encoder_width=24, encoder_depth=2, decoder_width=24, decoder_depth=2, latent_width=8, num_levels=3, codebook_size=16)


@pytest.fixture(scope="module")
def network() -> MiniNetwork:
    torch.manual_seed(0)
    network = MiniNetwork(SMALL).eval().requires_grad_(False)
    network.quantizer.codebooks.normal_()
    return network


def noise(num_samples: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(1, num_samples, generator=torch.Generator().manual_seed(seed)) * 0.1


@pytest.mark.parametrize(("num_mels", "num_bins", "rate"), [(1, 33, 8000), (40, 129, 16_000), (100, 641, 24_000)])
def test_mel_filterbank_equals_torchaudio(num_mels: int, num_bins: int, rate: int):
    torchaudio = pytest.importorskip("torchaudio")
    expected = torchaudio.functional.melscale_fbanks(num_bins, 0.0, rate / 2, num_mels, rate, norm=None, mel_scale="htk")
    torch.testing.assert_close(mel_filterbank(num_mels, num_bins, rate), expected, atol=1e-4, rtol=0)


def test_log_mel_equals_the_formula_frame_by_frame(network: MiniNetwork):
    waveform = noise(FRAME * 2)
    padded = torch.nn.functional.pad(waveform[0], (MARGIN, MARGIN))
    mel = network.log_mel(waveform)[0]
    assert mel.shape == (SMALL.num_mels, 2 * FRAME // HOP)
    for index in range(mel.shape[1]):
        piece = padded[index * HOP : index * HOP + WINDOW] * torch.hann_window(WINDOW)
        expected = (torch.log((torch.fft.rfft(piece).abs() @ network.mel_filters).clamp(min=1e-5)) + 4) / 3
        torch.testing.assert_close(mel[:, index], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("frames", [0, 1, 9])
def test_quantizer_equals_a_loop(frames: int):
    generator = torch.Generator().manual_seed(1)
    quantizer = ResidualQuantizer(4, 7, 3)
    quantizer.codebooks.copy_(torch.randn(4, 7, 3, generator=generator))
    latent = torch.randn(2, 3, frames, generator=generator)
    codes = quantizer.encode(latent)
    assert codes.shape == (2, 4, frames) and codes.dtype == torch.int64
    for item in range(2):
        for frame in range(frames):
            rest, total = latent[item, :, frame], torch.zeros(3)
            for level, book in enumerate(quantizer.codebooks):
                best = min(range(7), key=lambda code: float((rest - book[code]).square().sum()))
                assert codes[item, level, frame] == best
                rest, total = rest - book[best], total + book[best]
                torch.testing.assert_close(quantizer.decode(codes[:, : level + 1])[item, :, frame], total)


def test_quantizer_gives_ties_to_the_lowest_code():
    quantizer = ResidualQuantizer(1, 4, 2)
    quantizer.codebooks.copy_(torch.tensor([[[1.0, 0], [0, 1.0], [0, 1.0], [-1.0, 0]]]))
    assert quantizer.encode(torch.tensor([[[0.0, 0.0], [2.0, 0.0]]])).tolist() == [[[1, 0]]]


@pytest.mark.parametrize("frames", [1, 2, 13])
def test_overlap_add_undoes_an_stft(network: MiniNetwork, frames: int):
    waveform = noise(frames * HOP)
    padded = torch.nn.functional.pad(waveform, (MARGIN, MARGIN))
    spectrum = torch.stft(padded, WINDOW, HOP, window=network.window, center=False, return_complex=True)
    assert spectrum.shape[-1] == frames
    torch.testing.assert_close(network.overlap_add(spectrum), waveform, atol=1e-5, rtol=1e-4)


def test_overlap_add_equals_torch_istft(network: MiniNetwork):
    """torch's inverse cuts half a window on both sides, ours `MARGIN`; what both keep is equal for any spectrum, even one of no waveform."""
    generator = torch.Generator().manual_seed(2)
    spectrum = torch.polar(torch.rand(1, WINDOW // 2 + 1, 12, generator=generator), torch.rand(1, WINDOW // 2 + 1, 12, generator=generator) * 6)
    expected = torch.istft(spectrum, WINDOW, HOP, window=network.window, center=True)
    shift = WINDOW // 2 - MARGIN
    torch.testing.assert_close(network.overlap_add(spectrum)[:, shift : shift + expected.shape[1]], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("kernel", "stride", "ahead"), [(7, 1, 0), (7, 1, 3), (6, 3, 0), (5, 1, 2)])
@pytest.mark.parametrize("length", [3, 12])
def test_convolutions_see_no_further_than_they_say(kernel: int, stride: int, ahead: int, length: int):
    torch.manual_seed(0)
    conv = LookBackConv(1, 1, kernel, stride=stride, ahead=ahead).double()
    x = torch.randn(1, 1, length, dtype=torch.float64)
    assert conv(x).shape[-1] == math.ceil(length / stride)
    for index in range(length):
        changed = x.clone()
        changed[..., index] += 1
        seen_by = (conv(changed) - conv(x)).abs()[0, 0].nonzero().flatten() * stride
        assert (seen_by + stride - 1 + ahead >= index).all() and (seen_by + stride - kernel + ahead <= index).all()
        assert len(seen_by)


def test_look_ahead_is_what_is_declared(network: MiniNetwork):
    """The sound of a frame follows the waveform up to `LOOKAHEAD_SAMPLES` behind the frame's end, and not a sample further."""
    network, num_frames, frame = network.double(), 14, 6
    try:
        end = (frame + 1) * FRAME
        waveform = noise(num_frames * FRAME).double()
        before = network.synthesise(network.latent(waveform))[0, :end]
        differences = []
        for first_changed in (end + LOOKAHEAD_SAMPLES, end + LOOKAHEAD_SAMPLES - HOP):
            other = waveform.clone()
            other[:, first_changed:] = noise(other.shape[1] - first_changed, seed=5).double() * 3
            differences.append(float((network.synthesise(network.latent(other))[0, :end] - before).abs().max()))
        assert differences[0] == 0
        assert differences[1] > 0
        assert MiniCodec.lookahead_samples == LOOKAHEAD_SAMPLES
    finally:
        network.float()


def test_a_longer_waveform_begins_with_the_same_codes(network: MiniNetwork):
    """Causal but for the look-ahead: what comes later never changes a frame that is far enough behind."""
    waveform = noise(FRAME * 20)
    settled = 20 - 8 - math.ceil(LOOKAHEAD_SAMPLES / FRAME)
    codes, shorter = network.encode(waveform), network.encode(waveform[:, : FRAME * 12])
    assert torch.equal(codes[..., :settled], shorter[..., :settled])


def test_shapes_and_rates(network: MiniNetwork):
    assert SAMPLE_RATE_HZ / FRAME == 25
    codes = network.encode(noise(FRAME * 5).repeat(3, 1))
    assert codes.shape == (3, 3, 5)
    assert network.decode(codes).shape == (3, FRAME * 5)
    assert network.decode(codes[:, :1]).shape == (3, FRAME * 5)


@pytest.mark.parametrize("voice", ["awb", "kal16", "rms", "slt"])
def test_the_shipped_codec_is_small_and_carries_speech(voice: str):
    """Short-time objective intelligibility (Taal et al. 2011) of a held-out recording after the round trip."""
    assert SHIPPED_WEIGHTS.stat().st_size <= 12e6
    codec = MiniCodec()
    recording = sorted((ROOT / "examples/digits/heldout" / voice).glob("*.ogg"))[0]
    samples, rate = soundfile.read(recording, dtype="float32")
    waveform = soxr.resample(samples, rate, SAMPLE_RATE_HZ)
    (codes,) = codec.encode([waveform])
    assert stoi(waveform, codec.decode(codes)[: len(waveform)], SAMPLE_RATE_HZ) > 0.88
