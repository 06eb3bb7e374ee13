"""The mel filters of Voxtral's front ends, built by transformers, as the checkpoints' own extractors do."""

import numpy as np
import torch
from torch import Tensor
from transformers.audio_utils import mel_filter_bank


def filter_bank(*, sample_rate_hz: int, n_fft: int, n_mels: int) -> Tensor:
    """`[n_mels, n_fft / 2 + 1]` in float32: Slaney's scale and norm, from 0 Hz to half the sample rate."""
    filters = mel_filter_bank(
        num_frequency_bins=n_fft // 2 + 1,
        num_mel_filters=n_mels,
        min_frequency=0.0,
        max_frequency=sample_rate_hz / 2,
        sampling_rate=sample_rate_hz,
        norm="slaney",
        mel_scale="slaney",
    )
    return torch.from_numpy(np.ascontiguousarray(filters.T, np.float32))
