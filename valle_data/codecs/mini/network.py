"""The mini codec's network: log-mel -> ConvNeXt encoder -> residual VQ -> ConvNeXt decoder -> inverse STFT head.

After Vocos (Siuzdak 2023, arXiv:2306.00814) for the decoder and EnCodec (Defossez et al. 2022) for the quantised bottleneck. Convolutions look
back only, apart from two that look ahead a little on purpose; `LOOKAHEAD_SAMPLES` adds them up, so a streaming caller knows what to wait for.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from valle_data.codecs.mini.quantizer import ResidualQuantizer

SAMPLE_RATE_HZ = 24_000
HOP = 320
WINDOW = 1280
MARGIN = (WINDOW - HOP) // 2
STRIDE = 3
FRAME = HOP * STRIDE  # 960 samples: 25 frames a second


@dataclass(frozen=True)
class MiniShape:
    """Sizes of the network: widths and depths of the encoder and the decoder, of the latent and of the codebooks."""

    num_mels: int = 100
    encoder_width: int = 192
    encoder_depth: int = 4
    decoder_width: int = 256
    decoder_depth: int = 6
    latent_width: int = 64
    num_levels: int = 8
    codebook_size: int = 1024


ENCODER_AHEAD = 3  # hops of HOP samples
DECODER_AHEAD = 2  # frames of FRAME samples
# Counted from the end of a frame. Overlapping windows reach MARGIN samples into the next one, which costs the decoder a whole frame.
LOOKAHEAD_SAMPLES = MARGIN + ENCODER_AHEAD * HOP + (DECODER_AHEAD + 1) * FRAME


def mel_filterbank(num_mels: int, num_bins: int, sample_rate_hz: int) -> Tensor:
    """Triangular filters on the HTK mel scale, `[num_bins, num_mels]`, peak 1 (the formula of HTK Book, section 5.4)."""
    top = 2595 * math.log10(1 + sample_rate_hz / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, top, num_mels + 2, dtype=torch.float64) / 2595) - 1)
    bins = torch.linspace(0, sample_rate_hz / 2, num_bins, dtype=torch.float64)
    rising = (bins[:, None] - edges[None, :-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[None, 2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp(min=0).float()


class LookBackConv(nn.Conv1d):
    """A convolution over time that sees `ahead` future steps and otherwise only the past; output length = ceil(input length / stride)."""

    def __init__(self, channels: int, out: int, kernel: int, *, stride: int = 1, ahead: int = 0, groups: int = 1) -> None:
        super().__init__(channels, out, kernel, stride=stride, groups=groups)
        self.edges = (kernel - stride - ahead, ahead)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.edges))


class Block(nn.Module):
    """ConvNeXt block (Liu et al. 2022) in one dimension: depthwise convolution, norm, inverted bottleneck, scaled residual. `[B, C, T]`."""

    def __init__(self, width: int, expansion: int = 3) -> None:
        super().__init__()
        self.mix = LookBackConv(width, width, 7, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.up = nn.Linear(width, width * expansion)
        self.down = nn.Linear(width * expansion, width)
        self.scale = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.mix(x).transpose(1, 2))
        y = self.down(F.gelu(self.up(y)))
        return x + (self.scale * y).transpose(1, 2)


class MiniNetwork(nn.Module):
    """Waveform `[B, N]` at 24 kHz <-> codes `[B, Q, T]` at 25 Hz; N is a multiple of `FRAME` and T = N / FRAME."""

    mel_filters: Tensor
    window: Tensor

    def __init__(self, shape: MiniShape = MiniShape()) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("mel_filters", mel_filterbank(shape.num_mels, WINDOW // 2 + 1, SAMPLE_RATE_HZ), persistent=False)
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)
        wide, width = shape.decoder_width, shape.encoder_width
        self.encoder_in = LookBackConv(shape.num_mels, width, 7, ahead=ENCODER_AHEAD)
        self.encoder = nn.Sequential(*[Block(width) for _ in range(shape.encoder_depth)])
        self.encoder_out = LookBackConv(width, shape.latent_width, 2 * STRIDE, stride=STRIDE)
        self.quantizer = ResidualQuantizer(shape.num_levels, shape.codebook_size, shape.latent_width)
        self.decoder_in = LookBackConv(shape.latent_width, wide * STRIDE, 5, ahead=DECODER_AHEAD)
        self.decoder = nn.Sequential(*[Block(wide) for _ in range(shape.decoder_depth)])
        self.decoder_norm = nn.LayerNorm(wide)
        self.head = nn.Linear(wide, WINDOW + 2)

    @property
    def encoder_context(self) -> int:
        """Frames to either side that the codes of a frame depend on at most."""
        hops = 6 + 6 * self.shape.encoder_depth + 2 * STRIDE + math.ceil(MARGIN / HOP)
        return math.ceil(hops / STRIDE) + 1

    @property
    def decoder_context(self) -> int:
        """Frames to either side that the sound of a frame depends on at most."""
        hops = 6 * self.shape.decoder_depth + math.ceil(MARGIN / HOP)
        return DECODER_AHEAD + math.ceil(hops / STRIDE) + 2

    def log_mel(self, waveform: Tensor) -> Tensor:
        """`[B, N]` -> `[B, num_mels, N / HOP]`, about zero mean and unit spread on speech."""
        padded = F.pad(waveform, (MARGIN, MARGIN))
        magnitude = torch.stft(padded, WINDOW, HOP, window=self.window, center=False, return_complex=True).abs()
        mel = (magnitude.transpose(1, 2) @ self.mel_filters).transpose(1, 2)
        return (torch.log(mel.clamp(min=1e-5)) + 4) / 3

    def latent(self, waveform: Tensor) -> Tensor:
        """`[B, N]` -> unquantised frames `[B, D, T]`."""
        return self.encoder_out(self.encoder(self.encoder_in(self.log_mel(waveform))))

    def synthesise(self, latent: Tensor) -> Tensor:
        """Frames `[B, D, T]` -> waveform `[B, T * FRAME]`."""
        x = self.decoder_in(latent)
        batch, _, frames = x.shape
        x = x.view(batch, -1, STRIDE, frames).transpose(2, 3).reshape(batch, -1, frames * STRIDE)
        x = self.head(self.decoder_norm(self.decoder(x).transpose(1, 2))).float()
        log_magnitude, phase = x.transpose(1, 2).chunk(2, dim=1)
        return self.overlap_add(torch.polar(log_magnitude.clamp(max=6).exp(), phase))

    def overlap_add(self, spectrum: Tensor) -> Tensor:
        """Inverse STFT with "same" padding: `[B, WINDOW / 2 + 1, M]` -> `[B, M * HOP]`."""
        pieces = torch.fft.irfft(spectrum, WINDOW, dim=1) * self.window[:, None]
        length = (pieces.shape[-1] - 1) * HOP + WINDOW
        weight = self.window.square()[None, :, None].expand(1, -1, pieces.shape[-1])
        total, norm = (F.fold(p, (1, length), (1, WINDOW), stride=(1, HOP))[:, 0, 0, MARGIN:-MARGIN] for p in (pieces, weight))
        return total / norm.clamp(min=1e-6)

    def encode(self, waveform: Tensor) -> Tensor:
        """`[B, N]` -> codes `[B, Q, T]`."""
        return self.quantizer.encode(self.latent(waveform))

    def decode(self, codes: Tensor) -> Tensor:
        """Codes `[B, Q, T]` -> waveform `[B, T * FRAME]`."""
        return self.synthesise(self.quantizer.decode(codes))
