"""The native protocol and WhisperLive's at one address: the first message of a client decides.

WhisperLive's clients connect to a host and a port without a path. Their first message has a `uid` and no `type`, which
every native message has.
"""

from collections.abc import Iterable

from frontend.protocols.dialect import Action, Dialect
from frontend.protocols.json_objects import decode_message
from frontend.protocols.long_text import Message
from frontend.protocols.native.realtime import NativeRealtime
from frontend.protocols.whisperlive.realtime import WhisperLive
from shared.bus.event_log import LoggedEvent
from shared.errors import InvalidJsonError, VoxtralError


class NativeOrWhisperLive:
    """A `dialect.Dialect` that becomes one of the two with the first text message."""

    quiet_s = NativeRealtime.quiet_s

    def __init__(self, native: NativeRealtime) -> None:
        self._dialect: Dialect = native
        """The native one, until the first message is WhisperLive's."""
        self._is_decided = False
        self.linger_s, self.resumes = native.linger_s, native.resumes

    def greet(self) -> Iterable[Action]:
        return self._dialect.greet()

    def receive(self, message: Message) -> Iterable[Action]:
        if not self._is_decided:
            self._is_decided = True
            if _is_whisperlive(message):
                self._dialect = WhisperLive()
                self.linger_s, self.resumes = WhisperLive.linger_s, WhisperLive.resumes
        return self._dialect.receive(message)

    def render(self, event: LoggedEvent) -> Iterable[Action]:
        return self._dialect.render(event)

    def refuse(self, error: VoxtralError, message: Message | None) -> Iterable[Action]:
        return self._dialect.refuse(error, message)


def _is_whisperlive(message: Message) -> bool:
    if isinstance(message, bytes):
        return False
    try:
        wire = decode_message(message)
    except InvalidJsonError:
        return False
    return "uid" in wire and "type" not in wire
