"""When the audio of a session reached its frontend, by position. Pure."""

from collections import deque
from dataclasses import dataclass, field

from shared.events import Latency


@dataclass(slots=True)
class Arrivals:
    """Times are wall clock, in ms. Audio that a worker replays after a takeover has none."""

    _entries: deque[tuple[int, float]] = field(default_factory=deque)
    """End of the audio, and when it arrived; oldest first."""

    def note(self, end_samples: int, arrived_ms: float) -> None:
        """Audio up to a position has arrived."""
        self._entries.append((end_samples, arrived_ms))

    def at_ms(self, at_samples: int) -> float | None:
        """When audio at a position arrived; None if that is not known."""
        return next((arrived for end, arrived in self._entries if end >= at_samples), None)

    def oldest_after_ms(self, absorbed_samples: int, checkpoint_samples: int) -> float | None:
        """When the oldest audio arrived that is not absorbed. Forgets what is before both positions."""
        while self._entries and self._entries[0][0] <= min(absorbed_samples, checkpoint_samples):
            self._entries.popleft()
        return next((arrived for end, arrived in self._entries if end > absorbed_samples), None)

    def latency(self, heard_samples: int, model_ms: float, step_started_ms: float, now_ms: float) -> Latency:
        """Of a text that is based on audio up to `heard_samples`."""
        arrived_ms = self.at_ms(heard_samples)
        if arrived_ms is None:
            return Latency(0.0, model_ms, now_ms - step_started_ms)
        return Latency(max(0.0, step_started_ms - arrived_ms), model_ms, max(0.0, now_ms - arrived_ms))
