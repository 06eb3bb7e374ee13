"""What live transcription of `/v1/listen` and `/v2/listen` has in common: audio and control messages in. No I/O.

One connection is one session, which begins with the first audio. `Configure` changes what the client wants.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import Enum, auto
from typing import Any, ClassVar, Final, Generic, TypeVar

from frontend.protocols.deepgram.flux_query import FluxListen
from frontend.protocols.deepgram.query import Listen
from frontend.protocols.dialect import Action, Append, Change, Check, Finish, Hangup, Open
from frontend.protocols.error_statuses import is_of_request
from frontend.protocols.json_objects import decode_message
from frontend.protocols.long_text import Message
from shared.errors import UnknownTypeError, VoxtralError, shown

REQUEST_CLOSE: Final = 1008
FAILED_CLOSE: Final = 1011

Wanted = TypeVar("Wanted", Listen, FluxListen)


class Stage(Enum):
    READY = auto()
    """No audio has been received."""
    LIVE = auto()
    """The first audio has requested a session."""
    ENDING = auto()
    OVER = auto()


class DeepgramLive(ABC, Generic[Wanted]):
    """The part of a `dialect.Dialect` that both have."""

    quiet_s = 0.0
    linger_s = 1.0
    resumes = False
    controls: ClassVar[tuple[str, ...]]
    """The types of messages that a client may send."""

    def __init__(self, request_id: str, wanted: Wanted) -> None:
        self._request_id = request_id
        self._wanted: Wanted = wanted
        self._before: Wanted = wanted
        """What the client wants now, and before its last message: a rejected message changes nothing."""
        self._is_configuring = False
        """Whether that message was `Configure`."""
        self._stage = Stage.READY

    def receive(self, message: Message) -> Iterable[Action]:
        self._before, self._is_configuring = self._wanted, False
        if self._stage in (Stage.ENDING, Stage.OVER):
            return []
        if isinstance(message, bytes):
            return self._audio(message)
        control = decode_message(message)
        actions = self._control(control)
        if actions is None:
            kind = shown(control.get("type"))
            allowed = ", ".join(self.controls)
            raise UnknownTypeError(f"type is {kind}; allowed: {allowed}; audio is sent in binary messages.")
        return actions

    @abstractmethod
    def _audio(self, audio: bytes) -> list[Action]: ...

    @abstractmethod
    def _control(self, control: dict[str, Any]) -> list[Action] | None:
        """The actions of a message; None if its type is unknown."""

    @abstractmethod
    def _failed(self, error: VoxtralError, close_code: int) -> list[Action]:
        """The last actions after an error."""

    def _append(self, audio: bytes) -> list[Action]:
        if self._stage is Stage.LIVE:
            return [Append(audio)]
        self._stage = Stage.LIVE
        return [Open(self._wanted.options, self._wanted.audio_format), Append(audio)]

    def _close(self) -> list[Action]:
        if self._stage is Stage.READY:
            self._stage = Stage.OVER
            return [*self._unheard(), Hangup(1000, "")]
        self._stage = Stage.ENDING
        return [Finish()]

    def _unheard(self) -> list[Action]:
        """What a client gets that ends without audio, before the close."""
        return []

    def _apply(self, changes: Mapping[str, Any]) -> Action:
        """Change the options of the session, or (before it) check them."""
        options = replace(self._wanted.options, **changes)
        self._wanted = replace(self._wanted, options=options)
        return Change(dict(changes)) if self._stage is Stage.LIVE else Check(options)

    def _fatal(self, error: VoxtralError) -> list[Action]:
        """The error, and the close with its code: 1008 if the request caused it, otherwise 1011."""
        if self._stage is Stage.OVER:
            return [Hangup(1000, "")]
        self._stage = Stage.OVER
        return self._failed(error, REQUEST_CLOSE if is_of_request(error) else FAILED_CLOSE)
