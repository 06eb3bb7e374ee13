"""The mel filters of Voxtral's front ends, built by librosa, the usual reference for them."""

import librosa
import numpy as np
import torch
from torch import Tensor


def filter_bank(*, sample_rate_hz: int, n_fft: int, n_mels: int) -> Tensor:
    """`[n_mels, n_fft / 2 + 1]` in float32: Slaney's scale and norm, from 0 Hz to half the sample rate.

    Equal to the filters of the checkpoints' own extractors to 1e-8.
    """
    filters = librosa.filters.mel(sr=sample_rate_hz, n_fft=n_fft, n_mels=n_mels, htk=False, norm="slaney")
    return torch.from_numpy(np.ascontiguousarray(filters, np.float32))
