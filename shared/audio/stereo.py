"""Two channels to one, where one of them may be dead, or the negative of the other. Knows no format.

The mean of two channels is silent where one is the other with inverted polarity, and half as loud where one is dead.
Then the louder channel is heard alone. What is decided depends on the samples alone, not on how they were cut.
"""

from enum import Enum, auto
from typing import Final

import numpy as np
from numpy.typing import NDArray

BLOCKS_PER_S = 50
"""What is heard changes between two blocks only; a block goes by the blocks before it, so nothing is held back."""
KEPT = 0.96
"""Of the energies so far, for each block: they halve in a third of a second."""
LEAST_POWER = 10.0**-7
"""-70 dBFS: what is quieter says nothing about a channel."""
INVERTED_BELOW = 10.0**-1
"""A mean with less than this share of the louder channel's energy: by chance it has a quarter or more."""
DEAD_BELOW = 10.0**-4
"""A channel with less than this share of the other one's energy is dead."""


PAUSE_BELOW = 10.0**-2
"""A block with less than this share of the energy before it is a pause, in which polarity cannot be told."""
LONGEST_PAUSE_BLOCKS = 10 * BLOCKS_PER_S
"""Afterwards what comes is judged by itself."""


class Fault(Enum):
    """Why one channel is heard alone."""

    INVERTED = auto()
    """The channels cancel each other."""
    DEAD = auto()
    """The other channel is silent."""


WARNINGS: Final = {
    Fault.INVERTED: "The channels cancel each other (inverted polarity); the {name} one alone is heard.",
    Fault.DEAD: "One channel is silent; while it is, the {name} one alone is heard.",
}
WARNING_CODES: Final = {fault: f"channels_{fault.name.lower()}" for fault in Fault}


class StereoMix:
    """Frames of two channels, float32 [frames, 2], as mono. The mean, unless it is much quieter than a channel."""

    def __init__(self, rate_hz: int) -> None:
        self.fault: Fault | None = None
        """Of the last whole block."""
        self.channel = 0
        """Which is heard alone while there is a fault: 0 is the left one."""
        self._block_frames = max(1, rate_hz // BLOCKS_PER_S)
        self._energies = np.zeros(3)
        """Of left, right and mean, each block with less weight than the next."""
        self._weight = 0.0
        self._pause_blocks = 0
        self._pending = np.empty((0, 2), np.float32)
        """The beginning of a block; it has been given out already."""

    @property
    def warning(self) -> tuple[str, str] | None:
        """Code and message of what is wrong now."""
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
        """Whether a block is too quiet to tell whether the channels still cancel each other."""
        if self.fault is not Fault.INVERTED or self._pause_blocks >= LONGEST_PAUSE_BLOCKS:
            return False
        return bool(max(powers[:2]) < PAUSE_BELOW * max(self._energies[:2]) / self._weight)

    def _is_contradicted(self, powers: NDArray[np.float64]) -> bool:
        """Whether a block is no longer as those before it: somebody speaks on the channel that is not heard."""
        if self.fault is None or _fault(powers) == (self.fault, self.channel):
            return False
        return self.fault is Fault.INVERTED or bool(powers[1 - self.channel] >= LEAST_POWER)


def _fault(powers: NDArray[np.float64]) -> tuple[Fault | None, int]:
    """What is wrong with two channels of these powers (left, right, mean), and which is the louder one."""
    left, right, mean = powers
    channel, loud, quiet = (0, left, right) if left >= right else (1, right, left)
    if loud < LEAST_POWER:
        return None, channel
    if quiet < DEAD_BELOW * loud:
        return Fault.DEAD, channel
    return (Fault.INVERTED if mean < INVERTED_BELOW * loud else None), channel
