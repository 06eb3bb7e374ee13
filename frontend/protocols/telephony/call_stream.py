"""The media streams of telephone services: the audio of a call, in JSON messages. No I/O.

A service sends `connected`, `start` with the call, `media` with a packet of one track each, and `stop`. Both tracks are
separate channels, `inbound` first. Nothing is sent back, because services accept nothing that is not for the call:
the text goes to viewers of the session. After an error the connection is closed.
"""

from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import Any, Final

from frontend.access.session_tokens import SessionIdentity
from frontend.protocols.base64_audio import decode_audio
from frontend.protocols.close_codes import CLOSE_CODES
from frontend.protocols.dialect import Action, Append, Finish, Hangup, Open
from frontend.protocols.json_objects import decode_message
from frontend.protocols.long_text import Message
from frontend.protocols.telephony.call import Call, object_field
from frontend.protocols.telephony.tracks import RATE_HZ, Tracks
from shared.audio.pcm import AudioFormat
from shared.bus.event_log import LoggedEvent
from shared.errors import InvalidFieldError, InvalidJsonError, UnknownTypeError, VoxtralError
from shared.events import EventType

MAX_TIME_CHARS: Final = 12
POLICY_VIOLATION: Final = 1008


class Stage(Enum):
    CONNECTED = auto()
    """`start` has not been received."""
    LIVE = auto()
    ENDING = auto()
    """The service has ended the audio."""


class CallStream:
    """A `dialect.Dialect`."""

    quiet_s = 0.0
    linger_s = 0.0
    resumes = False

    def __init__(
        self, parse_start: Callable[[dict[str, Any]], Call], identify: Callable[[str], SessionIdentity]
    ) -> None:
        """`parse_start` reads the `start` of the service; `identify` names the session of a stream."""
        self.call: Call | None = None
        """None before `start`."""
        self._parse_start = parse_start
        self._identify = identify
        self._stage = Stage.CONNECTED
        self._tracks: Tracks | None = None

    def greet(self) -> Iterable[Action]:
        return ()

    def receive(self, message: Message) -> Iterable[Action]:
        if isinstance(message, bytes):
            raise InvalidJsonError("The message is binary; messages are JSON text, with audio in base64.")
        wire = decode_message(message)
        match wire.get("event"):
            case "start":
                return self._start(wire)
            case "media":
                return self._media(object_field(wire, "media"))
            case "stop":
                return self.end()
        return ()  # connected, dtmf, mark, error, and what services may add

    def render(self, event: LoggedEvent) -> Iterable[Action]:
        match event.type:
            case EventType.DONE:
                return [Hangup(1000, "")]
            case EventType.ERROR:
                return _fatal(VoxtralError.from_wire(event.wire))
        return ()

    def refuse(self, error: VoxtralError, message: Message | None) -> Iterable[Action]:  # noqa: ARG002 -- all are fatal
        return _fatal(error)

    def end(self) -> list[Action]:
        """The actions at the end of the audio: after `stop`, or when the service has disconnected without it."""
        if self._tracks is None:
            return [Hangup(1000, "")]
        if self._stage is Stage.ENDING:
            return []
        self._stage = Stage.ENDING
        rest = self._tracks.rest()
        return [*([Append(rest)] if rest else []), Finish()]

    def _start(self, wire: dict[str, Any]) -> list[Action]:
        if self._stage is not Stage.CONNECTED:
            raise UnknownTypeError("start was sent twice.")
        call = self.call = self._parse_start(wire)
        self._stage = Stage.LIVE
        self._tracks = Tracks(call.tracks, call.encoding)
        count = len(call.tracks)
        audio_format = AudioFormat(call.encoding, RATE_HZ, count, separate=count > 1)
        return [Open(call.options, audio_format, identity=self._identify(call.stream_id))]

    def _media(self, media: dict[str, Any]) -> list[Action]:
        if self._stage is Stage.ENDING:
            return []
        if self._tracks is None or self.call is None:
            raise UnknownTypeError("media was sent before start.")
        name, payload = media.get("track"), media.get("payload")
        if name not in self.call.tracks:
            raise InvalidFieldError("media.track", name, f"{', '.join(self.call.tracks)}: the tracks of the stream")
        if not isinstance(payload, str):
            raise InvalidFieldError("media.payload", payload, "a string of base64")
        audio = self._tracks.feed(name, decode_audio(payload, "media.payload"), _time_ms(media.get("timestamp")))
        return [Append(audio)] if audio else []


def _time_ms(value: object) -> int | None:
    """Services send the number as a string. None if it is not one."""
    is_number = isinstance(value, int | str) and str(value).isascii() and str(value).isdecimal()
    return int(str(value)) if is_number and len(str(value)) <= MAX_TIME_CHARS else None


def _fatal(error: VoxtralError) -> list[Action]:
    return [Hangup(CLOSE_CODES.get(error.code, POLICY_VIOLATION), error.code)]
