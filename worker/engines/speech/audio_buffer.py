"""The samples of a session that may still be needed, by their position in the session."""

import numpy as np
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ


class AudioBuffer:
    """Grows by doubling, drops audio at the front."""

    def __init__(self, start_samples: int, *, reuses_memory: bool = False) -> None:
        """`reuses_memory`: `forget_before` moves the remaining audio within the same memory, since new memory costs
        more than the copy if a few seconds of many sessions are kept. Views are then overwritten."""
        self._reuses_memory = reuses_memory
        self._kept = np.empty(SAMPLE_RATE_HZ, np.float32)
        self.start_samples = start_samples
        self.end_samples = start_samples

    def append(self, pcm: NDArray[np.float32]) -> None:
        used = self.end_samples - self.start_samples
        if used + len(pcm) > len(self._kept):
            grown = np.empty(2 * (used + len(pcm)), np.float32)
            grown[:used] = self._kept[:used]
            self._kept = grown
        self._kept[used : used + len(pcm)] = pcm
        self.end_samples += len(pcm)

    def between(self, start_samples: int, end_samples: int) -> NDArray[np.float32]:
        """A view; valid until the next `append` or `forget_before`."""
        assert self.start_samples <= start_samples <= end_samples <= self.end_samples, "audio is gone or not here yet"
        return self._kept[start_samples - self.start_samples : end_samples - self.start_samples]

    def forget_before(self, position_samples: int) -> None:
        """Drop old audio, but only if it is a large part of the buffer, since the rest is copied."""
        drop = position_samples - self.start_samples
        if drop < max(SAMPLE_RATE_HZ, len(self._kept) // 4):
            return
        stays = self.between(position_samples, self.end_samples)
        if self._reuses_memory and 4 * (len(stays) + SAMPLE_RATE_HZ) >= len(self._kept):
            self._kept[: len(stays)] = stays
        else:
            self._kept = np.concatenate([stays, np.empty(SAMPLE_RATE_HZ, np.float32)])
        self.start_samples = position_samples
