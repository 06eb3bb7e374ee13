"""Text that is only ever appended, as other services' clients want it: the growth of a session's committed text.

What a `partial` has committed is never taken back, so it is passed on as it grows; the `final` brings the rest. Deltas
joined are the finals joined, but where a worker of another version has taken a segment over and says something else:
then the rest is fitted to what was passed on, and the finals are the truth.
"""

from typing import Any

from shared.continuation import continuation
from shared.events import EventType
from shared.seams import NEAR_CHARS, is_decided, joined, seam


class TranscriptDeltas:
    """All segments, joined as `seams` does. `text` is that of the finals so far."""

    def __init__(self) -> None:
        self._finals: list[str] = []
        self._segment: int | None = None
        self._passed = ""
        """What has been passed on of the segment."""
        self._before = ""
        """The end of what has been passed on before the segment."""
        self._between = ""
        """The seam that was passed on between the two."""

    @property
    def text(self) -> str:
        return joined(self._finals)

    def hear(self, event: dict[str, Any]) -> str:
        """The delta that a `partial` or a `final` brings; empty for any other event."""
        match event["type"]:
            case EventType.PARTIAL:
                return self._pass_on_committed(event)
            case EventType.FINAL:
                if event["text"]:
                    self._finals.append(event["text"])
                return self._pass_on(event["segment"], event["text"])
        return ""

    def _pass_on_committed(self, event: dict[str, Any]) -> str:
        """A worker that has taken the segment over with other text may commit less than was passed on."""
        passed = self._passed if event["segment"] == self._segment else ""
        text: str = event["committed"]["text"] if "committed" in event else ""
        if not passed and not is_decided(self._passed_before(event["segment"]), text):
            return ""
        return self._pass_on(event["segment"], text) if text.startswith(passed) else ""

    def _pass_on(self, segment: int, text: str) -> str:
        if segment != self._segment:
            self._before = self._passed_before(segment)
            self._segment, self._passed, self._between = segment, "", ""
        is_first = not self._passed
        delta = continuation(self._passed, text)
        self._passed += delta
        if not delta or not is_first:
            return delta
        self._between = seam(self._before, text)
        return self._between + delta

    def _passed_before(self, segment: int) -> str:
        if segment == self._segment:
            return self._before
        return (self._before + self._between + self._passed)[-NEAR_CHARS:]
