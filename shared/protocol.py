"""Which processes understand each other, for the time in which a service is upgraded one process after the other.

What frontends and workers leave for each other in Redis (tasks, sessions, audio, events, heartbeats) has a protocol
number. A field that is merely new needs no new number: everyone ignores what it does not know. Raise `OWN.number` where
that is not enough, and keep on reading what the number before it wrote: a release serves with the one before it.
`tests/payloads` holds what each number has written.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Protocol:
    number: int = 1
    oldest: int = 1
    """The lowest number whose processes read what is written, and are read."""

    def fits(self, other: "Protocol") -> bool:
        """Whether each of the two reads what the other writes."""
        return self.number >= other.oldest and other.number >= self.oldest


UNNUMBERED: Final = Protocol()
"""Processes and sessions from before there were numbers."""
OWN: Final = Protocol(number=2, oldest=1)
"""2: heartbeats and sessions name their protocol."""
