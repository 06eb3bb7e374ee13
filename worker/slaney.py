"""Mel filters on Slaney's scale, and the window before them, as librosa computes them (`norm="slaney"`). Pure.

For models of installations without transformers.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ

_LINEAR_MELS: Final = 15.0
"""The scale is linear up to 1 kHz, which is 15 mels, and logarithmic above: 27 mels are a factor of 6.4."""
_LINEAR_HZ: Final = 1000.0
_LOG_STEP: Final = np.log(6.4) / 27.0


@cache
def window(samples: int) -> NDArray[np.float64]:
    """Periodic Hann."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(samples) / samples)


@cache
def filter_bank(n_mels: int, fft_samples: int) -> NDArray[np.float64]:
    """`[n_mels, fft_samples / 2 + 1]`: triangles from 0 Hz to half the sample rate, each of the same area."""
    highest_mels = _LINEAR_MELS + np.log(SAMPLE_RATE_HZ / 2 / _LINEAR_HZ) / _LOG_STEP
    mels = np.linspace(0.0, highest_mels, n_mels + 2)
    logarithmic = _LINEAR_HZ * np.exp(_LOG_STEP * (mels - _LINEAR_MELS))
    edges_hz = np.where(mels < _LINEAR_MELS, mels * _LINEAR_HZ / _LINEAR_MELS, logarithmic)
    frequencies_hz = np.linspace(0.0, SAMPLE_RATE_HZ / 2, fft_samples // 2 + 1)
    low, middle, high = (edges_hz[offset : offset + n_mels, None] for offset in range(3))
    rising, falling = (frequencies_hz - low) / (middle - low), (high - frequencies_hz) / (high - middle)
    triangles: NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling)) * 2.0 / (high - low)
    return triangles
