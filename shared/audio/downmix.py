"""Mixes several channels to one, without losing audio that cancels out or is on one channel only.

The result is the mean of all channels, unless the mean would be much quieter than the channels: a channel that has
been silent from the beginning is left out, and if channels cancel each other (one has its polarity inverted), only the
loudest one is used. This is decided for each half second, so that memory does not grow with the length.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.audio.pcm import Samples, mixed_to_mono

BLOCK_S: Final = 0.5
_SILENT: Final = 1e-4
"""A channel with at most this share of the power of the loudest one (-40 dB) counts as silent."""
_CANCELLED: Final = 0.35
"""If the mean has less than this share of the power that unrelated channels would give, they cancel each other."""
_MUCH_QUIETER: Final = 0.3
"""If the mean has less than this share of the power of what is used instead, a warning is due (-5 dB: one of two is
silent)."""


class Downmix:
    """One track with a fixed number of channels. The output is as long as the input."""

    def __init__(self, rate_hz: int) -> None:
        self._block_samples = max(1, round(rate_hz * BLOCK_S))
        self._pending: list[NDArray[np.float32]] = []
        self._pending_samples = 0
        self._loudest: NDArray[np.float64] = np.zeros(0)
        """Power of the loudest block of each channel so far: a channel that was once audible is always kept."""
        self._plain = self._taken = self._cancelled = 0.0
        """Energy of the mean, of the output, and of the output that was chosen because of a cancellation."""
        self._alone: NDArray[np.float64] = np.zeros(0)
        """Energy of each channel while it was used alone."""

    def feed(self, frames: NDArray[np.float32]) -> Samples:
        """Mono samples of the complete blocks. `frames` is [samples, channels]."""
        if frames.shape[1] == 1:
            return frames[:, 0]
        self._pending.append(frames)
        self._pending_samples += len(frames)
        if self._pending_samples < self._block_samples:
            return np.zeros(0, np.float32)
        whole = np.concatenate(self._pending)
        end = len(whole) - len(whole) % self._block_samples
        self._pending, self._pending_samples = [whole[end:]], len(whole) - end
        return np.concatenate(
            [self._mixed(whole[start : start + self._block_samples]) for start in range(0, end, self._block_samples)]
        )

    def finish(self) -> Samples:
        """The remaining incomplete block."""
        rest, self._pending, self._pending_samples = self._pending, [], 0
        return self._mixed(np.concatenate(rest)) if sum(map(len, rest)) else np.zeros(0, np.float32)

    def remark(self) -> str | None:
        """A warning about the channels, once everything has been fed; None if the mean is as good."""
        if self._plain >= _MUCH_QUIETER * self._taken:
            return None
        used = int(np.argmax(self._alone)) + 1
        count = len(self._loudest)
        if self._cancelled > self._taken / 2:
            return (
                f"The {count} channels cancel each other out when they are mixed (one has its polarity inverted): "
                f"channel {used} is used alone."
            )
        if not self._is_any_silent:
            return None
        silent = [str(number + 1) for number in np.flatnonzero(self._loudest <= _SILENT * self._loudest.max())]
        named = f"Channel {silent[0]} is" if len(silent) == 1 else f"Channels {', '.join(silent)} are"
        others = f"channel {used} is used alone" if len(silent) == count - 1 else "the others are used"
        return f"{named} silent: {others}."

    @property
    def _is_any_silent(self) -> bool:
        return bool((self._loudest <= _SILENT * self._loudest.max()).any())

    def _mixed(self, block: NDArray[np.float32]) -> Samples:
        power = np.mean(np.square(block, dtype=np.float64), axis=0)
        self._loudest = power if not len(self._loudest) else np.maximum(self._loudest, power)
        heard = np.flatnonzero(self._loudest > _SILENT * self._loudest.max())
        if not len(heard):
            return mixed_to_mono(block)
        plain = mixed_to_mono(block)
        mono = plain if len(heard) == block.shape[1] else mixed_to_mono(block[:, heard])
        mono_power = _power(mono)
        loudest = int(np.argmax(power))
        is_cancelled = mono_power < _CANCELLED * float(np.sum(power[heard])) / len(heard) ** 2
        if is_cancelled:
            mono, mono_power = block[:, loudest], float(power[loudest])
        self._note(plain, mono_power, len(block), loudest if is_cancelled or len(heard) == 1 else None, is_cancelled)
        return mono

    def _note(self, plain: Samples, taken_power: float, samples: int, alone: int | None, is_cancelled: bool) -> None:
        self._plain += _power(plain) * samples
        self._taken += taken_power * samples
        self._cancelled += taken_power * samples * is_cancelled
        if not len(self._alone):
            self._alone = np.zeros(len(self._loudest))
        if alone is not None:
            self._alone[alone] += taken_power * samples


def _power(samples: Samples) -> float:
    return float(np.mean(np.square(samples, dtype=np.float64)))
