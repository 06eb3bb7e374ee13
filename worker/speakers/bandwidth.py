"""Whether a session's audio comes through a telephone line: then voices are more alike. Pure."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ

_NARROW_HZ: Final = 4200
"""Telephone lines pass nothing above 4 kHz."""
_SHARE: Final = 1e-4
"""Speech in wider audio has a hundred times as much of its power above."""


class Bandwidth:
    """Of the speech so far."""

    def __init__(self) -> None:
        self._power = self._above = 0.0

    def hear(self, pcm: NDArray[np.float32]) -> None:
        spectrum = np.fft.rfft(pcm)
        power = spectrum.real**2 + spectrum.imag**2
        self._power += float(power.sum())
        self._above += float(power[_NARROW_HZ * len(pcm) // SAMPLE_RATE_HZ :].sum())

    @property
    def is_narrow(self) -> bool:
        return self._above < _SHARE * self._power
