"""Log mel filter banks as Kaldi computes them, without dither: the input of WeSpeaker's models.

80 filters from 20 Hz to 8 kHz over frames of 25 ms every 10 ms, with a Hamming window, samples as 16-bit integers, and
the mean over the frames subtracted.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ

N_MELS: Final = 80
FRAME_SAMPLES: Final = 400
HOP_SAMPLES: Final = 160
_FFT: Final = 512
_PREEMPHASIS: Final = 0.97
_LOWEST_HZ: Final = 20.0
_SCALE: Final = 32768.0
_EPSILON: Final = float(np.finfo(np.float32).eps)

Floats = NDArray[np.float32]


def features(pcm: Floats) -> Floats:
    """`[frames, N_MELS]` of at least 25 ms of audio within ±1."""
    frames = np.lib.stride_tricks.sliding_window_view(pcm.astype(np.float64) * _SCALE, FRAME_SAMPLES)[::HOP_SAMPLES]
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    emphasised = frames - _PREEMPHASIS * before
    power = np.abs(np.fft.rfft(emphasised * np.hamming(FRAME_SAMPLES), _FFT)) ** 2
    energies = np.log(np.maximum(power[:, : _FFT // 2] @ filters().T, _EPSILON))
    return (energies - energies.mean(axis=0)).astype(np.float32)


@cache
def filters() -> NDArray[np.float64]:
    """`[N_MELS, _FFT / 2]`: triangles on the mel scale."""
    edges = np.linspace(_mel(np.float64(_LOWEST_HZ)), _mel(np.float64(SAMPLE_RATE_HZ / 2)), N_MELS + 2)
    mels = _mel(np.arange(_FFT // 2) * SAMPLE_RATE_HZ / _FFT)
    left, middle, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return np.maximum(0.0, np.minimum((mels - left) / (middle - left), (right - mels) / (right - middle)))


def _mel(hz: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    return np.asarray(1127.0 * np.log1p(hz / 700.0))
