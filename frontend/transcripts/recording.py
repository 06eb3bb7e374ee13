"""What a session has made of a recording, gathered from its events. Knows no dialect and does no I/O."""

from dataclasses import dataclass, field
from typing import Any

from shared.events import EventType, Usage
from shared.seams import seam
from shared.wire_events import Final


@dataclass(slots=True)
class Transcript:
    """Grows with `take`; whole once the session's `done` has been taken. Its text is what `take` has said, joined."""

    model: str
    segments: list[Final] = field(default_factory=list)
    text: str = ""
    duration_s: float = 0.0
    language: str | None = None
    """Of the first segment whose language is known."""
    warnings: list[dict[str, Any]] = field(default_factory=list)
    """What its sender should know: `code`, `message` and, of a place in the audio, `start` in seconds."""

    @property
    def languages(self) -> list[str]:
        """Those of its segments that have text, in the order in which they came."""
        return list(dict.fromkeys(segment.language for segment in self.segments if segment.text and segment.language))

    @property
    def has_confidence(self) -> bool:
        """Whether the model has reported the probability of a word."""
        return any(word.confidence is not None for segment in self.segments for word in segment.words)

    @property
    def usage(self) -> Usage:
        """What all answers took together; zeros where no language model has answered."""
        known = [segment.usage for segment in self.segments if segment.usage is not None]
        return Usage(
            prompt_tokens=sum(usage.prompt_tokens for usage in known),
            completion_tokens=sum(usage.completion_tokens for usage in known),
            truncated=any(usage.truncated for usage in known),
        )

    @property
    def warned(self) -> dict[str, Any]:
        """The field of an answer that holds the warnings; none where there are none."""
        return {"warnings": self.warnings} if self.warnings else {}

    def take(self, event: dict[str, Any]) -> str:
        """The text that an event adds for good, with the space before it if there is one; empty where it adds none."""
        if event["type"] == EventType.DONE:
            self.duration_s = event["duration"]
        if event["type"] == EventType.WARNING:
            self.warnings.append({"code": event["code"], "message": event["message"]})
        if event["type"] != EventType.FINAL:
            return ""
        segment = Final.from_wire(event)
        self.segments.append(segment)
        self.language = self.language or segment.language
        if not segment.text:
            return ""
        added = seam(self.text, segment.text) + segment.text
        self.text += added
        return added
