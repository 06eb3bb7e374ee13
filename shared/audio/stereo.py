"""Mixes two channels to one, even if one of them is silent, or the negative of the other. Knows no format.

The mean of two channels is silent if one is the other with inverted polarity, and half as loud if one is silent.
Then only the louder channel is used. The decision depends only on the samples, not on how they were chunked.
"""

from enum import Enum, auto
from typing import Final

import numpy as np
from numpy.typing import NDArray

BLOCKS_PER_S = 50
"""The output changes only between two blocks; a block is judged by the blocks before it, so nothing is held back."""
KEPT = 0.96
"""Decay of the energies so far, for each block: they halve in a third of a second."""
LEAST_POWER = 10.0**-7
"""-70 dBFS: quieter audio gives no information about a channel."""
INVERTED_BELOW = 10.0**-1
"""A mean with less than this share of the louder channel's energy is a cancellation: by chance it has a quarter."""
DEAD_BELOW = 10.0**-4
"""A channel with less than this share of the other one's energy counts as silent."""


PAUSE_BELOW = 10.0**-2
"""A block with less than this share of the energy before it is a pause, in which polarity cannot be detected."""
LONGEST_PAUSE_BLOCKS = 10 * BLOCKS_PER_S
"""Afterwards, new audio is judged without the earlier energies."""


class Fault(Enum):
    """Why only one channel is used."""

    INVERTED = auto()
    """The channels cancel each other."""
    DEAD = auto()
    """The other channel is silent."""


WARNINGS: Final = {
    Fault.INVERTED: "The channels cancel each other (inverted polarity); only the {name} one is used.",
    Fault.DEAD: "One channel is silent; meanwhile only the {name} one is used.",
}
WARNING_CODES: Final = {fault: f"channels_{fault.name.lower()}" for fault in Fault}


class StereoMix:
    """Frames of two channels, float32 [frames, 2], as mono. The mean, unless it is much quieter than a channel."""

    def __init__(self, rate_hz: int) -> None:
        self.fault: Fault | None = None
        """The fault in the last whole block."""
        self.channel = 0
        """The channel that is used alone during a fault: 0 is the left one."""
        self._block_frames = max(1, rate_hz // BLOCKS_PER_S)
        self._energies = np.zeros(3)
        """Energies of left, right and mean; newer blocks have more weight."""
        self._weight = 0.0
        self._pause_blocks = 0
        self._pending = np.empty((0, 2), np.float32)
        """The beginning of a block, which has already been returned."""

    @property
    def warning(self) -> tuple[str, str] | None:
        """Code and message of the current fault."""
        if self.fault is None:
            return None
        return WARNING_CODES[self.fault], WARNINGS[self.fault].format(name=("left", "right")[self.channel])

    def feed(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same number of samples: float32 [frames, 2] to float32 [frames]."""
        mono = np.empty(len(frames), np.float32)
        start = 0
        while start < len(frames):
            end = min(len(frames), start + self._block_frames - len(self._pending))
            part = frames[start:end]
            mono[start:end] = self._heard(part)
            self._pending = np.concatenate([self._pending, part])
            if len(self._pending) == self._block_frames:
                self._judge(self._pending)
                self._pending = self._pending[:0]
            start = end
        return mono

    def _heard(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.fault is not None:
            return frames[:, self.channel]
        return (frames[:, 0] + frames[:, 1]) / np.float32(2)

    def _judge(self, block: NDArray[np.float32]) -> None:
        mean = (block[:, 0] + block[:, 1]) / np.float32(2)
        powers = np.array([np.mean(np.square(one, dtype=np.float64)) for one in (block[:, 0], block[:, 1], mean)])
        if self._is_pause(powers):
            self._pause_blocks += 1
            return
        self._pause_blocks = 0
        if self._is_contradicted(powers):
            self._energies[:] = self._weight = 0.0
        self._energies = KEPT * self._energies + powers
        self._weight = KEPT * self._weight + 1
        self.fault, self.channel = _fault(self._energies / self._weight)

    def _is_pause(self, powers: NDArray[np.float64]) -> bool:
        """Whether a block is too quiet to detect whether the channels still cancel each other."""
        if self.fault is not Fault.INVERTED or self._pause_blocks >= LONGEST_PAUSE_BLOCKS:
            return False
        return bool(max(powers[:2]) < PAUSE_BELOW * max(self._energies[:2]) / self._weight)

    def _is_contradicted(self, powers: NDArray[np.float64]) -> bool:
        """Whether a block contradicts those before it, since there is speech on the unused channel."""
        if self.fault is None or _fault(powers) == (self.fault, self.channel):
            return False
        return self.fault is Fault.INVERTED or bool(powers[1 - self.channel] >= LEAST_POWER)


def _fault(powers: NDArray[np.float64]) -> tuple[Fault | None, int]:
    """The fault of two channels with these powers (left, right, mean), and the louder one of them."""
    left, right, mean = powers
    channel, loud, quiet = (0, left, right) if left >= right else (1, right, left)
    if loud < LEAST_POWER:
        return None, channel
    if quiet < DEAD_BELOW * loud:
        return Fault.DEAD, channel
    return (Fault.INVERTED if mean < INVERTED_BELOW * loud else None), channel
