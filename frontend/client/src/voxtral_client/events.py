"""The events of a session for their readers: the only place that parses the wire's JSON.

Fields have the names of the wire. Times are seconds since the session began. Unknown event types and fields are
ignored, so that a newer server can add some. `start_s`, `end_s` and `duration_s` are other names of `start`, `end` and
`duration`.
"""

from collections.abc import MutableSequence
from dataclasses import dataclass, replace
from typing import Any, Self

from voxtral_client.parts import NOT_COMMITTED, Committed, Latency, Scores, Usage, Word, also, scores_in
from voxtral_client.turns import TurnEnded, TurnEndedEarly, TurnResumed

RESUME_TIMEOUT_S = 30.0
"""Of a server whose `ready` does not tell it."""


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
        )


@dataclass(frozen=True, slots=True)
class Partial:
    """The text of an open segment so far. Replaces the previous partial of its segment."""

    seq: int
    segment: int
    text: str
    start: float
    end: float
    latency: Latency | None
    committed: Committed = NOT_COMMITTED
    """Has no text if nothing is committed."""
    language: str | None = None
    channel: int | None = None
    """The channel that was heard, from 0 on, in a session with separate channels."""

    start_s = also("start")
    end_s = also("end")

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
            committed=Committed.from_wire(wire["committed"]) if "committed" in wire else NOT_COMMITTED,
            language=wire.get("language"),
            channel=wire.get("channel"),
        )


@dataclass(frozen=True, slots=True)
class Final:
    """The text of a closed segment. Never changes, except by `Revised`; `Speakers` may say later who spoke it."""

    seq: int
    segment: int
    text: str
    start: float
    end: float
    words: tuple[Word, ...]
    language: str | None
    latency: Latency | None
    usage: Usage | None = None
    """Only if the model counts tokens."""
    confidence: float | None = None
    """Mean of the words' confidence, from 0 to 1. This and the next three are None if the model reports none."""
    avg_logprob: float | None = None
    """Mean log-probability of the decoded tokens."""
    no_speech_prob: float | None = None
    """Probability that the decoded audio holds no speech, from 0 to 1."""
    word_confidences: tuple[float, ...] | None = None
    """Of the words of the text, split at white space, if the model gives the words no times."""
    channel: int | None = None
    """As in `Partial`."""
    speaker: str | None = None
    """Who spoke most of it, in a session with `diarize`; None if that is not known."""
    speaker_unsure: bool = False
    """Whether the service cannot tell who spoke it."""

    start_s = also("start")
    end_s = also("end")

    @property
    def scores(self) -> Scores:
        """The same four values together."""
        return Scores(self.confidence, self.avg_logprob, self.no_speech_prob, self.word_confidences)

    @property
    def is_labelled(self) -> bool:
        """Whether the service has said who spoke it, or that it cannot tell."""
        return self.speaker is not None or self.speaker_unsure

    def labelled(self, said: "FinalSpeakers") -> Self:
        """The final with the speakers that an event `speakers` names. Words have the speaker of the whole if their
        number differs."""
        count = len(self.words)
        names = said.word_speakers if len(said.word_speakers) == count else (said.speaker,) * count
        words = tuple(
            replace(word, speaker=name, speaker_unsure=name is None)
            for word, name in zip(self.words, names, strict=True)
        )
        return replace(self, words=words, speaker=said.speaker, speaker_unsure=said.speaker is None)

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        usage = _usage(wire["usage"]) if "usage" in wire else None
        return cls(**_text_of_segment(wire), latency=_latency(wire), usage=usage)


@dataclass(frozen=True, slots=True)
class Revised:
    """Another text for the final of a segment, by the server's second model."""

    seq: int
    segment: int
    text: str
    start: float
    end: float
    words: tuple[Word, ...]
    language: str | None
    pending: int
    """Finals of the session that wait to be decoded again."""
    confidence: float | None = None
    """This and the next three are as in `Final`, and of the new text."""
    avg_logprob: float | None = None
    no_speech_prob: float | None = None
    word_confidences: tuple[float, ...] | None = None
    channel: int | None = None
    """As in `Partial`."""
    speaker: str | None = None
    """As in `Final`, and so far: `Speakers` may change it later."""
    speaker_unsure: bool = False

    start_s = also("start")
    end_s = also("end")

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        return cls(**_text_of_segment(wire), pending=wire.get("pending", 0))

    def put_into(self, finals: MutableSequence[Final]) -> None:
        """Replace the final of the segment in a list, the newest one if there are several."""
        for index in reversed(range(len(finals))):
            if finals[index].segment == self.segment:
                finals[index] = replace(
                    finals[index],
                    text=self.text,
                    words=self.words,
                    language=self.language,
                    confidence=self.confidence,
                    avg_logprob=self.avg_logprob,
                    no_speech_prob=self.no_speech_prob,
                    word_confidences=self.word_confidences,
                    speaker=self.speaker,
                    speaker_unsure=self.speaker_unsure,
                )
                return


@dataclass(frozen=True, slots=True)
class FinalSpeakers:
    """Who spoke in one final."""

    segment: int
    speaker: str | None
    """Who spoke most of it; None if the service cannot tell."""
    speaker_unsure: bool = False
    """Whether the service cannot tell."""
    word_speakers: tuple[str | None, ...] = ()
    """Of each word of the final, in order; empty if it has no words."""

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        speaker = wire.get("speaker")
        return cls(
            wire["segment"], speaker, wire.get("speaker_unsure", speaker is None), tuple(wire.get("word_speakers", ()))
        )


@dataclass(frozen=True, slots=True)
class Speakers:
    """Who spoke in past finals. Replaces what these finals said about it."""

    seq: int
    segments: tuple[FinalSpeakers, ...]
    channel: int | None = None
    """As in `Partial`."""

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        return cls(wire["seq"], tuple(map(FinalSpeakers.from_wire, wire["segments"])), wire.get("channel"))

    def label(self, finals: MutableSequence[Final]) -> None:
        """Replace the finals that it is about, which are usually the last ones."""
        for said in self.segments:
            for index in range(len(finals) - 1, -1, -1):
                if finals[index].segment == said.segment:
                    finals[index] = finals[index].labelled(said)
                    break


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    seq: int
    start: float | None
    channel: int | None = None

    start_s = also("start")

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        return cls(wire["seq"], wire.get("start"), wire.get("channel"))


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    seq: int
    end: float | None
    channel: int | None = None

    end_s = also("end")

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        return cls(wire["seq"], wire.get("end"), wire.get("channel"))


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

    duration_s = also("duration")

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        return cls(wire["seq"], wire.get("text", ""), wire.get("duration", 0.0))


@dataclass(frozen=True, slots=True)
class SpokenTurn:
    """What one speaker said in a row."""

    text: str
    start: float
    end: float
    speaker: str | None
    """None if the service cannot tell."""
    channel: int | None = None
    """As in `Partial`."""

    start_s = also("start")
    end_s = also("end")

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        return cls(wire["text"], wire["start"], wire["end"], wire.get("speaker"), wire.get("channel"))


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a one-shot request."""

    mode: str
    text: str
    processing_time_ms: float
    audio_duration_ms: float
    warnings: tuple[Warned, ...] = ()
    """What is wrong with the recording."""
    segments: tuple[SpokenTurn, ...] = ()
    """What each speaker said, if requested by `diarize`."""
    model: str | None = None
    """None if the server is older than this field."""

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        warnings = tuple(map(Warned.from_wire, wire.get("warnings", ())))
        segments = tuple(map(SpokenTurn.from_wire, wire.get("segments", ())))
        return cls(
            wire["mode"],
            wire["text"],
            wire["processing_time_ms"],
            wire["audio_duration_ms"],
            warnings,
            segments,
            wire.get("model"),
        )


Turn = TurnEnded | TurnEndedEarly | TurnResumed
SessionEvent = Ready | Partial | Final | Revised | SpeechStarted | SpeechStopped | Turn | Speakers | Warned | Done
EVENTS: dict[str, type[SessionEvent]] = {
    "ready": Ready,
    "partial": Partial,
    "final": Final,
    "revised": Revised,
    "speech_started": SpeechStarted,
    "speech_stopped": SpeechStopped,
    "turn_ended": TurnEnded,
    "turn_ended_early": TurnEndedEarly,
    "turn_resumed": TurnResumed,
    "speakers": Speakers,
    "warning": Warned,
    "done": Done,
}


def _usage(wire: dict[str, Any]) -> Usage:
    return Usage(wire["prompt_tokens"], wire["completion_tokens"], wire["truncated"])


def _text_of_segment(wire: dict[str, Any]) -> dict[str, Any]:
    """The fields that `Final` and `Revised` have in common."""
    return {
        "seq": wire["seq"],
        "segment": wire["segment"],
        "text": wire["text"],
        "start": wire["start"],
        "end": wire["end"],
        "words": tuple(Word.from_wire(word) for word in wire.get("words", ())),
        "language": wire.get("language"),
        **scores_in(wire),
        "channel": wire.get("channel"),
        "speaker": wire.get("speaker"),
        "speaker_unsure": wire.get("speaker_unsure", False),
    }


def _latency(wire: dict[str, Any]) -> Latency | None:
    return Latency.from_wire(wire["latency"]) if "latency" in wire else None
