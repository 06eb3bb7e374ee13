"""Deepgram's Flux, `WS /v2/listen`: audio in, the turns of a conversation out. No I/O.

`TurnInfo` reports the turn that is being spoken: `StartOfTurn` with its first text, `Update` with each further one,
`EndOfTurn` when our turn detection ends it, and, if the client sets `eager_eot_threshold`, `EagerEndOfTurn` and
`TurnResumed` before that.
"""

from collections.abc import Iterable
from typing import Any, Final

from frontend.protocols.deepgram.configure import configure_failure
from frontend.protocols.deepgram.flux_query import (
    CONFIGURED_LANGUAGES,
    HINTED_LANGUAGES,
    FluxListen,
    configured,
    no_english,
)
from frontend.protocols.deepgram.flux_turn import FluxTurn
from frontend.protocols.deepgram.live import DeepgramLive, Stage
from frontend.protocols.dialect import Action, Check, Commit, Hangup, Send
from frontend.protocols.long_text import Message
from shared.bus.event_log import LoggedEvent
from shared.errors import InternalError, InvalidJsonError, UnknownTypeError, VoxtralError
from shared.events import EventType
from voxtral_client.events import Final as Segment
from voxtral_client.events import Partial

TRIGGERS: Final = {"finished": "model", "silence": "timeout", "commit": "manual"}
"""Flux's name for each reason of `turn_ended`."""
CLOSED: Final = "close_stream"
NO_SPEECH: Final = "no_speech"
TOO_LONG: Final = "too_long"
"""Triggers of our own: the client has ended its audio; what began a turn was no speech; see `FluxTurn.is_full`."""


class DeepgramFlux(DeepgramLive[FluxListen]):
    """Implements `dialect.Dialect`."""

    controls = ("Configure", "ForceEndTurn", "CloseStream")

    def __init__(self, request_id: str, wanted: FluxListen) -> None:
        super().__init__(request_id, wanted)
        self._sent = 0
        self._turn = FluxTurn(0, 0.0)
        self._may_have_ended = False
        """Whether an early end was reported for this turn, even if the client was not notified."""

    def greet(self) -> Iterable[Action]:
        return [Check(self._wanted.options), self._message("Connected")]

    def _control(self, control: dict[str, Any]) -> list[Action] | None:
        match control.get("type"):
            case "Configure":
                return self._configure(control)
            case "ForceEndTurn":
                return [Commit()] if self._stage is Stage.LIVE else []
            case "CloseStream":
                return self._close()
        return None

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
        if error.field == "language":
            error = no_english()
        error.rename({"languages": CONFIGURED_LANGUAGES if self._is_configuring else HINTED_LANGUAGES})
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
        return self._append(audio) if audio else []

    def _configure(self, control: dict[str, Any]) -> list[Action]:
        self._is_configuring = True
        apply = self._apply(configured(control, self._wanted))
        options = self._wanted.options
        fields: dict[str, Any] = {
            "thresholds": self._wanted.thresholds,
            "keyterms": [one.term for one in options.keyterms or ()],
            "numerals": bool(options.numerals),
            **({"language_hints": list(options.languages)} if options.languages else {}),
        }
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

    def _failed(self, error: VoxtralError, close_code: int) -> list[Action]:
        code = "INTERNAL_SERVER_ERROR" if error.code == InternalError.code else error.code.upper()
        return [self._message("Error", code=code, description=error.message), Hangup(close_code, code)]
