"""What the events of a session consist of: words, times, scores. Fields have the names of the wire."""

from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol, Self


def also(name: str) -> property:
    """Another name of a field."""
    return property(lambda event: getattr(event, name), doc=f"The same as `{name}`.")


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    start: float
    end: float
    confidence: float | None = None
    """The probability that the model gives the word, from 0 to 1; None if it reports none."""
    speaker: str | None = None
    """Who spoke it, in a session with `diarize`; None if that is not known."""
    speaker_unsure: bool = False
    """Whether the service cannot tell who spoke it."""

    start_s = also("start")
    end_s = also("end")

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        return cls(
            wire["text"],
            wire["start"],
            wire["end"],
            wire.get("confidence"),
            wire.get("speaker"),
            wire.get("speaker_unsure", False),
        )

    def to_wire(self) -> dict[str, Any]:
        """The word as events and documents have it."""
        wire: dict[str, Any] = {"text": self.text, "start": self.start, "end": self.end}
        if self.confidence is not None:
            wire["confidence"] = self.confidence
        return wire | speaker_fields(self)


@dataclass(frozen=True, slots=True)
class Latency:
    """Latency of one event in milliseconds, from the arrival of the last audio that it is based on."""

    queue: float
    model: float
    total: float

    queue_ms = also("queue")
    model_ms = also("model")
    total_ms = also("total")

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        return cls(wire["queue"], wire["model"], wire["total"])


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of one answer of a model."""

    prompt_tokens: int
    """Tokens, or positions of the encoder, of the audio, and tokens of the question."""
    completion_tokens: int
    truncated: bool
    """Whether it was cut off at its limit."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What a model reports about the decoding of one final. Fields are None if it does not report them."""

    confidence: float | None = None
    avg_logprob: float | None = None
    no_speech_prob: float | None = None
    word_confidences: tuple[float, ...] | None = None

    def to_wire(self) -> dict[str, Any]:
        """The known ones."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def scores_in(wire: dict[str, Any]) -> dict[str, Any]:
    """The fields of `Scores` in an event."""
    one_by_one = wire.get("word_confidences")
    return {
        "confidence": wire.get("confidence"),
        "avg_logprob": wire.get("avg_logprob"),
        "no_speech_prob": wire.get("no_speech_prob"),
        "word_confidences": None if one_by_one is None else tuple(one_by_one),
    }


@dataclass(frozen=True, slots=True)
class Committed:
    """The beginning of an open segment's text that will not change: every later text of the segment begins with it."""

    text: str = ""
    words: tuple[Word, ...] = ()
    """With their times, if requested and if the model knows them. The last one may be missing while it grows."""

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        return cls(wire["text"], tuple(Word.from_wire(word) for word in wire.get("words", ())))


NOT_COMMITTED: Final = Committed()


class _Spoken(Protocol):
    @property
    def speaker(self) -> str | None: ...
    @property
    def speaker_unsure(self) -> bool: ...


def speaker_fields(spoken: _Spoken) -> dict[str, Any]:
    """Who spoke, as events and documents have it; no field if that is not known."""
    if spoken.speaker is not None:
        return {"speaker": spoken.speaker}
    return {"speaker_unsure": True} if spoken.speaker_unsure else {}
