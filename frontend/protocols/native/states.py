"""The native protocol on one connection: which message is allowed when, and the replies of the server.

Does no I/O and holds no session. Messages are `str` (JSON) or `bytes` (audio); replies are JSON bytes.
"""

import re
import time
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Any, Final

import orjson

from frontend.protocols.dialect import OneShot
from frontend.protocols.native.messages import KINDS
from shared.errors import UnknownTypeError, VoxtralError
from shared.events import EventType

BINARY: Final = "binary audio"
"""The kind of a message that is raw audio and has no type."""


class State(Enum):
    """The state of the connection's live session."""

    IDLE = auto()
    """There is no session."""
    LIVE = auto()
    FINISHING = auto()
    """`stop` was received, `done` has not been sent."""
    OVER = auto()
    """The session was rejected or has failed. Messages that its client sent before it knew are ignored without an
    error."""


class Move(Enum):
    """A change of the state of a session."""

    OPENED = auto()
    REFUSED = auto()
    STOPPED = auto()
    DONE = auto()
    FAILED = auto()
    CANCELLED = auto()


class Verdict(Enum):
    ACCEPT = auto()
    WAIT = auto()
    """It is executed when the session has finished."""
    IGNORE = auto()
    REFUSE = auto()


_ALWAYS: Final = frozenset({"ping", "status"})
_REQUESTS: Final = _ALWAYS | {"auth", "audio", "voice", "start", "resume"}
_AUDIO: Final = frozenset({BINARY, "chunk"})
_OF_A_SESSION: Final = _AUDIO | {"commit", "configure", "stop", "cancel"}

ACCEPTED: Final[Mapping[State, frozenset[str]]] = {
    State.IDLE: _REQUESTS,
    State.LIVE: _ALWAYS | _OF_A_SESSION,
    State.FINISHING: _ALWAYS | {"cancel"},
    State.OVER: _REQUESTS,
}
WAITING: Final = frozenset({"audio", "voice", "start", "resume"})
"""While a session finishes, these wait for its end, and later messages wait too."""
IGNORED: Final[Mapping[State, frozenset[str]]] = {
    State.IDLE: frozenset({"cancel"}),  # it crossed with `done`
    State.LIVE: frozenset(),
    State.FINISHING: frozenset({"stop", "commit"}),
    State.OVER: _OF_A_SESSION,
}
MOVES: Final[Mapping[tuple[State, Move], State]] = {
    (State.IDLE, Move.OPENED): State.LIVE,
    (State.OVER, Move.OPENED): State.LIVE,
    (State.IDLE, Move.REFUSED): State.OVER,
    (State.OVER, Move.REFUSED): State.OVER,
    (State.LIVE, Move.STOPPED): State.FINISHING,
    (State.LIVE, Move.DONE): State.OVER,  # resumed after its `stop`
    (State.FINISHING, Move.DONE): State.IDLE,
    (State.LIVE, Move.FAILED): State.OVER,
    (State.FINISHING, Move.FAILED): State.OVER,
    (State.LIVE, Move.CANCELLED): State.IDLE,
    (State.FINISHING, Move.CANCELLED): State.IDLE,
}
_SITUATION: Final = {
    State.IDLE: "no session is live",
    State.LIVE: "a session is live",
    State.FINISHING: "the session is finishing",
    State.OVER: "no session is live",
}


class NativeProtocol:
    """The state of one connection."""

    def __init__(self) -> None:
        self.state = State.IDLE
        self._has_refused_audio = False

    def must_wait(self, kind: str) -> bool:
        """Whether a message of this kind must wait until the finishing session has ended."""
        return verdict_on(self.state, kind) is Verdict.WAIT

    def admit(self, kind: str) -> bool:
        """Whether to execute a message of this kind (`BINARY`, or its type); False ignores it.

        Raises UnknownTypeError that names the expected messages; for audio only once, because much of it may follow.
        """
        if kind in ACCEPTED[self.state]:  # first, because it is asked for every piece of audio
            return True
        if verdict_on(self.state, kind) is Verdict.REFUSE:
            if kind in _AUDIO and self._has_refused_audio:
                return False
            self._has_refused_audio = kind in _AUDIO
            expected = ", ".join(name for name in (BINARY, *KINDS) if name in ACCEPTED[self.state])
            raise UnknownTypeError(f"{kind} was sent while {_SITUATION[self.state]}; expected now: {expected}.")
        return False

    def move(self, move: Move) -> None:
        """Record a change of the session."""
        assert (self.state, move) in MOVES, f"{move} in {self.state}"
        self.state = MOVES[self.state, move]
        self._has_refused_audio = False


def verdict_on(state: State, kind: str) -> Verdict:
    if kind in ACCEPTED[state]:
        return Verdict.ACCEPT
    if state is State.FINISHING and kind in WAITING:
        return Verdict.WAIT
    return Verdict.IGNORE if kind in IGNORED[state] else Verdict.REFUSE


_JSON_OBJECT_START: Final = re.compile(r'\{[ \t\r\n]*["}]')


def looks_like_json(text: str) -> bool:
    """Whether this can be the beginning of a JSON object.

    On TCP, a short piece of audio may look like text (`framing`). While audio is expected, text that fails here is
    audio; otherwise it is a client's mistake.
    """
    return _JSON_OBJECT_START.match(text) is not None


def response(
    request: OneShot,
    *,
    model: str,
    text: str,
    processing_ms: float,
    audio_ms: float,
    warnings: Sequence[dict[str, Any]] = (),
    segments: Sequence[dict[str, Any]] | None = None,
) -> bytes:
    """The reply to a one-shot request. `warnings` report faults of the recording, and options without effect.

    `segments` are the turns of the speakers, if they are requested.
    """
    return _encoded(
        {
            "type": "response",
            "mode": request.options.mode,
            "model": model,
            "text": text,
            "processing_time_ms": round(processing_ms, 1),
            "audio_duration_ms": round(audio_ms, 1),
            "timestamp": time.time(),
            **({} if segments is None else {"segments": list(segments)}),
            **({"warnings": list(warnings)} if warnings else {}),
        },
        request.request_id,
    )


def streamed(event: dict[str, Any], request_id: str | int | None) -> bytes:
    """An event that is sent before the reply to a one-shot request."""
    return _encoded(event, request_id)


def refusal(event: dict[str, Any], request_id: str | int | None) -> bytes:
    """The reply to a one-shot request whose session ended with this error event."""
    return error_message(VoxtralError.from_wire(event), request_id=request_id)


def pong(request_id: str | int | None) -> bytes:
    return _encoded({"type": "pong", "timestamp": time.time()}, request_id)


def authorized(request_id: str | int | None) -> bytes:
    """The reply to a valid key."""
    return _encoded({"type": "authorized"}, request_id)


def voice(embedding: str, request_id: str | int | None) -> bytes:
    """The reply with the embedding of a voice."""
    return _encoded({"type": "voice", "embedding": embedding}, request_id)


def status(facts: dict[str, Any], request_id: str | int | None) -> bytes:
    return _encoded({"type": "status", **facts}, request_id)


def error_message(error: VoxtralError, *, request_id: str | int | None = None, session_id: str | None = None) -> bytes:
    """The message for an error; all errors become JSON here."""
    wire: dict[str, Any] = {"type": EventType.ERROR, **error.to_wire()}
    if session_id is not None:
        wire["session_id"] = session_id
    return _encoded(wire, request_id)


def _encoded(wire: dict[str, Any], request_id: str | int | None) -> bytes:
    return orjson.dumps(wire if request_id is None else wire | {"id": request_id})
