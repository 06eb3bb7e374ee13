"""The log-mel spectrogram that Smart Turn was trained on: Whisper's, of 8 s of audio. Pure.

Equal to transformers' `WhisperFeatureExtractor(chunk_length=8)` with `do_normalize`. Shorter audio has silence before
it, as in Pipecat's `LocalSmartTurnAnalyzerV3`, which the model was published with.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ

WINDOW_SAMPLES: Final = 8 * SAMPLE_RATE_HZ
MELS: Final = 80
FRAMES: Final = 800
FFT_SAMPLES: Final = 400
HOP_SAMPLES: Final = 160
VARIANCE_FLOOR: Final = 1e-7
POWER_FLOOR: Final = 1e-10
RANGE: Final = 8.0
"""Decades below the loudest value that are kept. All three constants are the extractor's."""
_LINEAR_MELS: Final = 15.0
"""Slaney's scale is linear up to 1 kHz, which is 15 mels, and logarithmic above: 27 mels are a factor of 6.4."""
_LINEAR_HZ: Final = 1000.0
_LOG_STEP: Final = np.log(6.4) / 27.0


def log_mel(pcm: NDArray[np.float32]) -> NDArray[np.float32]:
    """`[MELS, FRAMES]` of the end of `pcm`, `[samples]`."""
    audio = np.zeros(WINDOW_SAMPLES, np.float32)
    heard = pcm[-WINDOW_SAMPLES:]
    audio[WINDOW_SAMPLES - len(heard) :] = heard
    audio = (audio - audio.mean()) / np.sqrt(audio.var() + np.float32(VARIANCE_FLOOR))
    padded = np.pad(audio.astype(np.float64), FFT_SAMPLES // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT_SAMPLES)[::HOP_SAMPLES][:FRAMES]
    power = np.abs(np.fft.rfft(frames * _window())) ** 2  # [frames, frequencies]
    logs = np.log10(np.maximum(_filters() @ power.T, POWER_FLOOR))
    result: NDArray[np.float32] = ((np.maximum(logs, logs.max() - RANGE) + 4.0) / 4.0).astype(np.float32)
    return result


@cache
def _window() -> NDArray[np.float64]:
    """Periodic Hann."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT_SAMPLES) / FFT_SAMPLES)


@cache
def _filters() -> NDArray[np.float64]:
    """`[MELS, frequencies]`: triangles on Slaney's scale, from 0 Hz to half the sample rate, each of the same area."""
    highest_mels = _LINEAR_MELS + np.log(SAMPLE_RATE_HZ / 2 / _LINEAR_HZ) / _LOG_STEP
    mels = np.linspace(0.0, highest_mels, MELS + 2)
    logarithmic = _LINEAR_HZ * np.exp(_LOG_STEP * (mels - _LINEAR_MELS))
    edges_hz = np.where(mels < _LINEAR_MELS, mels * _LINEAR_HZ / _LINEAR_MELS, logarithmic)
    frequencies_hz = np.linspace(0.0, SAMPLE_RATE_HZ / 2, FFT_SAMPLES // 2 + 1)
    low, middle, high = (edges_hz[offset : offset + MELS, None] for offset in range(3))
    rising, falling = (frequencies_hz - low) / (middle - low), (high - frequencies_hz) / (high - middle)
    triangles: NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling)) * 2.0 / (high - low)
    return triangles
