"""What a decoded waveform is judged by in codec training: spectra at several resolutions."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from valle_data.codecs.mini.network import SAMPLE_RATE_HZ, mel_filterbank

RESOLUTIONS = ((256, 40), (512, 64), (1024, 80), (2048, 128))  # window in samples, mel bands


class SpectralLoss(nn.Module):
    """Mean over resolutions of the L1 distance of log-mel spectra plus 0.3 times the spectral convergence (Yamamoto et al. 2020, section 2.2)."""

    def __init__(self) -> None:
        super().__init__()
        for index, (window, mels) in enumerate(RESOLUTIONS):
            filters = mel_filterbank(mels, window // 2 + 1, SAMPLE_RATE_HZ)
            self.register_buffer(f"filters{index}", filters / filters.sum(0).clamp(min=1e-3), persistent=False)
            self.register_buffer(f"window{index}", torch.hann_window(window), persistent=False)

    def forward(self, decoded: Tensor, reference: Tensor) -> Tensor:
        """Waveforms `[B, N]` -> scalar."""
        total = decoded.new_zeros(())
        for index, (size, _) in enumerate(RESOLUTIONS):
            window, filters = getattr(self, f"window{index}"), getattr(self, f"filters{index}")
            a, b = (torch.stft(x, size, size // 4, window=window, return_complex=True).abs() for x in (decoded, reference))
            mels = [torch.log((x.transpose(1, 2) @ filters).clamp(min=1e-4)) for x in (a, b)]
            total = total + F.l1_loss(mels[0], mels[1]) + 0.3 * (a - b).norm() / (b.norm() + 1e-6)
        return total / len(RESOLUTIONS)
