"""The events of a session for their readers: the only place that parses the wire's JSON.

Fields have the names of the wire. Times are seconds since the session began. Unknown event types and fields are
ignored, so that a newer server can add some. `start_s`, `end_s` and `duration_s` are other names of `start`, `end` and
`duration`.
"""

from dataclasses import asdict, dataclass
from typing import Any, Self


def _also(name: str) -> property:
    """Another name of a field."""
    return property(lambda event: getattr(event, name), doc=f"The same as `{name}`.")


RESUME_TIMEOUT_S = 30.0
"""Of a server whose `ready` does not tell it."""


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    start: float
    end: float
    confidence: float | None = None
    """The probability that the model gives the word, from 0 to 1; None if it reports none."""

    start_s = _also("start")
    end_s = _also("end")

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        return cls(wire["text"], wire["start"], wire["end"], wire.get("confidence"))

    def to_wire(self) -> dict[str, Any]:
        """The word as events and documents have it."""
        wire = {"text": self.text, "start": self.start, "end": self.end}
        return wire if self.confidence is None else wire | {"confidence": self.confidence}


@dataclass(frozen=True, slots=True)
class Latency:
    """Latency of one event in milliseconds, from the arrival of the last audio that it is based on."""

    queue: float
    model: float
    total: float

    queue_ms = _also("queue")
    model_ms = _also("model")
    total_ms = _also("total")

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        return cls(wire["queue"], wire["model"], wire["total"])


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of one answer of a language model."""

    prompt_tokens: int
    """Tokens of the audio and of the question."""
    completion_tokens: int
    truncated: bool
    """Whether it was cut off at its limit."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What a model reports about the decoding of one final. Fields are None if it does not report them."""

    confidence: float | None = None
    avg_logprob: float | None = None
    no_speech_prob: float | None = None

    def to_wire(self) -> dict[str, float]:
        """The known ones."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Ready:
    """The session is open and accepts audio."""

    session_id: str
    seq: int
    model: str
    resume_token: str | None
    audio_received_samples: int = 0
    """Audio that the server has received, at 16 kHz."""
    number: int = 0
    """The number of the last control message that the server has received."""
    ended: bool = False
    """Whether the session accepts no more audio: it has ended, and only its events follow."""
    viewer_token: str | None = None
    """Viewers use it at `/v1/sessions/{session_id}/events`."""
    resume_timeout_s: float = RESUME_TIMEOUT_S
    """How long the server keeps the session for its client after a lost connection."""
    engine: str = ""
    """What runs the model: `whisper`, `voxtral_realtime`, …"""

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        return cls(
            wire["session_id"],
            wire["seq"],
            wire.get("model", ""),
            wire.get("resume_token"),
            wire.get("audio_received_samples", 0),
            wire.get("number", 0),
            wire.get("ended", False),
            wire.get("viewer_token"),
            wire.get("resume_timeout_s", RESUME_TIMEOUT_S),
            wire.get("engine", ""),
        )


@dataclass(frozen=True, slots=True)
class Committed:
    """The beginning of an open segment's text that will not change: every later text of the segment begins with it."""

    text: str = ""
    words: tuple[Word, ...] = ()
    """With their times, if requested and if the model knows them. The last one may be missing while it grows."""

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        return cls(wire["text"], tuple(Word.from_wire(word) for word in wire.get("words", ())))


@dataclass(frozen=True, slots=True)
class Partial:
    """The text of an open segment so far. Replaces the previous partial of its segment."""

    seq: int
    segment: int
    text: str
    start: float
    end: float
    latency: Latency | None
    committed: Committed = Committed()
    """Has no text if nothing is committed."""
    language: str | None = None
    channel: int | None = None
    """The channel that was heard, from 0 on, in a session with separate channels."""

    start_s = _also("start")
    end_s = _also("end")

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        start = wire.get("start", 0.0)
        return cls(
            seq=wire["seq"],
            segment=wire["segment"],
            text=wire["text"],
            start=start,
            end=wire.get("end", start),
            latency=_latency(wire),
            committed=Committed.from_wire(wire["committed"]) if "committed" in wire else Committed(),
            language=wire.get("language"),
            channel=wire.get("channel"),
        )


@dataclass(frozen=True, slots=True)
class Final:
    """The text of a closed segment. Never changes."""

    seq: int
    segment: int
    text: str
    start: float
    end: float
    words: tuple[Word, ...]
    language: str | None
    latency: Latency | None
    usage: Usage | None = None
    """Only if a language model has answered."""
    confidence: float | None = None
    """Mean of the words' confidence, from 0 to 1. This and the next two are None if the model does not report them."""
    avg_logprob: float | None = None
    """Mean log-probability of the decoded tokens."""
    no_speech_prob: float | None = None
    """Probability that the decoded audio holds no speech, from 0 to 1."""
    channel: int | None = None
    """As in `Partial`."""

    start_s = _also("start")
    end_s = _also("end")

    @property
    def scores(self) -> Scores:
        """The same three values together."""
        return Scores(self.confidence, self.avg_logprob, self.no_speech_prob)

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        return cls(
            seq=wire["seq"],
            segment=wire["segment"],
            text=wire["text"],
            start=wire["start"],
            end=wire["end"],
            words=tuple(Word.from_wire(word) for word in wire.get("words", ())),
            language=wire.get("language"),
            latency=_latency(wire),
            usage=_usage(wire["usage"]) if "usage" in wire else None,
            confidence=wire.get("confidence"),
            avg_logprob=wire.get("avg_logprob"),
            no_speech_prob=wire.get("no_speech_prob"),
            channel=wire.get("channel"),
        )


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    seq: int
    start: float | None
    channel: int | None = None

    start_s = _also("start")

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        return cls(wire["seq"], wire.get("start"), wire.get("channel"))


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    seq: int
    end: float | None
    channel: int | None = None

    end_s = _also("end")

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        return cls(wire["seq"], wire.get("end"), wire.get("channel"))


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The speaker's turn is over; its finals came before. Only with `turn_detection`, like the two below."""

    seq: int
    end: float
    """The end of the speech."""
    decided_at: float
    """The audio up to here was heard for the decision."""
    reason: str
    """`finished`, `silence` or `commit`."""
    probability: float | None
    """That the speaker has finished, from 0 to 1; None if no model was asked."""

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        return cls(wire["seq"], wire["end"], wire["decided_at"], wire.get("reason", ""), wire.get("probability"))


@dataclass(frozen=True, slots=True)
class TurnEndedEarly:
    """The speaker has probably finished. `TurnEnded` or `TurnResumed` follows."""

    seq: int
    end: float
    decided_at: float
    probability: float | None

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        return cls(wire["seq"], wire["end"], wire["decided_at"], wire.get("probability"))


@dataclass(frozen=True, slots=True)
class TurnResumed:
    """The speaker continues after `TurnEndedEarly`."""

    seq: int
    start: float

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        return cls(wire["seq"], wire["start"])


@dataclass(frozen=True, slots=True)
class Warned:
    """Something happened that does not end the session."""

    seq: int | None
    """None if it is not in the session's log, because it is about the service."""
    code: str
    message: str
    start: float | None = None
    """Where in the audio, if it is about a position."""

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        return cls(wire.get("seq"), wire.get("code", ""), wire.get("message", ""), wire.get("start"))


@dataclass(frozen=True, slots=True)
class Done:
    """The last event of a session that ended without an error."""

    seq: int
    text: str
    """The whole transcript."""
    duration: float
    """Seconds of audio."""

    duration_s = _also("duration")

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        return cls(wire["seq"], wire.get("text", ""), wire.get("duration", 0.0))


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a one-shot request."""

    mode: str
    text: str
    processing_time_ms: float
    audio_duration_ms: float
    warnings: tuple[Warned, ...] = ()
    """What is wrong with the recording."""

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        warnings = tuple(map(Warned.from_wire, wire.get("warnings", ())))
        return cls(wire["mode"], wire["text"], wire["processing_time_ms"], wire["audio_duration_ms"], warnings)


Turn = TurnEnded | TurnEndedEarly | TurnResumed
SessionEvent = Ready | Partial | Final | SpeechStarted | SpeechStopped | Turn | Warned | Done
EVENTS: dict[str, type[SessionEvent]] = {
    "ready": Ready,
    "partial": Partial,
    "final": Final,
    "speech_started": SpeechStarted,
    "speech_stopped": SpeechStopped,
    "turn_ended": TurnEnded,
    "turn_ended_early": TurnEndedEarly,
    "turn_resumed": TurnResumed,
    "warning": Warned,
    "done": Done,
}


def _usage(wire: dict[str, Any]) -> Usage:
    return Usage(wire["prompt_tokens"], wire["completion_tokens"], wire["truncated"])


def _latency(wire: dict[str, Any]) -> Latency | None:
    return Latency.from_wire(wire["latency"]) if "latency" in wire else None
