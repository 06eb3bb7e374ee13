"""Mistral's realtime transcription API: its messages, and when each of them is allowed. No I/O.

Its clients configure the session before any audio, send audio, may `flush` to have all audio so far transcribed, and
`end`. One connection is one session. A client waits only for `transcription.done`, so each session has one.
"""

from collections.abc import Iterable
from enum import Enum, auto
from typing import Any, Final

from frontend.protocols.base64_audio import decode_audio
from frontend.protocols.deltas import DialogueDeltas, TranscriptDeltas
from frontend.protocols.dialect import Action, Append, Check, Commit, Finish, Hangup, Open, Send
from frontend.protocols.error_statuses import status_of
from frontend.protocols.json_objects import decode_message
from frontend.protocols.long_text import LongText, Message
from frontend.protocols.mistral.rest import chunks, usage
from frontend.protocols.mistral.session import NAMES, MistralSession
from frontend.transcripts.awaited_labels import AwaitedLabels
from shared.bus.event_log import LoggedEvent
from shared.errors import (
    InvalidAudioError,
    InvalidFieldError,
    InvalidJsonError,
    MissingFieldError,
    UnknownTypeError,
    VoxtralError,
    shown,
)
from shared.events import EventType, Usage
from voxtral_client.events import Final as Segment
from voxtral_client.events import Revised, Speakers

MAX_APPEND_BYTES: Final = 262_144
"""Audio in one message."""
MAX_SEGMENTS: Final = 2000
"""A `done` lists at most so many; clients reject messages over 1 MiB. For a longer session it has only the text."""
TURN_EVENTS: Final[dict[str, str]] = {
    EventType.SPEECH_STARTED: "turn.start",
    EventType.TURN_ENDED_EARLY: "turn.eager_end",
    EventType.TURN_RESUMED: "turn.resume",
    EventType.TURN_ENDED: "turn.end",
}
CLIENT_TYPES: Final = ("session.update", "input_audio.append", "input_audio.flush", "input_audio.end")


class Stage(Enum):
    SETUP = auto()
    """No audio has been received."""
    OPENING = auto()
    """The first audio has been received, which requests a session."""
    LIVE = auto()
    ENDING = auto()
    """The client has ended its audio; `done` has not been sent."""
    OVER = auto()


class MistralRealtime:
    """Implements `dialect.Dialect`. `request_id` is the id of the session, `model` the one that the client
    requested."""

    quiet_s = 0.0
    linger_s = 1.0
    resumes = False

    def __init__(self, request_id: str, model: str) -> None:
        self._stage = Stage.SETUP
        self._session = self._before = MistralSession(request_id, model)
        """The current one, and the one before the last message: a rejected message changes nothing."""
        self._model = model
        """In a live session, the name of the model that serves it."""
        self._deltas: TranscriptDeltas | DialogueDeltas = TranscriptDeltas()
        self._done_text = ""
        """The text of the last `done`."""
        self._language: str | None = None
        self._segments: list[dict[str, Any]] = []
        self._finals: list[Segment] = []
        """Instead of them if the client wants speakers, whose labels may change."""
        self._unnamed = AwaitedLabels()
        self._usage = Usage(0, 0, truncated=False)

    def greet(self) -> Iterable[Action]:
        return [Check(self._session.options), self._told_session("session.created")]

    def receive(self, message: Message) -> Iterable[Action]:
        self._before = self._session
        if isinstance(message, bytes):
            raise InvalidJsonError("The message is binary; messages are JSON text, with audio in base64.")
        wire = decode_message(message)
        kind = wire.get("type")
        if kind is None:
            raise MissingFieldError(f"The field type is missing; allowed: {', '.join(CLIENT_TYPES)}.")
        if kind not in CLIENT_TYPES:
            raise UnknownTypeError(f"type is {shown(kind)}; allowed: {', '.join(CLIENT_TYPES)}.")
        if self._stage in (Stage.ENDING, Stage.OVER):
            raise UnknownTypeError(f"{kind} was sent after the end of the audio; no more messages are expected.")
        match kind:
            case "session.update":
                return self._update(wire)
            case "input_audio.append":
                return self._append(wire)
            case "input_audio.flush":
                return [] if self._stage is Stage.SETUP else [Commit()]
            case _:
                return self._end()

    def render(self, event: LoggedEvent) -> Iterable[Action]:
        wire = event.wire
        actions: list[Action] = []
        match event.type:
            case EventType.READY:
                self._stage = Stage.LIVE
                self._model = wire["model"]
            case EventType.PARTIAL:
                actions = self._delta(wire)
            case EventType.FINAL:
                self._usage += Usage.from_wire(wire.get("usage"))
                actions = [*self._changed_language(wire), *self._delta(wire), *self._closed_segment(wire)]
            case EventType.SPEECH_STARTED | EventType.TURN_ENDED_EARLY | EventType.TURN_RESUMED | EventType.TURN_ENDED:
                actions = self._turn(event.type, wire)
            case EventType.REVISED if self._session.diarize:
                Revised.from_wire(wire).put_into(self._finals)  # later labels are about its words
            case EventType.SPEAKERS if self._session.diarize:
                said = Speakers.from_wire(wire)
                said.label(self._finals)
                actions = self._named(self._unnamed.label(said))
            case EventType.COMMITTED if self._stage is Stage.LIVE and self._deltas.text != self._done_text:
                actions = [self._done(wire["end"])]
            case EventType.WARNING:
                actions = self._named(self._unnamed.take(wire))
            case EventType.DONE:
                self._stage = Stage.OVER
                actions = [*self._named(self._unnamed.rest()), self._done(wire["duration"])]
            case EventType.ERROR:
                actions = self._fatal(VoxtralError.from_wire(wire))
        return actions

    def refuse(self, error: VoxtralError, message: Message | None) -> Iterable[Action]:
        self._session = self._before
        error.rename(NAMES)
        if message is None or self._stage is Stage.OPENING:
            return self._fatal(error)
        return [_error(error)]

    def _update(self, wire: dict[str, Any]) -> list[Action]:
        if self._stage is not Stage.SETUP:
            raise UnknownTypeError(
                f"Session fields cannot be changed after audio has started; allowed now: {', '.join(CLIENT_TYPES[1:])}."
            )
        self._session = self._session.updated(wire.get("session"))
        return [Check(self._session.options), self._told_session("session.updated")]

    def _append(self, wire: dict[str, Any]) -> list[Action]:
        audio = _audio(wire)
        if self._stage is not Stage.SETUP:
            return [Append(audio)]
        self._stage = Stage.OPENING
        if self._session.channels is not None:
            self._deltas = DialogueDeltas()
        return [Open(self._session.options, self._session.audio_format), Append(audio)]

    def _end(self) -> list[Action]:
        if self._stage is Stage.SETUP:
            self._stage = Stage.OVER
            return [self._done(0.0)]
        self._stage = Stage.ENDING
        return [Finish()]

    def _told_session(self, kind: str) -> Send:
        return Send({"type": kind, "session": self._session.to_wire()})

    def _turn(self, kind: str, wire: dict[str, Any]) -> list[Action]:
        if self._session.turns is None:
            return []
        told: dict[str, Any] = {"type": TURN_EVENTS[kind], "time_s": wire.get("start", wire.get("end"))}
        if kind == EventType.TURN_ENDED:
            told["end_reason"] = "timeout" if wire["reason"] == "silence" else "threshold"
        return [Send({**told, **_channel(wire)})]

    def _delta(self, wire: dict[str, Any]) -> list[Action]:
        text = self._deltas.hear(wire)
        return [Send({"type": "transcription.text.delta", "text": text})] if text else []

    def _changed_language(self, wire: dict[str, Any]) -> list[Action]:
        language = wire.get("language")
        if language is None or language == self._language or not wire["text"]:
            return []
        self._language = language
        return [Send({"type": "transcription.language", "audio_language": language})]

    def _closed_segment(self, wire: dict[str, Any]) -> list[Action]:
        if not wire["text"]:
            return []
        if self._session.diarize:
            final = Segment.from_wire(wire)
            if len(self._finals) <= MAX_SEGMENTS:
                self._finals.append(final)
            return self._named(self._unnamed.add(final))
        names = ("text", "start", "end", "language", "confidence", "channel")
        segment: dict[str, Any] = {name: wire[name] for name in names if name in wire}
        if len(self._segments) <= MAX_SEGMENTS:
            self._segments.append({"type": "transcription_segment", **segment})
        return [Send({"type": "transcription.segment", **segment})]

    @staticmethod
    def _named(finals: Iterable[Segment]) -> list[Action]:
        """Finals whose speakers are known, a segment for each turn."""
        turns = [chunk for final in finals for chunk in chunks(final, (), diarize=True)]
        return [Send({**turn, "type": "transcription.segment"}) for turn in turns]

    def _done(self, heard_s: float) -> Send:
        """All finals of the session so far, whether it has ended or not."""
        self._done_text = self._deltas.text
        message: dict[str, Any] = {
            "type": "transcription.done",
            "model": self._model,
            "text": self._done_text,
            "language": self._language,
            "usage": usage(self._usage, heard_s),
        }
        segments = [*self._segments, *(turn for final in self._finals for turn in chunks(final, (), diarize=True))]
        if max(len(self._finals), len(segments)) <= MAX_SEGMENTS:
            message["segments"] = segments
        return Send(message)

    def _fatal(self, error: VoxtralError) -> list[Action]:
        """Its clients treat any close code but 1000 and 1001 as one more failure, after the error that they receive."""
        if self._stage is Stage.OVER:
            return [Hangup(1000, "")]
        self._stage = Stage.OVER
        return [_error(error), Hangup(1000, error.code)]


def _channel(wire: dict[str, Any]) -> dict[str, Any]:
    """Our addition to an event, if channels are separate."""
    return {"channel": wire["channel"]} if "channel" in wire else {}


def _audio(wire: dict[str, Any]) -> bytes:
    encoded = wire.get("audio")
    if encoded is None:
        raise MissingFieldError("The field audio is missing; input_audio.append requires it.")
    if not isinstance(encoded, str | LongText):
        raise InvalidFieldError("audio", encoded, "a string of base64")
    audio = decode_audio(encoded, "audio")
    if len(audio) > MAX_APPEND_BYTES:
        raise InvalidAudioError(f"audio has {len(audio)} bytes; at most {MAX_APPEND_BYTES} are allowed in a message.")
    return audio


def _error(error: VoxtralError) -> Send:
    """Codes are whole numbers, as in HTTP; its clients cannot parse others."""
    known = status_of(error)
    code = 400 if known.code == "model_not_found" else known.status
    return Send({"type": "error", "error": {"message": error.message, "code": code}})
