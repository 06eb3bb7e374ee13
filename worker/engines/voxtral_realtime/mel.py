"""The model's log-mel front end, for many sessions in one pass.

Equal to transformers' `VoxtralRealtimeFeatureExtractor` on the same samples: it runs the same operations in the same
order, but cuts frames first. Its filter bank is that of transformers.
"""

import torch
from torch import Tensor, nn
from transformers import VoxtralRealtimeFeatureExtractor

from worker.engines.loading.filter_bank import filter_bank

POWER_FLOOR = 1e-10
LOG_RANGE = 8.0
"""Decades below the loudest value that are kept. Both constants are the extractor's."""


class LogMel(nn.Module):
    def __init__(self, extractor: VoxtralRealtimeFeatureExtractor) -> None:
        super().__init__()
        self.n_fft: int = extractor.n_fft
        self.hop_samples: int = extractor.hop_length
        self._floor = float(extractor.global_log_mel_max) - LOG_RANGE
        self.window = nn.Buffer(torch.hann_window(self.n_fft), persistent=False)
        # [mel bins, frequencies]
        filters = filter_bank(sample_rate_hz=extractor.sampling_rate, n_fft=self.n_fft, n_mels=extractor.feature_size)
        self.filters = nn.Buffer(filters, persistent=False)

    def forward(self, pcm: Tensor) -> Tensor:
        """`pcm`, `[batch, samples]`; returns `[batch, mel bins, frames]`.

        Frame m is centred on sample `m × hop + n_fft / 2`: nothing is padded, so the caller passes in the half
        window before the first frame and after the last.
        """
        frames = pcm.unfold(-1, self.n_fft, self.hop_samples) * self.window
        power = torch.fft.rfft(frames).abs() ** 2  # [batch, frames, frequencies]
        mel = self.filters @ power.transpose(1, 2)
        log = mel.clamp(min=POWER_FLOOR).log10().clamp(min=self._floor)
        return (log + 4.0) / 4.0
