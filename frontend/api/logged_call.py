"""Logs what happens to the stream of a call. Telephone services show none of it to their users."""

from collections.abc import Iterable

import structlog

from frontend.protocols.dialect import Action
from frontend.protocols.long_text import Message
from frontend.protocols.telephony.call_stream import CallStream
from shared.bus.event_log import LoggedEvent
from shared.config.sections import ForeignProtocol
from shared.errors import VoxtralError
from shared.events import EventType

log = structlog.get_logger(__name__)


class LoggedCall:
    """A `dialect.Dialect`, around that of the stream. Its lines have the ids that the service gave the call."""

    quiet_s = CallStream.quiet_s
    linger_s = CallStream.linger_s
    resumes = CallStream.resumes

    def __init__(self, stream: CallStream, service: ForeignProtocol) -> None:
        self._stream = stream
        self._service = service

    def greet(self) -> Iterable[Action]:
        return self._stream.greet()

    def receive(self, message: Message) -> Iterable[Action]:
        return self._stream.receive(message)

    def render(self, event: LoggedEvent) -> Iterable[Action]:
        if event.type == EventType.READY:
            log.info("call_started", session_id=event.wire["session_id"], **self._ids())
        elif event.type == EventType.ERROR:
            self._warn(VoxtralError.from_wire(event.wire))
        return self._stream.render(event)

    def refuse(self, error: VoxtralError, message: Message | None) -> Iterable[Action]:
        if self._stream.call is not None:
            error.rename(self._stream.call.names)
        self._warn(error)
        return self._stream.refuse(error, message)

    def _warn(self, error: VoxtralError) -> None:
        log.warning("call_failed", code=error.code, reason=error.message, **self._ids())

    def _ids(self) -> dict[str, str | None]:
        call = self._stream.call
        if call is None:
            return {"service": self._service.value}
        return {"service": self._service.value, "call_id": call.call_id, "stream_id": call.stream_id}
