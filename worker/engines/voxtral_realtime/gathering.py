"""When a pass starts: at once, or slightly later, if more sessions can share it. Pure: the caller passes in the time.

A pass over one session takes a GPU nearly as long as one over several, since it reads all weights. Sessions whose
frames arrive at different moments would each need a separate pass, and keep the GPU busy all the time.
"""

from collections.abc import Mapping
from typing import Final

GATHER_S: Final = 0.02
"""Maximum time that a session waits for others."""
LATE_S: Final = 0.02
"""A frame that is late by this much is still expected; after that its client has paused."""
SHORTEST_S: Final = 0.0001
"""A shorter wait is not worthwhile."""


class Gathering:
    """Records when each session's last frame arrived, and so when the next one is expected."""

    def __init__(self, frame_s: float, longest_s: float) -> None:
        self._frame_s = frame_s
        self.longest_s = longest_s
        """0: no waiting."""
        self._came_s: dict[str, float] = {}

    def came(self, session_id: str, now_s: float) -> None:
        """Record that a frame of the session is complete."""
        self._came_s[session_id] = now_s

    def forget(self, session_id: str) -> None:
        self._came_s.pop(session_id, None)

    def pause_s(self, due_s: Mapping[str, float], now_s: float) -> float:
        """The remaining wait, unless a frame arrives earlier: 0 if no other session's frame is expected in time.

        `due_s`: the time since when each session waits for the pass, in order of waiting time, the longest first.
        """
        until_s = next(iter(due_s.values())) + self.longest_s
        if until_s - now_s < SHORTEST_S:
            return 0.0
        earliest_s, latest_s = now_s - LATE_S - self._frame_s, until_s - self._frame_s
        for session_id, came_s in self._came_s.items():
            if earliest_s < came_s <= latest_s and session_id not in due_s:
                return until_s - now_s
        return 0.0
