"""Whether a session's audio comes through a telephone line: then voices are more alike. Pure."""

import numpy as np
from numpy.typing import NDArray

from worker.engines.speech.bandwidth import NARROW_SHARE, energies


class Bandwidth:
    """Of all speech so far."""

    def __init__(self) -> None:
        self._total = self._high = 0.0

    def hear(self, pcm: NDArray[np.float32]) -> None:
        total, high = energies(pcm[None])
        self._total += float(total[0])
        self._high += float(high[0])

    @property
    def is_narrow(self) -> bool:
        return self._high < NARROW_SHARE * self._total
