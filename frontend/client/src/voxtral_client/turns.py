"""The events about the ends of turns. Fields have the names of the wire."""

from dataclasses import dataclass
from typing import Any, Self


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
    channel: int | None = None
    """The channel that was heard, from 0 on, in a session with separate channels."""

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        about = wire.get("reason", ""), wire.get("probability"), wire.get("channel")
        return cls(wire["seq"], wire["end"], wire["decided_at"], *about)


@dataclass(frozen=True, slots=True)
class TurnEndedEarly:
    """The speaker has probably finished. `TurnEnded` or `TurnResumed` follows."""

    seq: int
    end: float
    decided_at: float
    probability: float | None
    channel: int | None = None

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        return cls(wire["seq"], wire["end"], wire["decided_at"], wire.get("probability"), wire.get("channel"))


@dataclass(frozen=True, slots=True)
class TurnResumed:
    """The speaker continues after `TurnEndedEarly`."""

    seq: int
    start: float
    channel: int | None = None

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        return cls(wire["seq"], wire["start"], wire.get("channel"))
