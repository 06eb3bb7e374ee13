"""How a session's turns end, as its client requests it: by a pause, or by what was said before the pause."""

from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, Self


class TurnDetectionType(StrEnum):
    PAUSE = "pause"
    """A turn ends at a pause of some length."""
    SEMANTIC = "semantic"
    """At each pause, a model decides whether the speaker has finished."""


class Eagerness(StrEnum):
    """How soon a turn ends with semantic detection."""

    AUTO = "auto"
    """The same as medium."""
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """Fields that are None are left to the service. Validated by the protocol that creates it."""

    type: str
    """A `TurnDetectionType`."""
    threshold: float | None = None
    """Probability of speech from which on audio counts as speech, 0 to 1."""
    prefix_padding_ms: int | None = None
    """Audio before the speech that its segment includes."""
    silence_duration_ms: int | None = None
    """Of type pause: the silence that ends a turn."""
    eagerness: str | None = None
    """Of type semantic, as all further fields: an `Eagerness`, which sets those that are None."""
    early: bool = False
    """Whether `turn_ended_early` and `turn_resumed` are sent."""
    end_threshold: float | None = None
    """Probability that the speaker has finished from which on a turn ends, 0 to 1."""
    early_threshold: float | None = None
    """The same for `turn_ended_early`."""
    min_silence_ms: int | None = None
    """No turn ends at a shorter silence."""
    max_silence_ms: int | None = None
    """A turn ends at this silence, whatever was said before it."""

    def to_wire(self) -> dict[str, Any]:
        """For JSON. Fields without a value are omitted."""
        return {name: value for name, value in asdict(self).items() if value is not None and value is not False}

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        """Read what `to_wire` has written. Fields of a newer version are ignored."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in wire.items() if name in known})
