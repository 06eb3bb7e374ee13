"""Which audio is narrow-band, as that of a telephone: it has nothing above 4 kHz. Pure."""

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
"""The stored energies fall by 10 dB a second: samples that were clipped once, which have all frequencies, are forgotten
sooner than the next consonant comes."""


class Bandwidth:
    """The bandwidth of one session."""

    def __init__(self) -> None:
        self._total = self._high = 0.0
        """The highest energy of recent windows, and the highest above `HIGH_HZ`."""

    def hear(self, windows: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether the audio is narrow-band at each of the next windows, `[windows, samples]`."""
        samples = windows.shape[1]
        energies = np.abs(np.fft.rfft(windows * np.hanning(samples).astype(np.float32), axis=1)) ** 2
        first_high = -(-HIGH_HZ * samples // SAMPLE_RATE_HZ)
        total, high = energies.sum(axis=1), energies[:, first_high:].sum(axis=1)
        narrow = np.zeros(len(windows), np.bool_)
        for index in range(len(windows)):
            self._total = max(self._total * FALL, float(total[index]))
            self._high = max(self._high * FALL, float(high[index]))
            narrow[index] = self._high < NARROW_SHARE * self._total
        return narrow
