"""What a realtime dialect is: another service's wire messages, translated to a session's and back. No I/O.

One object serves one connection. `frontend.realtime` owns the session and obeys the actions in order; a dialect never
sees it. So a new dialect is one file, and is tested by feeding it messages and events.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from shared.audio.pcm import AudioFormat
from shared.bus.event_log import LoggedEvent
from shared.errors import VoxtralError
from shared.events import SessionOptions


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message to the client."""

    message: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Open:
    """Start a session, before anything that needs one. A dialect asks for it once until the session has ended."""

    options: SessionOptions
    audio_format: AudioFormat


@dataclass(frozen=True, slots=True)
class Append:
    """Audio in the format that `Open` named."""

    audio: bytes


@dataclass(frozen=True, slots=True)
class Commit:
    """End the segment now."""


@dataclass(frozen=True, slots=True)
class Configure:
    """New options from the next segment on."""

    options: SessionOptions


@dataclass(frozen=True, slots=True)
class Finish:
    """No more audio comes; what is left of the transcript does."""


@dataclass(frozen=True, slots=True)
class Hangup:
    """Close the connection, behind what was sent before."""

    code: int
    reason: str


Action: TypeAlias = Send | Open | Append | Commit | Configure | Finish | Hangup


class Dialect(Protocol):
    def greet(self) -> Iterable[Action]:
        """What is done as soon as the connection stands."""

    def receive(self, message: str | bytes) -> Iterable[Action]:
        """What a client's message asks for. Raises VoxtralError; the message has then changed nothing."""

    def render(self, event: LoggedEvent) -> Iterable[Action]:
        """What the client is told of an event of its session."""

    def refuse(self, error: VoxtralError, message: str | bytes | None) -> Iterable[Action]:
        """What the client is told of an error, of its message or (None) of the connection."""
