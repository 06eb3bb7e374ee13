"""The log-mel spectrogram that Smart Turn was trained on: Whisper's, of 8 s of audio. Pure.

Equal to transformers' `WhisperFeatureExtractor(chunk_length=8)` with `do_normalize`. Shorter audio has silence before
it, as in Pipecat's `LocalSmartTurnAnalyzerV3`, which the model was published with.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ
from worker import slaney

WINDOW_SAMPLES: Final = 8 * SAMPLE_RATE_HZ
MELS: Final = 80
FRAMES: Final = 800
FFT_SAMPLES: Final = 400
HOP_SAMPLES: Final = 160
VARIANCE_FLOOR: Final = 1e-7
POWER_FLOOR: Final = 1e-10
RANGE: Final = 8.0
"""Decades below the loudest value that are kept. All three constants are the extractor's."""


def log_mel(pcm: NDArray[np.float32]) -> NDArray[np.float32]:
    """`[MELS, FRAMES]` of the end of `pcm`, `[samples]`."""
    audio = np.zeros(WINDOW_SAMPLES, np.float32)
    heard = pcm[-WINDOW_SAMPLES:]
    audio[WINDOW_SAMPLES - len(heard) :] = heard
    audio = (audio - audio.mean()) / np.sqrt(audio.var() + np.float32(VARIANCE_FLOOR))
    padded = np.pad(audio.astype(np.float64), FFT_SAMPLES // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT_SAMPLES)[::HOP_SAMPLES][:FRAMES]
    power = np.abs(np.fft.rfft(frames * slaney.window(FFT_SAMPLES))) ** 2  # [frames, frequencies]
    logs = np.log10(np.maximum(slaney.filter_bank(MELS, FFT_SAMPLES) @ power.T, POWER_FLOOR))
    result: NDArray[np.float32] = ((np.maximum(logs, logs.max() - RANGE) + 4.0) / 4.0).astype(np.float32)
    return result
