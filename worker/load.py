"""The load of a worker. Pure: the caller passes in the time."""

import math
from collections import deque
from collections.abc import Sequence
from typing import Final

WINDOW_S: Final = 10.0
MIN_PASSES: Final = 25
MAX_PASSES: Final = 4096
FULL: Final = 0.8
RELIEVED: Final = 0.7


class Load:
    """Whether a worker accepts new sessions.

    Its load is the 99th percentile of the duration of its passes in the last 10 s, host work included, divided by the
    duration of the audio frame that each pass processes: above 1 the worker is slower than real time. Above 0.8 it is
    overloaded: it offers no slot, so that new sessions go to other workers, or wait, or get `server_busy`, as if its
    slots were taken. Its own sessions continue. It offers slots again once its load is below 0.7, so that the state
    does not flip with every session. Fewer than 25 passes are too few to measure, and count as no load. Passes leave
    the window with time, so that a worker without sessions is free after 10 s.
    """

    def __init__(self, frame_ms: float) -> None:
        """`frame_ms`: 0 for an engine whose passes have no frame; its load is always 0."""
        self._frame_ms = frame_ms
        self._passes: deque[tuple[float, float]] = deque(maxlen=MAX_PASSES)  # end time, and duration
        self._overloaded = False

    def observe(self, passes_ms: Sequence[float], now_s: float) -> None:
        self._passes.extend((now_s, pass_ms) for pass_ms in passes_ms)

    def measure(self, now_s: float) -> tuple[float, bool]:
        """The load, and whether the worker is overloaded."""
        while self._passes and self._passes[0][0] < now_s - WINDOW_S:
            self._passes.popleft()
        load = 0.0
        if self._frame_ms and len(self._passes) >= MIN_PASSES:
            load = nearest_rank(sorted(pass_ms for _, pass_ms in self._passes), 0.99) / self._frame_ms
        self._overloaded = load > (RELIEVED if self._overloaded else FULL)
        return round(load, 3), self._overloaded


def nearest_rank(ordered: Sequence[float], quantile: float) -> float:
    """The smallest of the values that so many of them, as a share, do not exceed. There must be some."""
    rank = math.ceil(len(ordered) * quantile - 1e-9)  # a product such as 100 * 0.07 is slightly more than 7
    return ordered[max(0, rank - 1)]
