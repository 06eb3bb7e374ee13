"""The transcript of a recording, collected from the events of its session. Knows no dialect and does no I/O."""

from dataclasses import dataclass, field
from typing import Any

from shared.events import EventType, Usage
from shared.seams import NEAR_CHARS, seam
from voxtral_client.events import Final, Revised, Speakers


@dataclass(slots=True)
class Growth:
    """The end of a text to which finals are added."""

    end: str = ""
    channel: int | None = None

    def gap(self, final: Final) -> str:
        """The space before a final, which is added: a new line if it is of another channel than the text before."""
        if not final.text:
            return ""
        is_new_turn = bool(self.end) and final.channel != self.channel
        gap = "\n" if is_new_turn else seam(self.end, final.text)
        self.end, self.channel = (self.end + gap + final.text)[-NEAR_CHARS:], final.channel
        return gap


@dataclass(slots=True)
class Transcript:
    """Grows with `take`; complete after the session's `done`.

    Its text is the joined results of `take`, except for revised finals. If channels are separate, the text has a line
    for each turn.
    """

    model: str
    segments: list[Final] = field(default_factory=list)
    text: str = ""
    duration_s: float = 0.0
    language: str | None = None
    """The language of the first segment whose language is known."""
    warnings: list[dict[str, Any]] = field(default_factory=list)
    """Warnings for the client: `code`, `message` and, for a position in the audio, `start` in seconds."""
    _growth: Growth = field(default_factory=Growth)

    @property
    def languages(self) -> list[str]:
        """The languages of its segments with text, in order."""
        return list(dict.fromkeys(segment.language for segment in self.segments if segment.text and segment.language))

    @property
    def has_confidence(self) -> bool:
        """Whether the model has reported the probability of a word."""
        words = (word for segment in self.segments for word in segment.words)
        in_scores = any(segment.word_confidences for segment in self.segments)
        return in_scores or any(word.confidence is not None for word in words)

    @property
    def has_usage(self) -> bool:
        """Whether the model counts tokens."""
        return any(segment.usage is not None for segment in self.segments)

    @property
    def usage(self) -> Usage:
        """The sum over all answers; zeros if the model counts no tokens."""
        known = [segment.usage for segment in self.segments if segment.usage is not None]
        return Usage(
            prompt_tokens=sum(usage.prompt_tokens for usage in known),
            completion_tokens=sum(usage.completion_tokens for usage in known),
            truncated=any(usage.truncated for usage in known),
        )

    @property
    def warned(self) -> dict[str, Any]:
        """The field of a response for the warnings; no field if there are none."""
        return {"warnings": self.warnings} if self.warnings else {}

    def take(self, event: dict[str, Any]) -> str:
        """The final text that an event adds, with the space before it if there is one; empty if it adds none."""
        if event["type"] == EventType.DONE:
            self.duration_s = event["duration"]
        if event["type"] == EventType.WARNING:
            self.warnings.append({"code": event["code"], "message": event["message"]})
        if event["type"] == EventType.REVISED:
            Revised.from_wire(event).put_into(self.segments)
            self.text, self._growth = "", Growth()
            for segment in self.segments:
                self._append(segment)
        if event["type"] == EventType.SPEAKERS:
            Speakers.from_wire(event).label(self.segments)
        if event["type"] != EventType.FINAL:
            return ""
        segment = Final.from_wire(event)
        self.segments.append(segment)
        self.language = self.language or segment.language
        return self._append(segment)

    def _append(self, segment: Final) -> str:
        """The text that a segment adds, as in `take`."""
        added = self._growth.gap(segment) + segment.text
        self.text += added
        return added
