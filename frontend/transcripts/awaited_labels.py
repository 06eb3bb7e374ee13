"""Finals of a session with speakers, in order, each as soon as its speakers are known. Pure.

For clients that get each final once, with its speakers: an event `speakers` may name them after the final.
"""

from collections import deque
from typing import Any, Final

from shared.events import EventType
from shared.final_speakers import DIARIZE_UNAVAILABLE
from voxtral_client.events import Final as Segment
from voxtral_client.events import Speakers

MAX_HELD: Final = 8
"""So many finals wait; then the first of them is released without a speaker."""


class AwaitedLabels:
    def __init__(self) -> None:
        self._held: deque[Segment] = deque()
        self._waits = True

    @property
    def held(self) -> tuple[Segment, ...]:
        """The finals that wait."""
        return tuple(self._held)

    def take(self, wire: dict[str, Any]) -> list[Segment]:
        """The finals that an event releases."""
        if wire["type"] == EventType.FINAL:
            return self.add(Segment.from_wire(wire))
        if wire["type"] == EventType.SPEAKERS:
            return self.label(Speakers.from_wire(wire))
        if wire["type"] == EventType.WARNING and wire["code"] == DIARIZE_UNAVAILABLE:
            return self.give_up()
        return self.rest() if wire["type"] == EventType.DONE else []

    def add(self, final: Segment) -> list[Segment]:
        self._held.append(final)
        return self._released()

    def label(self, said: Speakers) -> list[Segment]:
        said.label(self._held)
        return self._released()

    def give_up(self) -> list[Segment]:
        """The finals that wait, if no speaker will be named. Later ones do not wait."""
        self._waits = False
        return self.rest()

    def rest(self) -> list[Segment]:
        """All that wait: no event follows."""
        held = list(self._held)
        self._held.clear()
        return held

    def _released(self) -> list[Segment]:
        released = []
        while self._held and not self._is_awaited(self._held[0]):
            released.append(self._held.popleft())
        return released

    def _is_awaited(self, first: Segment) -> bool:
        return self._waits and len(self._held) <= MAX_HELD and not first.is_labelled and bool(first.text)
