"""Two dialects at one address: OpenAI's, and the one that vLLM derived from it.

The connection's address, headers or subprotocols may identify the dialect; otherwise the client's first message does,
if it is a JSON object. Until then the greeting suits both, and errors are OpenAI's.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from frontend.access.credentials import SUBPROTOCOL
from frontend.protocols.dialect import Action, Dialect, Send
from frontend.protocols.json_objects import decode_message
from frontend.protocols.long_text import Message
from frontend.protocols.openai.realtime import BETA_UPDATE, OpenAIRealtime
from frontend.protocols.vllm import VllmRealtime, identity
from shared.bus.event_log import LoggedEvent
from shared.errors import InvalidFieldError, InvalidJsonError, VoxtralError

OPENAI = "openai"
OPENAI_BETA = "openai-beta"
VLLM = "vllm"
BETA_HEADER = "realtime=v1"
BETA_SUBPROTOCOL = "openai-beta.realtime-v1"


def realtime_dialect(
    query: Mapping[str, str],
    beta_header: str,
    subprotocols: Sequence[str],
    session: Mapping[str, Any] | None = None,
) -> Dialect:
    """The dialect of a connection. `session` is the session that its client token was made for, in OpenAI's format.

    Raises InvalidFieldError for an unknown `dialect` in the query, and RefusedError for an invalid session.
    """
    named = query.get("dialect")
    model = query.get("model") or None
    is_beta = BETA_HEADER in beta_header or BETA_SUBPROTOCOL in subprotocols
    if named == VLLM:
        return VllmRealtime()
    if named == OPENAI_BETA or (named is None and is_beta):
        return OpenAIRealtime(model, is_beta=True, session=session)
    if named == OPENAI or (
        named is None and (model or session is not None or "intent" in query or SUBPROTOCOL in subprotocols)
    ):
        return OpenAIRealtime(model, session=session)
    if named is not None:
        raise InvalidFieldError("dialect", named, f"{OPENAI}, {OPENAI_BETA}, {VLLM}")
    return UndecidedRealtime()


class UndecidedRealtime:
    """A `dialect.Dialect` that becomes one of the two with the first message that can be read."""

    quiet_s = OpenAIRealtime.quiet_s
    linger_s = OpenAIRealtime.linger_s
    resumes = False

    def __init__(self) -> None:
        self._openai = OpenAIRealtime()
        self._chosen: Dialect | None = None

    def greet(self) -> Iterable[Action]:
        for action in self._openai.greet():
            if isinstance(action, Send) and isinstance(action.message, dict):
                yield Send(identity() | action.message)
            else:
                yield action

    def receive(self, message: Message) -> Iterable[Action]:
        if self._chosen is None:
            self._chosen = self._openai if _is_openai(message) else VllmRealtime()
        return self._chosen.receive(message)

    def render(self, event: LoggedEvent) -> Iterable[Action]:
        return self._decided.render(event)

    def refuse(self, error: VoxtralError, message: Message | None) -> Iterable[Action]:
        return self._decided.refuse(error, message)

    @property
    def _decided(self) -> Dialect:
        return self._openai if self._chosen is None else self._chosen


def _is_openai(message: Message) -> bool:
    """Raises InvalidJsonError for a message of neither."""
    if isinstance(message, bytes):
        raise InvalidJsonError("Events are JSON text messages; this one is binary.")
    event = decode_message(message)
    return event.get("type") == BETA_UPDATE or (event.get("type") == "session.update" and "session" in event)
