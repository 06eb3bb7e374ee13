"""The mel spectrogram of the GE2E encoder, as librosa computes it: power, Slaney's scale and norm, no logarithm."""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ

N_MELS: Final = 40
FRAME_SAMPLES: Final = 400
HOP_SAMPLES: Final = 160

_LINEAR_HZ: Final = 1000.0
"""Below it the scale is linear, above it logarithmic."""
_HZ_PER_MEL: Final = 200.0 / 3
_LOG_STEP: Final = np.log(6.4) / 27.0


def spectrogram(pcm: NDArray[np.float32]) -> NDArray[np.float32]:
    """`[frames, N_MELS]`. The frame `n` is centred at sample `n × HOP_SAMPLES`; there is silence around the audio."""
    half = FRAME_SAMPLES // 2
    padded = np.pad(pcm, half)
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME_SAMPLES)[::HOP_SAMPLES]
    spectrum = np.fft.rfft(frames * _window())
    power: NDArray[np.float32] = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    return power @ filter_bank().T


@cache
def _window() -> NDArray[np.float64]:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME_SAMPLES) / FRAME_SAMPLES)


@cache
def filter_bank() -> NDArray[np.float32]:
    """`[N_MELS, FRAME_SAMPLES / 2 + 1]`."""
    hz = np.fft.rfftfreq(FRAME_SAMPLES, 1 / SAMPLE_RATE_HZ)
    edges = _hz(np.linspace(0.0, _mel(SAMPLE_RATE_HZ / 2), N_MELS + 2))
    widths = np.diff(edges)
    ramps = edges[:, None] - hz
    rising, falling = -ramps[:-2] / widths[:-1, None], ramps[2:] / widths[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


def _mel(hz: float) -> float:
    if hz < _LINEAR_HZ:
        return hz / _HZ_PER_MEL
    return float(_LINEAR_HZ / _HZ_PER_MEL + np.log(hz / _LINEAR_HZ) / _LOG_STEP)


def _hz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    above = mels - _LINEAR_HZ / _HZ_PER_MEL
    return np.where(above < 0, mels * _HZ_PER_MEL, _LINEAR_HZ * np.exp(_LOG_STEP * np.maximum(above, 0)))
