"""Which audio is narrow-band, as that of a telephone: it has nothing above 4 kHz. Pure."""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ
from worker.engines.speech.levels import WINDOW_S

HIGH_HZ: Final = 4200
"""Resampling from 8 kHz leaves a little between 4 kHz and here."""
NARROW_SHARE: Final = 1e-4
"""Less energy than this share (-40 dB) above `HIGH_HZ` is nothing. Wideband speech has more in each consonant such as
"s"; its vowels may seem narrow until the first one."""
FALL: Final = 10.0 ** (-10 * WINDOW_S / 10)
"""The stored energies fall by 10 dB a second, so that clipped samples, which contain all frequencies, count for a short
time only."""


def energies(windows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The energy of each window, `[windows, samples]`, and the part of it above `HIGH_HZ`, in the same unit."""
    samples = windows.shape[1]
    spectrum = np.fft.rfft(windows * _hann(samples), axis=1)
    found = spectrum.real**2 + spectrum.imag**2
    return found.sum(axis=1), found[:, -(-HIGH_HZ * samples // SAMPLE_RATE_HZ) :].sum(axis=1)


@cache
def _hann(samples: int) -> NDArray[np.float32]:
    return np.hanning(samples).astype(np.float32)


class Bandwidth:
    """The bandwidth of the last seconds of one session."""

    def __init__(self) -> None:
        self._total = self._high = 0.0
        """The highest energy of recent windows, and the highest above `HIGH_HZ`."""

    def hear(self, windows: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether the audio is narrow-band at each of the next windows, `[windows, samples]`."""
        total, high = energies(windows)
        narrow = np.zeros(len(windows), np.bool_)
        for index in range(len(windows)):
            self._total = max(self._total * FALL, float(total[index]))
            self._high = max(self._high * FALL, float(high[index]))
            narrow[index] = self._high < NARROW_SHARE * self._total
        return narrow
