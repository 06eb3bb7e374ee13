"""Who spoke in a final, as an event `speakers` reports it."""

from dataclasses import dataclass
from typing import Any, Final, Self

DIARIZE_UNAVAILABLE: Final = "diarize_unavailable"
"""The code of the warning that no speaker will be named."""


@dataclass(frozen=True, slots=True)
class FinalSpeakers:
    """Who spoke in one final."""

    segment: int
    speaker: str | None
    """Who spoke most of it; None if the service cannot tell."""
    words: tuple[str | None, ...] = ()
    """Of each word of the final, in order; empty if it has no words."""

    def to_wire(self) -> dict[str, Any]:
        """The entry in the `segments` of an event `speakers`."""
        speaker = {"speaker_unsure": True} if self.speaker is None else {"speaker": self.speaker}
        return {"segment": self.segment} | speaker | ({"word_speakers": list(self.words)} if self.words else {})

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        return cls(wire["segment"], wire.get("speaker"), tuple(wire.get("word_speakers", ())))
