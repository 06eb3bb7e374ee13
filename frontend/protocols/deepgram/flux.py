"""Deepgram's Flux, `WS /v2/listen`: audio in, the turns of a conversation out. No I/O.

One connection is one session, which begins with the first audio. `TurnInfo` reports the turn that is being spoken:
`StartOfTurn` with its first text, `Update` with each further one, `EndOfTurn` when our turn detection ends it, and,
if the client sets `eager_eot_threshold`, `EagerEndOfTurn` and `TurnResumed` before that.
"""

from collections.abc import Iterable
from dataclasses import replace
from enum import Enum, auto
from typing import Any, Final

from frontend.protocols.deepgram.configure import configure_failure
from frontend.protocols.deepgram.flux_query import FluxListen, configured
from frontend.protocols.deepgram.flux_turn import FluxTurn
from frontend.protocols.dialect import Action, Append, Change, Check, Commit, Finish, Hangup, Open, Send
from frontend.protocols.long_text import Message
from frontend.protocols.native.messages import decode_message
from shared.bus.event_log import LoggedEvent
from shared.errors import (
    InternalError,
    InvalidAudioError,
    InvalidJsonError,
    UnknownTypeError,
    UnsupportedAudioError,
    VoxtralError,
    shown,
)
from shared.events import EventType
from voxtral_client.events import Final as Segment
from voxtral_client.events import Partial

CONTROLS: Final = ("Configure", "ForceEndTurn", "CloseStream")
TRIGGERS: Final = {"finished": "model", "silence": "timeout", "commit": "manual"}
"""Flux's name for each reason of `turn_ended`."""
CLOSED: Final = "close_stream"
NO_SPEECH: Final = "no_speech"
TOO_LONG: Final = "too_long"
"""Triggers of our own: the client has ended its audio; what began a turn was no speech; see `FluxTurn.is_full`."""
BAD_AUDIO: Final = (InvalidAudioError.code, UnsupportedAudioError.code)


class Stage(Enum):
    READY = auto()
    """No audio has been received."""
    LIVE = auto()
    """The first audio has requested a session."""
    ENDING = auto()
    OVER = auto()


class DeepgramFlux:
    """Implements `dialect.Dialect`."""

    quiet_s = 0.0
    linger_s = 1.0
    resumes = False

    def __init__(self, request_id: str, wanted: FluxListen) -> None:
        self._request_id = request_id
        self._wanted = self._before = wanted
        """What the client wants now, and before its last message: a rejected message changes nothing."""
        self._is_configuring = False
        """Whether that message was `Configure`."""
        self._stage = Stage.READY
        self._sent = 0
        self._turn = FluxTurn(0, 0.0)
        self._may_have_ended = False
        """Whether an early end was reported for this turn, even if the client was not notified."""

    def greet(self) -> Iterable[Action]:
        return [Check(self._wanted.options), self._message("Connected")]

    def receive(self, message: Message) -> Iterable[Action]:
        self._before, self._is_configuring = self._wanted, False
        if self._stage in (Stage.ENDING, Stage.OVER):
            return []
        if isinstance(message, bytes):
            return self._audio(message)
        control = decode_message(message)
        match control.get("type"):
            case "Configure":
                return self._configure(control)
            case "ForceEndTurn":
                return [Commit()] if self._stage is Stage.LIVE else []
            case "CloseStream":
                return self._close()
        kind = shown(control.get("type"))
        raise UnknownTypeError(f"type is {kind}; allowed: {', '.join(CONTROLS)}; audio is sent in binary messages.")

    def render(self, event: LoggedEvent) -> Iterable[Action]:
        wire = event.wire
        actions: list[Action] = []
        match event.type:
            case EventType.PARTIAL:
                actions = self._said(Partial.from_wire(wire))
            case EventType.FINAL:
                actions = self._said(Segment.from_wire(wire))
            case EventType.TURN_ENDED_EARLY:
                actions = self._eager(wire)
            case EventType.TURN_RESUMED:
                actions = self._resumed(wire)
            case EventType.TURN_ENDED:
                self._judge(wire)
                is_close = wire["reason"] == "commit" and self._stage is Stage.ENDING
                actions = self._ended(CLOSED if is_close else TRIGGERS.get(wire["reason"], wire["reason"]))
            case EventType.WARNING:
                actions = [self._message("Warning", code=wire["code"].upper(), description=wire["message"])]
            case EventType.DONE:
                self._stage = Stage.OVER
                actions = [*self._ended(CLOSED), Hangup(1000, "")]
            case EventType.ERROR:
                actions = self._fatal(VoxtralError.from_wire(wire))
        return actions

    def refuse(self, error: VoxtralError, message: Message | None) -> Iterable[Action]:
        if message is None or isinstance(message, bytes):
            return self._fatal(error)
        self._wanted = self._before
        if self._is_configuring:
            failure = configure_failure(error)
            return [self._message(failure.pop("type"), **failure)]
        if isinstance(error, UnknownTypeError | InvalidJsonError):
            return [self._message("Warning", code=error.code.upper(), description=error.message)]
        return self._fatal(error)

    def _audio(self, audio: bytes) -> list[Action]:
        if not audio:
            return []
        if self._stage is Stage.LIVE:
            return [Append(audio)]
        self._stage = Stage.LIVE
        return [Open(self._wanted.options, self._wanted.audio_format), Append(audio)]

    def _close(self) -> list[Action]:
        if self._stage is Stage.READY:
            self._stage = Stage.OVER
            return [Hangup(1000, "")]
        self._stage = Stage.ENDING
        return [Finish()]

    def _configure(self, control: dict[str, Any]) -> list[Action]:
        self._is_configuring = True
        changes = configured(control, self._wanted)
        self._wanted = replace(self._wanted, options=replace(self._wanted.options, **changes))
        options = self._wanted.options
        fields: dict[str, Any] = {
            "thresholds": self._wanted.thresholds,
            "keyterms": [one.term for one in options.keyterms or ()],
            "numerals": bool(options.numerals),
            **({"language_hints": list(options.languages)} if options.languages else {}),
        }
        apply = Change(changes) if self._stage is Stage.LIVE else Check(options)
        return [apply, self._message("ConfigureSuccess", **fields)]

    def _said(self, said: Partial | Segment) -> list[Action]:
        self._turn.hear(said)
        is_final = isinstance(said, Segment)
        if not self._turn.text:
            return self._ended(NO_SPEECH) if is_final and not self._may_have_ended else []
        if not self._turn.is_started:
            self._turn.is_started = True
            return [self._turn_info("StartOfTurn")]
        if not is_final:
            return [self._turn_info("Update")]
        return self._ended(TOO_LONG) if self._turn.is_full else []

    def _eager(self, wire: dict[str, Any]) -> list[Action]:
        """Flux never sends `EagerEndOfTurn` without text, so there is none before a model has written any."""
        self._may_have_ended = True
        self._judge(wire)
        if not self._turn.text or self._turn.is_ending:
            return []
        self._turn.is_ending = True
        return [self._turn_info("EagerEndOfTurn")]

    def _judge(self, wire: dict[str, Any]) -> None:
        """The probability that the speaker has finished, and the end of the audio that was heard for it."""
        self._turn.confidence = wire.get("probability", 0.0)
        self._turn.reach(wire.get("decided_at", wire["end"]))

    def _resumed(self, wire: dict[str, Any]) -> list[Action]:
        self._turn.confidence = 0.0
        self._turn.reach(wire["start"])
        if not self._turn.is_ending:
            return []
        self._turn.is_ending = False
        return [self._turn_info("TurnResumed")]

    def _ended(self, trigger: str) -> list[Action]:
        """The end of a turn, unless the client has never heard of it."""
        self._turn.settle()
        self._may_have_ended = False
        if not self._turn.is_started:
            self._turn.confidence = 0.0
            return []
        told = self._turn_info("EndOfTurn", trigger=trigger)
        self._turn = self._turn.next()
        return [told]

    def _turn_info(self, event: str, **more: str) -> Send:
        about: dict[str, Any] = {"event": event, **self._turn.fields(), **more}
        if self._wanted.is_multilingual and (found := self._turn.languages):
            about["languages"] = found
        if self._wanted.options.languages:
            about["languages_hinted"] = list(self._wanted.options.languages)
        return self._message("TurnInfo", **about)

    def _message(self, kind: str, **fields: Any) -> Send:
        """Numbered when it is sent: actions before it may fail, or take a while."""

        def numbered() -> dict[str, Any]:
            number = self._sent
            self._sent += 1
            return {"type": kind, "request_id": self._request_id, "sequence_id": number, **fields}

        return Send(numbered)

    def _fatal(self, error: VoxtralError) -> list[Action]:
        """The error, and the close with its code: 1008 for audio that cannot be decoded, 1011 for all others."""
        if self._stage is Stage.OVER:
            return [Hangup(1000, "")]
        self._stage = Stage.OVER
        code = "INTERNAL_SERVER_ERROR" if error.code == InternalError.code else error.code.upper()
        told = self._message("Error", code=code, description=error.message)
        return [told, Hangup(1008 if error.code in BAD_AUDIO else 1011, code)]
