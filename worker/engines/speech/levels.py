"""The level of a session, and the gain of its audio for the VAD. Pure.

The VAD misses speech whose peaks are below about -45 dBFS. Speech that is loud enough has a gain of exactly 1; quieter
speech is amplified to one level. The gain falls at once and rises slowly, so that pauses stay quiet.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

WINDOW_S = 0.032
LOUD = 10.0 ** (-36 / 20)
"""A session of this peak level has a gain of 1; a quieter one is amplified to it.

Measured: at this level the VAD finds nine of ten windows of speech that it finds at full scale, and the words are the
same. In 640 s of noises it finds no speech live, and five pieces of music in recordings; at -24 dBFS 4 and 24.
"""
SILENT = 10.0 ** (-72 / 20)
"""A session that stays below this is silence: dither, and the noise of converters. Between the peaks of speech at
-60 dBFS there are half seconds that are 8 dB quieter."""
RECENT_WINDOWS = 16
"""Half a second after a loud moment, nothing is amplified."""
SUSTAINED_WINDOWS = 4
"""A click is shorter than this and is then ignored; a vowel is longer."""
FALL = 10.0 ** (-2 * WINDOW_S / 20)
"""The stored level falls by 2 dB a second."""
AHEAD_WINDOWS = 256
"""In a recording, 8 s ahead are known, so that it has one gain from its first word on."""

Gains = NDArray[np.float32]


class Levels:
    """The level of one session."""

    def __init__(self) -> None:
        self._peaks = np.zeros(RECENT_WINDOWS, np.float32)
        """Peaks of the last windows."""
        self._held = 0.0

    def hear(self, peaks: NDArray[np.float32], ahead: NDArray[np.float32] | None = None) -> Gains:
        """The gains of the next windows, by the peak of each. `ahead`: the peaks of windows after them, if known."""
        if not len(peaks):
            return np.empty(0, np.float32)
        known = np.concatenate([self._peaks, peaks])
        recent = _running(known, RECENT_WINDOWS, np.max)[1:]
        sustained = _running(known[-len(peaks) - SUSTAINED_WINDOWS + 1 :], SUSTAINED_WINDOWS, np.min)
        levels = np.empty(len(peaks), np.float32)
        for index in range(len(peaks)):
            self._held = max(self._held * FALL, float(sustained[index]))
            levels[index] = max(self._held, float(recent[index]))
        self._peaks = known[len(known) - RECENT_WINDOWS :]
        if ahead is not None:
            levels = np.maximum(levels, _coming(np.concatenate([peaks, ahead]), len(peaks)))
        return _gains(levels)


def _gains(levels: NDArray[np.float32]) -> Gains:
    """1 if it is loud enough, 0 if there is only silence."""
    amplified = np.divide(LOUD, levels, out=np.zeros_like(levels), where=levels >= SILENT)
    return np.where(levels >= LOUD, np.float32(1), amplified).astype(np.float32)


def _coming(peaks: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """For each of the first windows, the highest peak from there on, as far as it is known."""
    sustained = _running(peaks, SUSTAINED_WINDOWS, np.min) if len(peaks) >= SUSTAINED_WINDOWS else peaks[:1] * 0
    padded = np.concatenate([sustained, np.zeros(count + AHEAD_WINDOWS, np.float32)])
    return _running(padded, AHEAD_WINDOWS, np.max)[:count]


def _running(values: NDArray[np.float32], width: int, of: Callable[..., NDArray[np.float32]]) -> NDArray[np.float32]:
    views = np.lib.stride_tricks.sliding_window_view(values, width)
    result: NDArray[np.float32] = of(views, axis=1)
    return result
