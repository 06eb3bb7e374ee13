"""Where in a session the VAD detected voice. Pure."""

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ
from worker.engines.speech.vad import WINDOW_SAMPLES


class Voice:
    """The windows with voice that may still be in a pass."""

    def __init__(self) -> None:
        self._ends: list[int] = []
        """Their end positions, ascending."""

    def hear(self, position_samples: int, probabilities: NDArray[np.float32], least: float) -> None:
        """Record the windows from a position on whose probability is at least `least`."""
        found = np.flatnonzero(probabilities >= least)
        self._ends += [position_samples + (int(index) + 1) * WINDOW_SAMPLES for index in found]

    def seconds(self, start_samples: int, end_samples: int) -> float:
        """How much voice there is between two positions: that of the windows that end there."""
        count = bisect_right(self._ends, end_samples) - bisect_right(self._ends, start_samples)
        return max(0, count) * WINDOW_SAMPLES / SAMPLE_RATE_HZ

    def start_after(self, position_samples: int) -> int:
        """Where the first voice after a position starts; the position, if there is voice at it or none after it."""
        index = bisect_right(self._ends, position_samples)
        if index == len(self._ends):
            return position_samples
        return max(position_samples, self._ends[index] - WINDOW_SAMPLES)

    def lies_before(self, position_samples: int, start_samples: int, end_samples: int) -> bool:
        """Whether at least half of the voice from `start_samples` to `end_samples` lies before a position."""
        return self.seconds(start_samples, position_samples) >= self.seconds(position_samples, end_samples)

    def end_before(self, position_samples: int) -> int | None:
        """Where the last voice before a position ends."""
        count = bisect_right(self._ends, position_samples)
        return self._ends[count - 1] if count else None

    def forget_before(self, position_samples: int) -> None:
        del self._ends[: bisect_right(self._ends, position_samples)]
