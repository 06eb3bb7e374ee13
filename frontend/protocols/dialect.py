"""What a dialect is: the wire messages of one protocol, translated to what a session does and back. No I/O.

One object serves one connection. `frontend.connections.connection` owns the session and obeys the actions in order; a
dialect never sees it. So a new protocol is one file, and is tested by feeding it messages and events.

A dialect is asked one thing at a time, and what it answers is taken whole before the first action is obeyed. If an
action fails, those after it are dropped and `refuse` is called at once, before the next message: a dialect that has
changed its state for the failed message can take that back there. Actions for a session that has ended are ignored.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias

from frontend.protocols.long_text import Message
from frontend.protocols.native.messages import OneShot
from shared.audio.pcm import AudioFormat
from shared.bus.event_log import LoggedEvent
from shared.errors import VoxtralError
from shared.events import SessionOptions

EARLIER_AUDIO: Final = b""
"""Stands for the message in `Dialect.refuse` if audio that was accepted before cannot be decoded."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message to the client."""

    message: dict[str, Any] | bytes
    """Bytes are JSON text already."""


@dataclass(frozen=True, slots=True)
class Check:
    """Raise what `Open` with these options would, except for want of a slot, and change nothing."""

    options: SessionOptions


@dataclass(frozen=True, slots=True)
class Open:
    """Start a session, before anything that needs one. A dialect asks for it once until the session has ended.

    `options.model` is a name as the client gave it (`frontend.sessions.model_names`), here and in `Check`; a session
    keeps its model, whatever `Configure` says. `render` is called with `ready` before the next action is obeyed, and
    not at all if the opening failed.
    """

    options: SessionOptions
    audio_format: AudioFormat | None
    """None: audio in a container."""
    acknowledge: bool = False
    """Whether the client is told how much of its audio is safe."""
    is_native: bool = False
    """Of the native protocol: `options.model` is not looked for among the names of other services, and a message that
    rejects the audio may advise to send it in a container."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Continue a session over this connection. As with `Open`, `ready` is rendered next."""

    session_id: str
    resume_token: str
    seq: int
    """The last event that the client has."""
    audio_format: AudioFormat | None
    acknowledge: bool = False


@dataclass(frozen=True, slots=True)
class Append:
    """Audio in the format that `Open` named."""

    audio: bytes


@dataclass(frozen=True, slots=True)
class Commit:
    """End the segment now."""

    number: int | None = None
    """A repeated number is ignored; also below."""


@dataclass(frozen=True, slots=True)
class Configure:
    """New options from the next segment on, in place of all others but the model."""

    options: SessionOptions


@dataclass(frozen=True, slots=True)
class Change:
    """Some new options from the next segment on, and perhaps another format for the audio that follows."""

    changes: Mapping[str, Any]
    """Fields of `SessionOptions`."""
    number: int | None = None
    changes_audio: bool = False
    audio_format: AudioFormat | None = None
    """If it changes. None: audio in a container."""


@dataclass(frozen=True, slots=True)
class Finish:
    """No more audio comes; what is left of the transcript does."""

    number: int | None = None


@dataclass(frozen=True, slots=True)
class AwaitEnd:
    """Wait until the session that is finishing has ended."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Erase the session. Nothing more is rendered of it."""


@dataclass(frozen=True, slots=True)
class Identify:
    """Authenticate the client with a key."""

    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """Transcribe one recording, and send the reply."""

    request: OneShot


@dataclass(frozen=True, slots=True)
class Status:
    """Send the status of the service."""

    request_id: str | int | None


@dataclass(frozen=True, slots=True)
class Hangup:
    """Close the connection, behind what was sent before. A session that has not ended ends with it."""

    code: int
    reason: str


Action: TypeAlias = (
    Send
    | Append
    | Check
    | Open
    | Resume
    | Commit
    | Configure
    | Change
    | Finish
    | AwaitEnd
    | Cancel
    | Identify
    | Answer
    | Status
    | Hangup
)


class Dialect(Protocol):
    quiet_s: float
    """How long a client may say nothing before its connection is closed; the service's own idle timeout counts if that
    is longer. A session that nobody speaks to ends by itself."""
    linger_s: float
    """Before the server closes a connection, what the client still sends is read and dropped for this long: some
    clients' sending fails when the connection closes at once, and they never get to see why."""
    resumes: bool
    """Whether a client can resume its session over another connection. If not, a session ends with its connection."""

    def greet(self) -> Iterable[Action]:
        """What is done as soon as the connection is open."""

    def receive(self, message: Message) -> Iterable[Action]:
        """What a client's message asks for. Raises VoxtralError; the message has then changed nothing."""

    def render(self, event: LoggedEvent) -> Iterable[Action]:
        """The messages that report an event of the session to the client. `ready` has `model`."""

    def refuse(self, error: VoxtralError, message: Message | None) -> Iterable[Action]:
        """What the client is told of an error: of its message, of `EARLIER_AUDIO`, or (None) of the connection.

        With None, for an error that closes the connection, only what is sent, and how it hangs up, counts. Without a
        `Hangup` the connection is then closed with the code of `frontend.protocols.close_codes`. A fault of ours in a
        session ends that session: `render` gets its last event.
        """
