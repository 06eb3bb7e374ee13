"""How late the event loop of a process runs what is due, because something else keeps it, or its machine, busy."""

import asyncio
from collections import deque
from typing import Final

INTERVAL_S: Final = 0.1
"""A delay that is shorter may be missed, and a longer one is measured up to this much too short."""
WINDOW_S: Final = 60.0
"""So that a scrape each minute misses none."""


class EventLoopDelay:
    """The longest delay of the last minute. Times are of one monotonic clock."""

    def __init__(self) -> None:
        self._delays: deque[tuple[float, float]] = deque()
        """When they were observed, and how long they were: each is longer than all later ones."""

    async def run(self) -> None:
        """Measure the loop that runs this; runs until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            due_s = clock() + INTERVAL_S
            await asyncio.sleep(INTERVAL_S)
            now_s = clock()
            self.observe(now_s, now_s - due_s)

    def observe(self, now_s: float, delay_s: float) -> None:
        while self._delays and self._delays[-1][1] <= delay_s:
            self._delays.pop()
        self._delays.append((now_s, delay_s))
        while self._delays[0][0] < now_s - WINDOW_S:
            self._delays.popleft()

    @property
    def longest_ms(self) -> float:
        return round(1000 * max(0.0, self._delays[0][1]), 1) if self._delays else 0.0
