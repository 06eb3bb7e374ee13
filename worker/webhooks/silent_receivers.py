"""Receivers that do not answer: their events fail at once for a while, and take no time from those of others. Pure.

A circuit breaker for each receiver, in the memory of one process. An answer of any status closes it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

FAILURES: Final = 5
"""Requests in a row that a receiver has not answered before the first pause."""
FIRST_PAUSE_S: Final = 5.0
LONGEST_PAUSE_S: Final = 60.0
MAX_RECEIVERS: Final = 10_000


@dataclass(slots=True)
class _Silence:
    failures: int = 0
    pause_s: float = FIRST_PAUSE_S
    until_s: float = 0.0
    is_tried: bool = False
    """Whether a request that was sent after a pause has not ended. Others may have been sent before the first one."""


class SilentReceivers:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._silences: dict[str, _Silence] = {}

    def may_try(self, receiver: str) -> bool:
        """Whether to send a request now. After a pause, one request finds out whether the receiver answers again."""
        silence = self._silences.get(receiver)
        if silence is None or silence.failures < FAILURES:
            return True
        if self._clock() < silence.until_s:
            return False
        silence.is_tried = True
        silence.until_s = self._clock() + silence.pause_s
        return True

    def note(self, receiver: str, *, answered: bool) -> None:
        """Record what has become of a request."""
        if answered:
            self._silences.pop(receiver, None)
            return
        if len(self._silences) >= MAX_RECEIVERS:
            self._silences.clear()
        silence = self._silences.setdefault(receiver, _Silence())
        silence.failures += 1
        if silence.is_tried:
            silence.is_tried = False
            silence.pause_s = min(LONGEST_PAUSE_S, 2 * silence.pause_s)
        elif silence.failures > FAILURES:
            return
        silence.until_s = self._clock() + silence.pause_s
