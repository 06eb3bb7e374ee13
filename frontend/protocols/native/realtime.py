"""The native protocol as a dialect: the actions of each message, and the replies to its client.

`messages` knows the fields, `states` when each message is allowed. Does no I/O.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from frontend.access.strangers import KEY_FIRST
from frontend.protocols.dialect import (
    Action,
    Append,
    AwaitEnd,
    Cancel,
    Change,
    Finish,
    Identify,
    Open,
    Resume,
    Send,
)
from frontend.protocols.json_objects import decode_message
from frontend.protocols.long_text import LongMessage, Message
from frontend.protocols.native import states as native
from frontend.protocols.native.messages import Ping, parse_message, request_id_of
from frontend.protocols.native.states import BINARY, Move, NativeProtocol, State
from shared.audio.live import UnsupportedStreamError
from shared.bus.event_log import LoggedEvent
from shared.config.sections import AudioSettings
from shared.errors import InvalidJsonError, UnauthorizedError, VoxtralError
from shared.events import EventType

_OF_STATES: Final = frozenset({EventType.READY, EventType.DONE, EventType.ERROR})
ALLOWED_WITHOUT_KEY: Final = ("auth", "ping")


class NativeRealtime:
    """A `dialect.Dialect`. `defaults` gives the format of raw audio if the client does not."""

    quiet_s = 0.0
    linger_s = 0.0
    """The transports of its own ports read the rest by themselves while they close."""
    resumes = True

    def __init__(self, defaults: AudioSettings, *, guesses_text: bool = False, needs_key: bool = False) -> None:
        """`guesses_text`: whether `str` may be audio (see `framing`). `needs_key`: whether `auth` must come first."""
        self._defaults = defaults
        self._guesses_text = guesses_text
        self._needs_key = needs_key
        self._states = NativeProtocol()
        self._session_id: str | None = None
        """The session of this connection."""
        self._is_stream_rejected = False
        """Whether the client knows that its audio cannot be decoded. The error is sent once."""
        self._request_id: str | int | None = None
        """The id of the last text message, which may still be being executed."""
        self._is_audio = False
        """Whether the message that is being executed is audio."""
        self._undo: Callable[[], None] = _nothing

    def greet(self) -> Iterable[Action]:
        return ()

    def receive(self, message: Message) -> Iterable[Action]:
        if isinstance(message, bytes):
            return self._audio(BINARY, message)
        self._request_id, self._is_audio, self._undo = None, False, _nothing
        wire = self._decoded(message)
        if wire is None:
            assert isinstance(message, str)
            return self._audio(BINARY, message.encode())
        self._request_id = request_id_of(wire)
        if self._needs_key and wire.get("type") not in ALLOWED_WITHOUT_KEY:
            raise UnauthorizedError(KEY_FIRST)
        action, kind = parse_message(wire, self._defaults), wire["type"]
        if isinstance(action, Append):
            return self._audio(kind, action.audio)
        if self._states.must_wait(kind):
            return (AwaitEnd(), *self._actions(action))
        return self._actions(action) if self._states.admit(kind) else ()

    def render(self, event: LoggedEvent) -> Iterable[Action]:
        if event.type in _OF_STATES:
            self._note(event)
        return (Send(event.raw),)

    def refuse(self, error: VoxtralError, message: Message | None) -> Iterable[Action]:
        if message is None:
            return (Send(native.error_message(error)),)
        if isinstance(message, bytes):
            request_id = None
        else:
            request_id = self._request_id
            self._undo()
        if isinstance(error, UnsupportedStreamError) and self._is_audio:
            if self._is_stream_rejected:
                return ()
            self._is_stream_rejected = True
        return (Send(native.error_message(error, request_id=request_id, session_id=self._session_id)),)

    def _note(self, event: LoggedEvent) -> None:
        match event.type:
            case EventType.READY if "resume_token" in event.wire:  # the log has a `ready` without it
                self._states.move(Move.OPENED)
                self._session_id, self._is_stream_rejected = event.wire["session_id"], False
                self._undo = _nothing
            case EventType.DONE:
                self._end_session(Move.DONE)
            case EventType.ERROR:
                self._end_session(Move.FAILED)

    def _decoded(self, message: str | LongMessage) -> dict[str, Any] | None:
        """The JSON object of a text message; None if it is audio that looked like text."""
        try:
            return decode_message(message)
        except InvalidJsonError:
            may_be_audio = self._guesses_text and self._states.state is State.LIVE
            if may_be_audio and isinstance(message, str) and not native.looks_like_json(message):
                return None
            raise

    def _audio(self, kind: str, audio: bytes) -> Iterable[Action]:
        self._is_audio = True
        return (Append(audio),) if self._states.admit(kind) and audio else ()

    def _actions(self, action: Action | Ping) -> Iterable[Action]:
        match action:
            case Ping():
                return (Send(native.pong(action.request_id)),)
            case Identify():
                return self._identify(action)
            case Open() | Resume():  # audio that follows is ignored if no session is opened
                self._undo = lambda: self._states.move(Move.REFUSED)
            case Change():
                self._change(action)
            case Finish():
                self._states.move(Move.STOPPED)
            case Cancel():
                self._end_session(Move.CANCELLED)
        return (action,)

    def _identify(self, action: Identify) -> Iterable[Action]:
        before = self._needs_key
        self._needs_key = False

        def undo() -> None:
            self._needs_key = before

        self._undo = undo
        return action, Send(native.authorized(self._request_id))

    def _change(self, action: Change) -> None:
        """Another format may be one that can be decoded."""
        was_rejected = self._is_stream_rejected

        def undo() -> None:
            self._is_stream_rejected = was_rejected

        if action.audio_changes:
            self._is_stream_rejected = False
            self._undo = undo

    def _end_session(self, move: Move) -> None:
        self._states.move(move)
        self._session_id = None


def _nothing() -> None:
    """The undo of a message that has changed nothing."""
