"""OpenAI's Realtime API for transcription: its events, those of its beta, and the session actions for them.

Not supported: conversations, so `response.*` and items from clients are errors; a connection transcribes with one model
and in one format, both fixed by its first audio. Fields of `turn_detection` that a client sets decide where turns end;
engines decide if it sets none. `idle_timeout_ms` counts processed audio; `noise_reduction` has no effect. Logprobs come
with `completed`, one for each word, if the model reports probabilities. If channels are separate, each has its own
items. With speakers, `segment` tells who spoke each turn, as soon as it is known; it may follow `completed`. Warnings
of a session are not sent: clients treat any `error` as the end.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from frontend.protocols.base64_audio import BASE64, decode_audio
from frontend.protocols.dialect import Action, Append, Check, Commit, Configure, Hangup, Open, Send
from frontend.protocols.json_objects import decode_message
from frontend.protocols.long_text import LongText, Message
from frontend.protocols.openai.channel_turns import ChannelTurns
from frontend.protocols.openai.errors import (
    TRY_AGAIN_CLOSE,
    RefusedError,
    details,
    invalid_type,
    invalid_value,
    missing,
    wording_of,
)
from frontend.protocols.openai.session import SessionConfig, begun, flatly_updated, updated
from frontend.protocols.openai.turns import Wanted
from frontend.protocols.options import CHANNELS, WEBHOOK
from shared.bus.event_log import AUDIO_PROCESSED, LoggedEvent
from shared.errors import InvalidAudioError, SessionExpiredError, VoxtralError, shown
from shared.events import EventType, seconds

SESSION_S: Final = 3600
"""The longest duration of a connection, as with OpenAI."""
MAX_AUDIO_CHARS: Final = 20 * 1024 * 1024
"""Of one append: 15 MiB of audio."""
MIN_COMMIT_MS: Final = 100
MAX_EVENT_ID_CHARS: Final = 512
BETA_UPDATE: Final = "transcription_session.update"
CLIENT_EVENTS: Final = (
    "session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    BETA_UPDATE,
)


class OpenAIRealtime:
    """A `dialect.Dialect`. `model` is the one in the connection's address, for sessions that name none.

    `session` is the initial session, in the format of an update. Raises RefusedError if it is invalid.
    """

    quiet_s = float(SESSION_S)
    linger_s = 1.0
    resumes = False

    def __init__(
        self,
        model: str | None = None,
        *,
        session: Mapping[str, Any] | None = None,
        is_beta: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._model = model
        self._is_beta = is_beta
        self._now = now
        self._expires_at_s = now() + SESSION_S
        self._id = f"sess_{secrets.token_hex(12)}"
        self._config = begun(session)
        self._turns = ChannelTurns()
        self._turns.is_beta = is_beta
        self._is_open = False
        self._received_s = 0.0
        """Audio of the whole connection."""
        self._buffer_start_s = 0.0
        """Where the audio begins that is neither committed nor cleared."""
        self._opening_at_s = 0.0
        """Where our session begins in the audio of the connection."""
        self._event_id: str | None = None
        """The client's id of the event that is being executed."""
        self._undo: Callable[[], None] = _nothing

    def greet(self) -> Iterable[Action]:
        yield self._session_event("created")

    def receive(self, message: Message) -> Iterable[Action]:
        self._event_id, self._undo = None, _nothing
        if isinstance(message, bytes):
            raise RefusedError("invalid_event", "Events are JSON text messages; this one is binary.")
        event = decode_message(message)
        self._event_id = _event_id(event)
        if self._now() >= self._expires_at_s:
            raise SessionExpiredError(f"The session has reached its longest duration of {SESSION_S // 60} minutes.")
        match event.get("type"):
            case None:
                raise RefusedError("invalid_event", "The event has no 'type'.", "type")
            case "session.update" | "transcription_session.update" as kind:
                return self._update(event, kind == BETA_UPDATE)
            case "input_audio_buffer.append":
                return self._append(event)
            case "input_audio_buffer.commit":
                return self._commit()
            case "input_audio_buffer.clear":
                return self._clear()
        kind = event["type"]
        raise RefusedError(
            "invalid_value",
            f"Invalid value for 'type': {shown(kind)}. Transcription sessions accept: {', '.join(CLIENT_EVENTS)}.",
            "type",
        )

    def render(self, event: LoggedEvent) -> Iterable[Action]:
        match event.type:
            case EventType.READY:
                self._begin_session()
            case EventType.ERROR:
                return self._lose_session(event.wire)
            case kind if kind == AUDIO_PROCESSED:
                return self._time_out(self._opening_at_s + seconds(event.wire["audio_processed_samples"]))
        self._turns.wanted = Wanted(
            by_rules=self._config.options(self._model).turn_detection is not None,
            logprobs=self._config.wants_logprobs,
            speakers=self._config.names_speakers(self._model),
        )
        return [self._said(told) for told in self._turns.take(event.wire, detects=self._detects)]

    def refuse(self, error: VoxtralError, message: Message | None) -> Iterable[Action]:
        param = error.field if isinstance(error, RefusedError) else self._param(error.field)
        told = details(error, param)
        if message is not None:
            self._undo()
        event_id = None if message is None else self._event_id
        yield self._said({"type": "error", "error": told | {"event_id": event_id}})
        close_code = wording_of(error).close_code
        keeps_session = message is not None and self._is_open and close_code == TRY_AGAIN_CLOSE
        if close_code is not None and not keeps_session:
            yield Hangup(close_code, f"{told['type']}.{told['code']}")

    @property
    def _detects(self) -> bool:
        """Whether the server detects the turns, or only the client's commits end them."""
        return self._config.turn_detection is not None

    def _update(self, event: dict[str, Any], is_beta_event: bool) -> list[Action]:
        if "session" not in event:
            raise missing("session")
        session = event["session"]
        is_flat = is_beta_event or (
            self._is_beta and isinstance(session, dict) and not {"type", "audio"} & session.keys()
        )
        before, was_beta = self._config, self._is_beta
        config = (flatly_updated if is_flat else updated)(before, session)
        self._check_fixed(before, config)
        self._config = config
        self._is_beta = self._turns.is_beta = self._is_beta or is_beta_event

        def undo() -> None:
            self._config = before
            self._is_beta = self._turns.is_beta = was_beta

        self._undo = undo
        options = config.options(self._model)
        actions: list[Action] = []
        if self._is_open and options != before.options(self._model):
            actions.append(Configure(options))
        elif not self._is_open and config.transcription is not None:
            actions.append(Check(options))
        return [*actions, self._session_event("updated")]

    def _check_fixed(self, before: SessionConfig, after: SessionConfig) -> None:
        """Raises RefusedError if the update changes a value that the audio so far has fixed."""
        if not self._is_open:
            return
        if after.audio_format != before.audio_format:
            raise RefusedError("invalid_parameter", _fixed("audio format"), self._path("format"))
        if _known(after) != _known(before):
            raise RefusedError(
                "invalid_parameter", _fixed("list of known speakers"), f"{self._path('transcription')}.known_speakers"
            )
        if _webhook(after) != _webhook(before):
            raise RefusedError("invalid_parameter", _fixed("webhook"), f"{self._path('transcription')}.webhook")
        if after.options(self._model).model != before.options(self._model).model:
            raise RefusedError("invalid_parameter", _fixed("model"), self._param("model"))

    def _append(self, event: dict[str, Any]) -> list[Action]:
        if event.get("audio") is None:
            raise missing("audio")
        audio = event["audio"]
        if not isinstance(audio, str | LongText):
            raise invalid_type(audio, "audio", "a string of base64")
        if (audio.size_bytes if isinstance(audio, LongText) else len(audio)) > MAX_AUDIO_CHARS:
            raise invalid_value(audio, "audio", "at most 15 MiB of audio")
        try:
            content = decode_audio(audio, "audio")
        except InvalidAudioError:
            raise invalid_value(audio, "audio", BASE64) from None
        if not content:
            return []
        before_s = self._received_s
        self._received_s += self._config.audio_format.duration_s(len(content))

        def undo() -> None:
            self._received_s = before_s

        self._undo = undo
        if self._is_open:
            return [Append(content)]
        self._opening_at_s = before_s
        return [Open(self._config.options(self._model), self._config.audio_format), Append(content)]

    def _begin_session(self) -> None:
        self._is_open = True
        self._turns.begin(self._config.channels)
        self._turns.start_s = self._buffer_start_s = self._opening_at_s

    def _commit(self) -> list[Action]:
        held_s = self._held_s
        if held_s * 1000 < MIN_COMMIT_MS:
            raise RefusedError(
                "input_audio_buffer_commit_empty",
                f"The input audio buffer has {held_s * 1000:.0f} ms of audio; a commit needs {MIN_COMMIT_MS} ms.",
            )
        self._buffer_start_s = self._received_s
        return [*map(self._said, self._turns.commit(held_s)), Commit()]

    def _clear(self) -> list[Action]:
        """Audio cannot be retracted: the engine ends its segment here, and later text of that segment is not sent.

        Audio that is too short for a commit is joined to the audio that follows: it contains no word.
        """
        actions: list[Action] = []
        if self._is_open and self._held_s * 1000 >= MIN_COMMIT_MS:
            self._turns.clear()
            actions.append(Commit())
        self._buffer_start_s = self._received_s
        return [*actions, self._said({"type": "input_audio_buffer.cleared"})]

    def _time_out(self, processed_s: float) -> list[Action]:
        """The client's timeout, if no speech has begun for so long in the audio that is processed."""
        timeout_s, start_s, end_s = self._config.idle_timeout_s, self._held_from_s, min(processed_s, self._received_s)
        if timeout_s is None or end_s - start_s < timeout_s or not self._turns.is_idle:
            return []
        return [self._said(told) for told in self._turns.time_out(start_s, end_s)]

    @property
    def _held_from_s(self) -> float:
        """Where the audio begins that is in no item and was not cleared."""
        return max(self._buffer_start_s, self._turns.detected_s)

    @property
    def _held_s(self) -> float:
        return self._received_s - self._held_from_s

    def _lose_session(self, wire: dict[str, Any]) -> list[Action]:
        """Our session has ended early; the next audio opens another one. An idle timeout is not reported."""
        self._is_open = False
        self._buffer_start_s = self._received_s
        told = {"type": "server_error", "code": wire["code"], "message": wire["message"], "param": None}
        actions: list[Action] = [self._said(failed) for failed in self._turns.fail(told)]
        if wire["code"] != "idle_timeout" or actions:
            actions.append(self._said({"type": "error", "error": told | {"event_id": None}}))
        return actions

    def _session_event(self, what: str) -> Send:
        owner = "transcription_session" if self._is_beta else "session"
        session = self._config.to_flat_wire() if self._is_beta else self._config.to_wire()
        return self._said(
            {
                "type": f"{owner}.{what}",
                "session": {"id": self._id, "expires_at": int(self._expires_at_s)} | session,
            }
        )

    @staticmethod
    def _said(event: dict[str, Any]) -> Send:
        return Send({"event_id": f"event_{secrets.token_hex(10)}"} | event)

    def _param(self, name: str | None) -> str | None:
        """The full path of an invalid option."""
        if name not in ("model", "language", "languages", "prompt", "diarize", "known_speakers", *CHANNELS, *WEBHOOK):
            return name
        if name == "model" and not (self._config.transcription or {}).get("model"):
            return "model"  # the one in the address
        return f"{self._path('transcription')}.{name}"

    def _path(self, name: str) -> str:
        if not self._is_beta:
            return f"session.audio.input.{name}"
        return f"session.input_audio_{name}"


def _event_id(event: dict[str, Any]) -> str | None:
    value = event.get("event_id")
    return value if isinstance(value, str) and len(value) <= MAX_EVENT_ID_CHARS else None


def _known(config: SessionConfig) -> Any:
    return (config.transcription or {}).get("known_speakers")


def _webhook(config: SessionConfig) -> list[Any]:
    return [(config.transcription or {}).get(name) for name in WEBHOOK]


def _fixed(what: str) -> str:
    return f"The {what} cannot be changed after audio has been appended; open another connection."


def _nothing() -> None:
    """The undo of a message that has changed nothing."""
