"""Append-only text for clients of other services: the growth of a session's committed text.

The committed text of a `partial` never changes, so it is sent as it grows; the `final` sends the rest. The joined
deltas equal the joined finals, with one exception: if a worker of another version takes a segment over and its text
differs, the rest is fitted to the text already sent, and only the finals are exact.
"""

from typing import Any

from shared.continuation import continuation
from shared.events import EventType
from shared.seams import NEAR_CHARS, is_decided, joined, seam


class DialogueDeltas:
    """The finals of a session whose channels are separate, each as one delta: a turn begins on a new line.

    The text of open segments would mix the channels.
    """

    def __init__(self) -> None:
        self.text = ""
        self._channel: int | None = None

    def hear(self, event: dict[str, Any]) -> str:
        """The delta of a `final`; empty for any other event."""
        if event["type"] != EventType.FINAL or not event["text"]:
            return ""
        is_new_turn = bool(self.text) and event.get("channel") != self._channel
        delta: str = ("\n" if is_new_turn else seam(self.text, event["text"])) + event["text"]
        self._channel = event.get("channel")
        self.text += delta
        return delta


class TranscriptDeltas:
    """All segments, joined like `seams` does. `text` is the text of the finals so far."""

    def __init__(self) -> None:
        self._finals: list[str] = []
        self._segment: int | None = None
        self._passed = ""
        """The text of the segment that has been sent."""
        self._before = ""
        """The end of the text that was sent before the segment."""
        self._between = ""
        """The seam that was sent between the two."""

    @property
    def text(self) -> str:
        return joined(self._finals)

    def hear(self, event: dict[str, Any]) -> str:
        """The delta of a `partial` or a `final`; empty for any other event."""
        match event["type"]:
            case EventType.PARTIAL:
                return self._pass_on_committed(event)
            case EventType.FINAL:
                if event["text"]:
                    self._finals.append(event["text"])
                return self._pass_on(event["segment"], event["text"])
        return ""

    def _pass_on_committed(self, event: dict[str, Any]) -> str:
        """A worker that has taken the segment over with other text may commit less than has been sent."""
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
