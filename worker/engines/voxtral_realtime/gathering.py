"""When a pass begins: at once, or a moment later, if more sessions can share it. Pure: the caller gives the time.

A pass over one session takes a GPU nearly as long as one over several, since it reads all weights. Sessions whose
frames come at different moments would each have a pass of their own, and keep the GPU busy all the time.
"""

from collections.abc import Mapping
from typing import Final

GATHER_S: Final = 0.02
"""A session waits so long for others at most."""
LATE_S: Final = 0.02
"""So late, a frame is still expected; after that its client has paused."""
SHORTEST_S: Final = 0.0001
"""A shorter wait is not worth it."""


class Gathering:
    """Knows when each session's last frame came, and so when the next one is expected."""

    def __init__(self, frame_s: float, longest_s: float) -> None:
        self._frame_s = frame_s
        self.longest_s = longest_s
        """0: nobody waits."""
        self._came_s: dict[str, float] = {}

    def came(self, session_id: str, now_s: float) -> None:
        """A frame of the session is complete."""
        self._came_s[session_id] = now_s

    def forget(self, session_id: str) -> None:
        self._came_s.pop(session_id, None)

    def pause_s(self, due_s: Mapping[str, float], now_s: float) -> float:
        """How long to wait yet, unless a frame comes before: 0 when no other session's frame is expected in time.

        `due_s`: since when sessions wait for the pass, the one that waits longest first.
        """
        until_s = next(iter(due_s.values())) + self.longest_s
        if until_s - now_s < SHORTEST_S:
            return 0.0
        earliest_s, latest_s = now_s - LATE_S - self._frame_s, until_s - self._frame_s
        for session_id, came_s in self._came_s.items():
            if earliest_s < came_s <= latest_s and session_id not in due_s:
                return until_s - now_s
        return 0.0
