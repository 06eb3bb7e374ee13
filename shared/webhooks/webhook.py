"""What a session's webhook is: where which of its events are sent, and whose secret signs them. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Self

from shared.events import EventType

SERVICE: Final = ""
"""Replaces the name of a key if keys are off."""


class WebhookEvent(StrEnum):
    """The events that may be sent, by their `type`."""

    FINAL = EventType.FINAL.value
    DONE = EventType.DONE.value
    ERROR = EventType.ERROR.value


ALL: Final = tuple(WebhookEvent)


@dataclass(frozen=True, slots=True)
class Webhook:
    url: str = field(repr=False)
    """It may hold a secret, in its path or query."""
    events: tuple[WebhookEvent, ...] = ALL
    key_name: str = SERVICE
    """The API key whose secret signs the events."""

    def to_wire(self) -> dict[str, Any]:
        return {"url": self.url, "events": list(self.events), "key": self.key_name}

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        """Read what `to_wire` has written. Events of a newer version are ignored."""
        return cls(wire["url"], events_of(wire["events"]), wire["key"])


def events_of(names: Iterable[str]) -> tuple[WebhookEvent, ...]:
    """The known ones of these names, each once, in their usual order."""
    wanted = set(names)
    return tuple(event for event in ALL if event in wanted)
