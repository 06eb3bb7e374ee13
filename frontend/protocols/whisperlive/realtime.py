"""WhisperLive's WebSocket protocol. No I/O.

The first message of a client is a JSON object with its options, which is answered by `SERVER_READY`; all others are
audio, 32-bit floats at 16 kHz, until `END_OF_AUDIO`. Each answer lists the last segments: those that are `completed`,
and the open one. Clients send `END_OF_AUDIO` when no more text has come for a while, and then disconnect at once, so
the text of the last audio must not wait for it. A client that gets no slot receives `WAIT`, with the minutes to wait.
After an error the service closes the connection.
"""

from collections.abc import Iterable
from typing import Any
from typing import Final as Constant

from frontend.protocols.dialect import Action, Append, Finish, Hangup, Open, Send, UseProtocolKey
from frontend.protocols.json_objects import decode_message
from frontend.protocols.long_text import Message
from frontend.protocols.whisperlive.options import NAMES, Options, parse_options, uid_of
from shared.audio.pcm import AudioFormat
from shared.bus.event_log import LoggedEvent
from shared.config.sections import ForeignProtocol
from shared.errors import InvalidJsonError, RateLimitedError, ServerBusyError, UnknownTypeError, VoxtralError
from shared.events import EventType
from voxtral_client.events import Final, Partial, Speakers

FORMAT: Constant = AudioFormat("pcm_f32le", 16_000, 1)
END_OF_AUDIO: Constant = b"END_OF_AUDIO"
BACKEND: Constant = "faster_whisper"
"""Its clients keep the transcript only for this backend."""
WAIT_CODES: Constant = (ServerBusyError.code, RateLimitedError.code)
DEFAULT_WAIT_S: Constant = 60.0
COMMIT_AFTER_S: Constant = 1.0
"""Clients send a chunk every 0.26 s while they have audio, and wait at least some seconds for text after the last."""


class WhisperLive:
    """A `dialect.Dialect`."""

    quiet_s = 0.0
    linger_s = 1.0
    resumes = False

    def __init__(self) -> None:
        self._uid = ""
        self._options: Options | None = None
        """None before the first message."""
        self._is_ready = False
        self._language: str | None = None
        """The one that was detected and reported."""
        self._finals: list[Final] = []
        """The last ones with text."""
        self._open: Partial | Final | None = None
        self._last_open: str | None = None
        """The text of the last open segment that was sent. None before the first one."""

    def greet(self) -> Iterable[Action]:
        return ()

    def receive(self, message: Message) -> Iterable[Action]:
        if self._options is None:
            return self._begin(message)
        if not isinstance(message, bytes):
            raise UnknownTypeError("After the options, messages are audio, as 32-bit floats, or END_OF_AUDIO in bytes.")
        if message == END_OF_AUDIO:
            return [Finish()]
        return [Append(message)]

    def render(self, event: LoggedEvent) -> Iterable[Action]:
        wire = event.wire
        actions: list[Action] = []
        match event.type:
            case EventType.READY:
                self._is_ready = True
                actions = [self._told(message="SERVER_READY", backend=BACKEND), *self._warnings()]
            case EventType.PARTIAL:
                self._open = Partial.from_wire(wire)
                actions = self._segments()
            case EventType.FINAL:
                actions = self._close(Final.from_wire(wire))
            case EventType.SPEAKERS:
                Speakers.from_wire(wire).label(self._finals)
                actions = self._segments()
            case EventType.WARNING:
                actions = [self._told(status="WARNING", message=wire["message"])]
            case EventType.DONE:
                actions = [Hangup(1000, "")]
            case EventType.ERROR:
                actions = self._fatal(VoxtralError.from_wire(wire))
        return actions

    def refuse(self, error: VoxtralError, message: Message | None) -> Iterable[Action]:  # noqa: ARG002 -- all are fatal
        error.rename(NAMES)
        return self._fatal(error)

    def _begin(self, message: Message) -> list[Action]:
        if isinstance(message, bytes):
            raise InvalidJsonError("The first message is binary; it must be a JSON object with the options.")
        wire = decode_message(message)
        self._uid = uid_of(wire)
        self._options = parse_options(wire)
        wanted = Open(self._options.session, FORMAT, commit_after_s=COMMIT_AFTER_S)
        return [UseProtocolKey(ForeignProtocol.WHISPERLIVE), wanted]

    def _warnings(self) -> list[Action]:
        assert self._options is not None
        if not self._options.asks_for_translation:
            return []
        return [self._told(status="WARNING", message="enable_translation has no effect; task translate is supported.")]

    def _close(self, final: Final) -> list[Action]:
        assert self._options is not None
        self._open = None
        if not final.text:
            return []
        actions = self._detected(final.language)
        if self._last_open not in (None, final.text):  # clients add this segment to their file if its text differs
            self._open = final
            actions += self._segments()
            self._open = None
        del self._finals[: -self._options.last_segments]
        self._finals.append(final)
        return [*actions, *self._segments()]

    def _detected(self, language: str | None) -> list[Action]:
        assert self._options is not None
        if language is None or language == self._language or self._options.session.language is not None:
            return []
        self._language = language
        return [self._told(language=language, language_prob=None)]  # models report none

    def _segments(self) -> list[Action]:
        assert self._options is not None
        segments = [_segment(final, completed=True) for final in self._finals]
        if self._open is not None and self._open.text:
            segments.append(_segment(self._open, completed=False))
            self._last_open = self._open.text
        return [self._told(segments=segments[-self._options.last_segments :])] if segments else []

    def _fatal(self, error: VoxtralError) -> list[Action]:
        if error.code in WAIT_CODES and not self._is_ready:
            minutes = (error.retry_after_s or DEFAULT_WAIT_S) / 60
            return [self._told(status="WAIT", message=minutes), Hangup(1000, error.code)]
        return [self._told(status="ERROR", message=error.message), Hangup(1000, error.code)]

    def _told(self, **fields: Any) -> Send:
        return Send({"uid": self._uid, **fields})


def _segment(spoken: Final | Partial, *, completed: bool) -> dict[str, Any]:
    """Times are strings, and texts begin with a space: clients join them without one."""
    segment: dict[str, Any] = {
        "start": f"{spoken.start:.3f}",
        "end": f"{spoken.end:.3f}",
        "text": f" {spoken.text}",
        "completed": completed,
    }
    if isinstance(spoken, Final):
        if spoken.speaker is not None:
            segment["speaker"] = spoken.speaker
        if spoken.words:
            segment["words"] = [
                {"word": f" {word.text}", "start": word.start, "end": word.end, "probability": word.confidence}
                for word in spoken.words
            ]
    return segment
