"""The mel spectrogram of the GE2E encoder, as librosa computes it: power, Slaney's scale and norm, no logarithm."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker import slaney

N_MELS: Final = 40
FRAME_SAMPLES: Final = 400
HOP_SAMPLES: Final = 160


def spectrogram(pcm: NDArray[np.float32]) -> NDArray[np.float32]:
    """`[frames, N_MELS]`. The frame `n` is centred at sample `n × HOP_SAMPLES`; there is silence around the audio."""
    half = FRAME_SAMPLES // 2
    padded = np.pad(pcm, half)
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME_SAMPLES)[::HOP_SAMPLES]
    spectrum = np.fft.rfft(frames * slaney.window(FRAME_SAMPLES))
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    filters = slaney.filter_bank(N_MELS, FRAME_SAMPLES).astype(np.float32)
    mels: NDArray[np.float32] = power @ filters.T
    return mels
