"""What tests of the OpenAI dialect share: a client's side of it, judged by the types of OpenAI's own SDK."""

import base64
from collections.abc import Iterable
from typing import Any

import orjson
from openai.types.realtime import RealtimeServerEvent
from openai.types.realtime.realtime_transcription_session_create_response import (
    RealtimeTranscriptionSessionCreateResponse,
)
from pydantic import TypeAdapter

from frontend.protocols.dialect import Action, Dialect, Open, Send
from frontend.protocols.openai.realtime import OpenAIRealtime
from shared.bus.event_log import LoggedEvent
from shared.errors import VoxtralError

_SERVER_EVENT = TypeAdapter(RealtimeServerEvent)
_BETA_ONLY = ("transcription_session.", "conversation.item.created")


def judge(message: dict[str, Any]) -> dict[str, Any]:
    """A server event that the SDK's types accept to the letter; but for other rates of PCM, our extension."""
    if not message["type"].startswith(_BETA_ONLY):
        _SERVER_EVENT.validate_json(orjson.dumps(message).replace(b'"rate":16000', b'"rate":24000'))
    if message["type"].startswith("session."):
        session = orjson.dumps(message["session"]).replace(b'"rate":16000', b'"rate":24000')
        RealtimeTranscriptionSessionCreateResponse.model_validate_json(session)
    return message


class Wire:
    """Drives a dialect as `connections.connection` does, with a session of which the test says what it says."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.sent: list[dict[str, Any]] = []
        self.actions: list[Action] = []
        self.fails: dict[type, VoxtralError] = {}
        """What an action of this type ends in."""
        self._obey(dialect.greet(), None)

    def tell(self, **event: Any) -> list[dict[str, Any]]:
        return self.tell_text(orjson.dumps(event).decode())

    def tell_text(self, message: str | bytes) -> list[dict[str, Any]]:
        """What comes back at once."""
        before = len(self.sent)
        try:
            self._obey(list(self.dialect.receive(message)), message)
        except VoxtralError as error:
            self._obey(self.dialect.refuse(error, message), message)
        return self.sent[before:]

    def say(self, **event: Any) -> list[dict[str, Any]]:
        """The session says something."""
        before = len(self.sent)
        self._obey(self.dialect.render(LoggedEvent(orjson.dumps(event), event)), None)
        return self.sent[before:]

    def append(self, ms: int, rate_hz: int = 24_000) -> list[dict[str, Any]]:
        return self.tell(type="input_audio_buffer.append", audio=silence(ms, rate_hz))

    def commit(self, **fields: Any) -> list[dict[str, Any]]:
        return self.tell(type="input_audio_buffer.commit", **fields)

    def taken(self, *kinds: type) -> list[Action]:
        return [action for action in self.actions if isinstance(action, kinds)]

    @staticmethod
    def judge(message: dict[str, Any]) -> dict[str, Any]:
        return judge(message)

    def _obey(self, actions: Iterable[Action], message: str | bytes | None) -> None:
        for action in actions:
            self.actions.append(action)
            if isinstance(action, Send):
                self.sent.append(self.judge(action.message))
            elif type(action) in self.fails:
                raise self.fails[type(action)]
            elif isinstance(action, Open):
                self.say(type="ready", model="echo")


def silence(ms: int, rate_hz: int = 24_000) -> str:
    return base64.b64encode(bytes(2 * rate_hz * ms // 1000)).decode()


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    """Their types, without what they have in common."""
    return [
        message["type"]
        .removeprefix("conversation.item.input_audio_transcription.")
        .removeprefix("conversation.")
        .removeprefix("input_audio_buffer.")
        for message in messages
    ]


def connected(**inputs: Any) -> Wire:
    """A client that has configured its session."""
    wire = Wire(OpenAIRealtime())
    answer = update(wire, **({"transcription": {"model": "echo"}} | inputs))
    assert kinds(answer) == ["session.updated"], answer
    return wire


def update(wire: Wire, **inputs: Any) -> list[dict[str, Any]]:
    session = {"type": "transcription", "audio": {"input": inputs}}
    return wire.tell(type="session.update", event_id="e1", session=session)


def error_of(answer: list[dict[str, Any]]) -> dict[str, Any]:
    [event] = answer
    assert event["type"] == "error"
    return event["error"]


def partial(wire: Wire, text: str, committed: str = "", segment: int = 0) -> list[dict[str, Any]]:
    told = {"committed": {"text": committed}} if committed else {}
    return wire.say(type="partial", segment=segment, text=text, start=0.0, end=1.0, **told)


def final(wire: Wire, text: str, segment: int = 0, start: float = 0.0, end: float = 1.0) -> list[dict[str, Any]]:
    return wire.say(type="final", segment=segment, text=text, start=start, end=end)
