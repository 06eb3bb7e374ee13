"""vLLM's realtime dialect: consecutive recordings over one connection, each between two commits.

The first commit starts a recording, one with `final` ends it. Audio is 16-bit PCM at 16 kHz. A client that never sends
`final` gets deltas as long as it sends audio. With our option `diarize`, `transcription.done` has `segments`. Errors
are strings, and do not end the connection.
"""

import math
import secrets
import time
from collections.abc import Iterable
from typing import Any
from typing import Final as Constant

from frontend.protocols.base64_audio import decode_audio
from frontend.protocols.deltas import TranscriptDeltas
from frontend.protocols.dialect import Action, Append, Check, Finish, Hangup, Open, Send
from frontend.protocols.fields import Fields
from frontend.protocols.json_objects import decode_message
from frontend.protocols.long_text import LongText, Message
from frontend.protocols.openai.usage import completion_usage
from frontend.protocols.options import MAX_MODEL_CHARS, SPEAKERS
from frontend.transcripts.turns import turn_fields
from shared.audio.pcm import AudioFormat
from shared.bus.event_log import LoggedEvent
from shared.errors import (
    InvalidAudioError,
    InvalidFieldError,
    InvalidJsonError,
    ModelUnavailableError,
    ServerBusyError,
    UnknownTypeError,
    VoxtralError,
    shown,
)
from shared.events import EventType, Usage
from shared.session_options import SessionOptions
from voxtral_client.events import Final, Revised, Speakers

FORMAT: Constant = AudioFormat("pcm_s16le", 16_000, 1)
TOKEN_S: Constant = 0.08
"""Audio that is one token for Voxtral."""
MAX_SEGMENTS: Constant = 2000
"""A `done` lists at most so many; for a longer recording it has only the text."""
CLIENT_EVENTS: Constant = ("session.update", "input_audio_buffer.append", "input_audio_buffer.commit")
CODES: Constant[dict[type[VoxtralError], str]] = {
    InvalidJsonError: "invalid_json",
    UnknownTypeError: "unknown_event",
    InvalidAudioError: "invalid_audio",
    InvalidFieldError: "invalid_event",
}
TRY_AGAIN: Constant = (ServerBusyError, ModelUnavailableError)
"""After these errors the connection is closed with 1013."""


class VllmRefusedError(VoxtralError):
    """An event at the wrong time, or with a missing part."""

    code = "invalid_field"

    def __init__(self, wire_code: str, message: str) -> None:
        super().__init__(message)
        self.wire_code = wire_code


class VllmRealtime:
    """A `dialect.Dialect`."""

    quiet_s = 0.0
    linger_s = 1.0
    resumes = False

    def __init__(self) -> None:
        self._options: SessionOptions | None = None
        """Set by the first accepted `session.update`."""
        self._before: SessionOptions | None = None
        self._is_open = False
        self._is_finishing = False
        self._deltas = TranscriptDeltas()
        self._finals: list[Final] = []
        """Of the current recording, if the client wants speakers."""
        self._counted = Usage(0, 0, truncated=False)
        self._received_bytes = 0

    def greet(self) -> Iterable[Action]:
        yield Send({"type": "session.created"} | identity())

    def receive(self, message: Message) -> Iterable[Action]:
        self._before = self._options
        if isinstance(message, bytes):
            raise InvalidJsonError("Events are JSON text messages; this one is binary.")
        event = decode_message(message)
        match event.get("type"):
            case "session.update":
                return self._update(event)
            case "input_audio_buffer.append":
                return self._append(event)
            case "input_audio_buffer.commit":
                return self._commit(Fields(event))
        kind = shown(event.get("type"))
        raise UnknownTypeError(f"Unknown event type: {kind}. Allowed: {', '.join(CLIENT_EVENTS)}.")

    def render(self, event: LoggedEvent) -> Iterable[Action]:
        match event.type:
            case EventType.READY:
                self._is_open, self._is_finishing = True, False
                self._deltas = TranscriptDeltas()
                self._counted = Usage(0, 0, truncated=False)
                self._finals = []
            case EventType.REVISED:
                Revised.from_wire(event.wire).put_into(self._finals)  # later labels are about its words
            case EventType.SPEAKERS:
                Speakers.from_wire(event.wire).label(self._finals)
            case EventType.PARTIAL | EventType.FINAL:
                self._counted += Usage.from_wire(event.wire.get("usage"))
                delta = self._deltas.hear(event.wire)
                if self._diarizes and event.type == EventType.FINAL and len(self._finals) <= MAX_SEGMENTS:
                    self._finals.append(Final.from_wire(event.wire))
                if delta:
                    yield Send({"type": "transcription.delta", "delta": delta})
            case EventType.DONE:
                self._is_open = False
                done = {"type": "transcription.done", "text": self._deltas.text, "usage": self._usage()}
                yield Send(done | ({"segments": turn_fields(self._finals)} if self._tells_segments else {}))
            case EventType.ERROR:
                self._is_open = False
                yield _error("processing_error", event.wire["message"])

    def refuse(self, error: VoxtralError, message: Message | None) -> Iterable[Action]:
        if message is not None:
            self._options = self._before
        if isinstance(error, VllmRefusedError):
            code = error.wire_code
        elif isinstance(error, InvalidFieldError) and error.field == "model":
            code = "model_not_found"
        else:
            code = CODES.get(type(error), "processing_error")
        yield _error(code, error.message)
        if isinstance(error, TRY_AGAIN) and (message is None or not self._is_open):
            yield Hangup(1013, error.code)

    def _update(self, event: dict[str, Any]) -> list[Action]:
        model = event.get("model")
        if not isinstance(model, str) or not 0 < len(model) <= MAX_MODEL_CHARS:
            raise VllmRefusedError("invalid_event", f"session.update requires a 'model'; this one has {shown(model)}.")
        fields = Fields(event)
        self._options = SessionOptions(
            language=fields.option("language"),
            prompt=fields.option("prompt"),
            words=bool(fields.option("diarize")),
            model=model,
            **{name: fields.option(name) for name in SPEAKERS},
        )
        return [Check(self._options)]

    @property
    def _diarizes(self) -> bool:
        return self._options is not None and bool(self._options.diarize)

    @property
    def _tells_segments(self) -> bool:
        """Clients reject messages over 1 MiB."""
        return self._diarizes and len(self._finals) <= MAX_SEGMENTS

    def _append(self, event: dict[str, Any]) -> list[Action]:
        audio = event.get("audio")
        if not isinstance(audio, str | LongText):
            raise InvalidAudioError(f"audio is {shown(audio)}; it must be a string of base64.")
        content = decode_audio(audio, "audio")
        if not content:
            raise InvalidAudioError("audio is empty; it must contain 16-bit samples.")
        opening = self._opening()
        self._received_bytes += len(content)
        return [*opening, Append(content)]

    def _commit(self, fields: Fields) -> list[Action]:
        if not fields.flag("final", default=False):
            return [] if self._is_open and not self._is_finishing else self._opening()
        if not self._is_open or self._is_finishing:
            return []
        self._is_finishing = True
        return [Finish()]

    def _opening(self) -> list[Action]:
        """The actions that open a session for the audio that follows. Raises VllmRefusedError."""
        if self._options is None:
            raise VllmRefusedError("model_not_validated", "Send session.update with a model first.")
        if self._is_open and self._is_finishing:
            raise VllmRefusedError("invalid_event", "The previous recording is not finished yet; wait for its done.")
        if self._is_open:
            return []
        self._received_bytes = 0
        return [Open(self._options, FORMAT)]

    def _usage(self) -> dict[str, int]:
        """If the model counts no tokens, as Voxtral would: one per 80 ms of audio, and about one per word."""
        if self._counted.prompt_tokens:
            return completion_usage(self._counted)
        tokens_of_audio = math.ceil(FORMAT.duration_s(self._received_bytes) / TOKEN_S)
        return completion_usage(Usage(tokens_of_audio, len(self._deltas.text.split()), truncated=False))


def identity() -> dict[str, Any]:
    """The fields of `session.created` besides its type."""
    return {"id": f"sess-{secrets.token_hex(12)}", "created": int(time.time())}


def _error(code: str, message: str) -> Send:
    return Send({"type": "error", "error": message, "code": code})
