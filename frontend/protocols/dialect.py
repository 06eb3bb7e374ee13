"""The interface of a dialect: translates the wire messages of one protocol to session actions and back. No I/O.

One object serves one connection. `frontend.connections.connection` owns the session and executes the actions in order;
a dialect never sees it. So a new protocol is one file, and is tested by feeding it messages and events.

A dialect is called for one message or event at a time, and all its actions are collected before the first one is
executed. If an action fails, the following ones are dropped and `refuse` is called at once, before the next message: a
dialect that has changed its state for the failed message can undo that there. Actions for an ended session are ignored.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias

from frontend.access.session_tokens import SessionIdentity
from frontend.protocols.long_text import Message
from shared.audio.pcm import AudioFormat
from shared.bus.event_log import LoggedEvent
from shared.config.sections import ForeignProtocol
from shared.errors import VoxtralError
from shared.session_options import SessionOptions

EARLIER_AUDIO: Final = b""
"""Replaces the message in `Dialect.refuse` if audio that was accepted before cannot be decoded."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message to the client."""

    message: dict[str, Any] | bytes | Callable[[], dict[str, Any]]
    """Bytes are JSON text already, or whatever else the transport of the dialect sends. A function is called when the
    message is sent."""


@dataclass(frozen=True, slots=True)
class Check:
    """Raise what `Open` with these options would raise, except for a lack of slots, and change nothing."""

    options: SessionOptions


@dataclass(frozen=True, slots=True)
class Open:
    """Start a session, before any action that needs one. A dialect requests it once until the session has ended.

    `options.model` is the name that the client sent (`frontend.sessions.model_names`), here and in `Check`; a session
    keeps its model, whatever `Configure` says. `render` is called with `ready` before the next action is executed, and
    not at all if the session was not opened.
    """

    options: SessionOptions
    audio_format: AudioFormat | None
    """None: audio in a container."""
    acknowledge: bool = False
    """Whether the client is informed how much of its audio is stored."""
    is_native: bool = False
    """For the native protocol: `options.model` is not looked up among the names of other services, and a message that
    rejects the audio may suggest sending it in a container."""
    identity: SessionIdentity | None = None
    """The id and the resume token of the session, if they are not new random ones."""
    commit_after_s: float | None = None
    """If the client sends nothing for so long, the segment ends: with a protocol whose clients wait for the text of
    their last audio without ending the audio first."""


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
    """A repeated number is ignored; the same applies below."""


@dataclass(frozen=True, slots=True)
class Configure:
    """New options from the next segment on, which replace all options but the model."""

    options: SessionOptions


@dataclass(frozen=True, slots=True)
class Change:
    """Some new options from the next segment on, and perhaps another format for the audio that follows."""

    changes: Mapping[str, Any]
    """Fields of `SessionOptions`."""
    number: int | None = None
    audio_changes: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `AudioFormat`, which replace those of the current format. The encoding may be `CONTAINER`, too."""


@dataclass(frozen=True, slots=True)
class Finish:
    """No more audio follows; the rest of the transcript does."""

    number: int | None = None


@dataclass(frozen=True, slots=True)
class AwaitEnd:
    """Wait until the session that is finishing has ended."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Erase the session. None of its later events is rendered."""


@dataclass(frozen=True, slots=True)
class Identify:
    """Authenticate the client with a key."""

    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class UseProtocolKey:
    """Authenticate the client as `access.protocol_keys` says, unless it has presented a key."""

    protocol: ForeignProtocol


@dataclass(frozen=True, slots=True)
class OneShot:
    """Transcribe one recording, and send the reply."""

    request_id: str | int | None
    options: SessionOptions
    audio: bytes
    """A file, or raw samples."""
    encoding: str | None
    """Of raw samples; None to guess it. `CONTAINER` is always a file."""
    sample_rate: int
    channels: int
    stream: bool
    """Whether partials are sent before the reply."""
    strict: bool = False
    """Whether a damaged recording is an error."""


@dataclass(frozen=True, slots=True)
class Embed:
    """Send the embedding of the voice in a recording."""

    request_id: str | int | None
    audio: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Status:
    """Send the status of the service."""

    request_id: str | int | None


class OfferedModel(Protocol):
    """A running model."""

    @property
    def name(self) -> str: ...

    @property
    def modes(self) -> tuple[str, ...]: ...

    @property
    def languages(self) -> tuple[str, ...]:
        """ISO 639-1 codes; empty if the model ignores language."""


@dataclass(frozen=True, slots=True)
class ListModels:
    """Send the message that `message` makes of the running models. Raises ModelUnavailableError if none runs."""

    message: Callable[[Sequence[OfferedModel]], bytes]


@dataclass(frozen=True, slots=True)
class Hangup:
    """Close the connection after all earlier messages. A session that has not ended ends with it."""

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
    | UseProtocolKey
    | OneShot
    | Embed
    | Status
    | ListModels
    | Hangup
)


class Dialect(Protocol):
    quiet_s: float
    """How long a client may be silent before its connection is closed; the service's own idle timeout applies if it is
    longer. A session without audio ends by itself."""
    linger_s: float
    """Before the server closes a connection, it reads and discards data of the client for this long: some clients fail
    to send if the connection closes at once, and then never see the reason."""
    resumes: bool
    """Whether a client can resume its session over another connection. If not, a session ends with its connection."""

    def greet(self) -> Iterable[Action]:
        """The actions when the connection is open."""

    def receive(self, message: Message) -> Iterable[Action]:
        """The actions for a client's message. Raises VoxtralError; the message has then changed nothing."""

    def render(self, event: LoggedEvent) -> Iterable[Action]:
        """The messages that report an event of the session to the client. `ready` has `model`."""

    def refuse(self, error: VoxtralError, message: Message | None) -> Iterable[Action]:
        """The actions that report an error: about a message, about `EARLIER_AUDIO`, or (None) about the connection.

        With None, for an error that closes the connection, only `Send` and `Hangup` are executed. Without a `Hangup`
        the connection is then closed with the code of `frontend.protocols.close_codes`. An internal error in a session
        ends that session: `render` gets its last event.
        """
