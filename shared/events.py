"""The events of a session. What a client may choose for it is in `shared.session_options`.

Knows no wire format, no Redis and no model. Positions in audio are integer samples at 16 kHz since the
session began; they become seconds only in `Event.to_wire`.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Self

from shared.session_options import Mode

SAMPLE_RATE_HZ = 16_000
"""Every model takes 16 kHz mono; all audio is resampled to this rate before it is stored."""
SAMPLES_PER_MS = SAMPLE_RATE_HZ // 1000


class EventType(StrEnum):
    READY = "ready"
    PARTIAL = "partial"
    FINAL = "final"
    REVISED = "revised"
    """Another text for an earlier final. Only in sessions with `SessionOptions.revise`."""
    SPEECH_STARTED = "speech_started"
    SPEECH_STOPPED = "speech_stopped"
    COMMITTED = "committed"
    """Only in sessions with `SessionOptions.turns`."""
    TURN_ENDED = "turn_ended"
    """Only in sessions with `SessionOptions.turn_detection`."""
    TURN_ENDED_EARLY = "turn_ended_early"
    """Only if these request it, like the next one."""
    TURN_RESUMED = "turn_resumed"
    SPEAKERS = "speakers"
    """Who spoke in past finals: the first label of a final that was sent without one, or a better one."""
    WARNING = "warning"
    ERROR = "error"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    start_samples: int
    end_samples: int
    confidence: float | None = None
    """The probability that the model gives the word, from 0 to 1; None if it reports none."""
    speaker: str | None = None
    """A label such as "A", or the name of a known speaker. None if `speaker_unsure`, or if it is not known (yet)."""
    speaker_unsure: bool = False
    """Whether the service cannot tell who spoke, because speakers overlap or the turn is too short."""


@dataclass(frozen=True, slots=True)
class CommittedText:
    """The beginning of an open segment's text that will not change."""

    text: str
    words: tuple[Word, ...] | None = None
    """Its words, for clients that request them; the last one may be missing while its text still grows."""

    def to_wire(self) -> dict[str, Any]:
        wire: dict[str, Any] = {"text": self.text}
        return wire if self.words is None else wire | {"words": _wire_words(self.words)}


@dataclass(frozen=True, slots=True)
class Latency:
    """Latency of one event in milliseconds, from the arrival of the last audio that it is based on."""

    queue_ms: float
    model_ms: float
    total_ms: float


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of one answer of a model."""

    prompt_tokens: int
    """Tokens, or positions of the encoder, of the audio, and tokens of the question."""
    completion_tokens: int
    truncated: bool
    """Whether it was cut off at its limit."""

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.truncated or other.truncated,
        )

    @classmethod
    def from_wire(cls, wire: dict[str, Any] | None) -> Self:
        """The field of a final; zeros if it has none."""
        return cls(wire["prompt_tokens"], wire["completion_tokens"], wire["truncated"]) if wire else cls(0, 0, False)


@dataclass(frozen=True, slots=True)
class Scores:
    """What a model reports about the decoding of one final. Fields are None if it does not report them."""

    confidence: float | None = None
    """Mean of the words' confidence, from 0 to 1."""
    avg_logprob: float | None = None
    """Mean log-probability of the decoded tokens."""
    no_speech_prob: float | None = None
    """Probability that the decoded audio holds no speech, from 0 to 1."""
    word_confidences: tuple[float, ...] | None = None
    """Of the words of the text, split at white space, if the model gives the words no times."""

    def to_wire(self) -> dict[str, Any]:
        """The known ones, rounded."""
        wire = {name: getattr(self, name) for name in ("confidence", "avg_logprob", "no_speech_prob")}
        known = {name: round(value, 4) for name, value in wire.items() if value is not None}
        if self.word_confidences is not None:
            known["word_confidences"] = [round(one, 4) for one in self.word_confidences]
        return known


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a session's log. `seq` counts 1, 2, 3, … without gaps."""

    type: EventType
    session_id: str
    seq: int
    segment: int | None = None
    text: str | None = None
    start_samples: int | None = None
    end_samples: int | None = None
    words: tuple[Word, ...] | None = None
    committed: CommittedText | None = None
    """Only in a partial; None if nothing is committed."""
    language: str | None = None
    mode: Mode | None = None
    latency: Latency | None = None
    usage: Usage | None = None
    scores: Scores | None = None
    """Of a final."""
    speaker: str | None = None
    """Of a final: who spoke most of it, as in `Word`."""
    speaker_unsure: bool = False
    extra: dict[str, Any] = field(default_factory=dict)
    """Fields of a single event type: `model`, `resume_token`, `code`, `message`, `duration`, …; and the `channel` that
    the event is about, if the channels of the session are separate."""

    def to_wire(self) -> dict[str, Any]:
        """The event as the JSON object that native clients see; absent fields are omitted."""
        wire: dict[str, Any] = {"type": self.type, "session_id": self.session_id, "seq": self.seq}
        if self.segment is not None:
            wire["segment"] = self.segment
        if self.text is not None:
            wire["text"] = self.text
        if self.start_samples is not None:
            wire["start"] = seconds(self.start_samples)
        if self.end_samples is not None:
            wire["end"] = seconds(self.end_samples)
        if self.words is not None:
            wire["words"] = _wire_words(self.words)
        if self.committed is not None:
            wire["committed"] = self.committed.to_wire()
        if self.language is not None:
            wire["language"] = self.language
        if self.mode is not None:
            wire["mode"] = self.mode
        if self.latency is not None:
            wire["latency"] = {
                "queue": round(self.latency.queue_ms, 1),
                "model": round(self.latency.model_ms, 1),
                "total": round(self.latency.total_ms, 1),
            }
        if self.usage is not None:
            wire["usage"] = asdict(self.usage)
        if self.scores is not None:
            wire |= self.scores.to_wire()
        return wire | _wire_speaker(self) | self.extra


def _wire_speaker(spoken: "Word | Event") -> dict[str, Any]:
    if spoken.speaker is not None:
        return {"speaker": spoken.speaker}
    return {"speaker_unsure": True} if spoken.speaker_unsure else {}


def _wire_words(words: Iterable[Word]) -> list[dict[str, Any]]:
    return [
        {"text": word.text, "start": seconds(word.start_samples), "end": seconds(word.end_samples)}
        | ({} if word.confidence is None else {"confidence": round(word.confidence, 4)})
        | _wire_speaker(word)
        for word in words
    ]


def seconds(position_samples: int) -> float:
    """A position in samples as seconds, to the millisecond."""
    return round(position_samples / SAMPLE_RATE_HZ, 3)
