"""What a realtime dialect is: another service's wire messages, translated to a session's and back. No I/O.

One object serves one connection. `frontend.connections.dialects` owns the session and obeys the actions in order; a
dialect never sees it. So a new dialect is one file, and is tested by feeding it messages and events.

A dialect is asked one thing at a time, and what it answers is taken whole before the first action is obeyed. Where an
action fails, those after it are dropped and `refuse` is asked at once, before the next message: a dialect that has
changed its state for the failed message can take that back there. Actions for a session that has ended are passed over.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from frontend.protocols.long_text import Message
from shared.audio.pcm import AudioFormat
from shared.bus.event_log import LoggedEvent
from shared.errors import VoxtralError
from shared.events import SessionOptions


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message to the client."""

    message: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Check:
    """Raise what `Open` with these options would, except for want of a slot, and change nothing."""

    options: SessionOptions


@dataclass(frozen=True, slots=True)
class Open:
    """Start a session, before anything that needs one. A dialect asks for it once until the session has ended.

    `options.model` is a name as the client gave it (`frontend.sessions.model_names`), here and in `Check`; a session
    keeps its model, whatever `Configure` says. `render` is called with `ready` before the next action is obeyed, and
    not at all where the opening failed.
    """

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
    """Close the connection, behind what was sent before. A session that has not ended ends with it."""

    code: int
    reason: str


Action: TypeAlias = Send | Check | Open | Append | Commit | Configure | Finish | Hangup


class Dialect(Protocol):
    quiet_s: float
    """How long a client of its may say nothing before its connection is closed; the service's own idle timeout counts
    where that is longer. A session that nobody speaks to ends by itself."""

    def greet(self) -> Iterable[Action]:
        """What is done as soon as the connection stands."""

    def receive(self, message: Message) -> Iterable[Action]:
        """What a client's message asks for. Raises VoxtralError; the message has then changed nothing."""

    def render(self, event: LoggedEvent) -> Iterable[Action]:
        """The messages that report an event of the session to the client. `ready` has `model`."""

    def refuse(self, error: VoxtralError, message: Message | None) -> Iterable[Action]:
        """What the client is told of an error, of its message or (None) of the connection.

        An error that closes the connection, or one of ours, comes with None: only what is sent, and how it hangs up,
        counts then. Without a `Hangup` such a connection is closed with the code of `frontend.connections.closing`.
        """
