"""The newest audio of a session, until the finals that need it exist. Pure."""

from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ

MAX_KEPT_SAMPLES: Final = 120 * SAMPLE_RATE_HZ
"""3.8 MB: more than the longest segment and what an engine may have ahead of it (`positions.FILE_BACKLOG_SAMPLES`)."""


class KeptAudio:
    def __init__(self, start_samples: int) -> None:
        self._pieces: deque[NDArray[np.int16]] = deque()
        self._start_samples = self._end_samples = start_samples

    @property
    def start_samples(self) -> int:
        """Where the audio begins that is still kept."""
        return self._start_samples

    def append(self, pcm: NDArray[np.int16]) -> None:
        if len(pcm):
            self._pieces.append(pcm)
            self._end_samples += len(pcm)
            self.forget_before(self._end_samples - MAX_KEPT_SAMPLES)

    def skip(self, samples: int) -> None:
        """So much audio follows that is not kept, nor is any before it."""
        self._pieces.clear()
        self._end_samples += samples
        self._start_samples = self._end_samples

    def between(self, start_samples: int, end_samples: int) -> NDArray[np.int16] | None:
        """A copy of this part; None if some of it is not kept."""
        if start_samples < self._start_samples or end_samples > self._end_samples or start_samples >= end_samples:
            return None
        found, at = [], self._start_samples
        for piece in self._pieces:
            if at >= end_samples:
                break
            found.append(piece[max(0, start_samples - at) : end_samples - at])
            at += len(piece)
        return np.concatenate(found)

    def forget_before(self, position_samples: int) -> None:
        """Drop the pieces that end before a position."""
        while self._pieces and self._start_samples + len(self._pieces[0]) <= position_samples:
            self._start_samples += len(self._pieces.popleft())
