"""How loud a session has been lately, to find where the sound of a word began. Pure.

The model tells where words end and not where they begin.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

HOP_SAMPLES: Final = 160
KEPT_HOPS: Final = 512
"""Five seconds: no word is longer."""
VOICED_SHARE: Final = 0.1
"""Of the way from the quietest hop to the loudest: what is louder is voice (20 dB below the peak in a silent room)."""
MAX_CLOSURE_HOPS: Final = 8
"""A pause inside a word, such as the closure before a plosive, is at most so long."""
PLAIN_WORD_SAMPLES: Final = 5_600
"""0.35 s, the length that is assumed where nothing is louder than the rest."""


class Loudness:
    """The RMS of each hop of the last seconds, by absolute position."""

    def __init__(self, start_samples: int) -> None:
        self._levels = np.zeros(KEPT_HOPS, np.float32)
        self._origin_samples = start_samples
        self._hops = 0

    def hear(self, pcm: NDArray[np.float32]) -> None:
        """The next audio, a whole number of hops."""
        levels = np.sqrt(np.mean(np.square(pcm.reshape(-1, HOP_SAMPLES)), axis=1))
        self._levels[np.arange(self._hops, self._hops + len(levels)) % KEPT_HOPS] = levels
        self._hops += len(levels)

    def onset_samples(self, after_samples: int, before_samples: int) -> int:
        """Where the last sound that was made between two positions began."""
        first = max((after_samples - self._origin_samples) // HOP_SAMPLES, self._hops - KEPT_HOPS, 0)
        last = min(-(-(before_samples - self._origin_samples) // HOP_SAMPLES), self._hops)
        plain_samples = max(after_samples, before_samples - PLAIN_WORD_SAMPLES)
        if last <= first:
            return plain_samples
        levels = self._levels[np.arange(first, last) % KEPT_HOPS]
        quiet, loud = float(levels.min()), float(levels.max())
        voiced = np.flatnonzero(levels > quiet + VOICED_SHARE * (loud - quiet))
        if not len(voiced):
            return plain_samples
        pauses = np.flatnonzero(np.diff(voiced) > MAX_CLOSURE_HOPS)
        begin = voiced[pauses[-1] + 1] if len(pauses) else voiced[0]
        return max(after_samples, self._origin_samples + (first + int(begin)) * HOP_SAMPLES)
