"""Which processes can work together while a service is upgraded one process after the other.

The data that frontends and workers exchange through Redis (tasks, sessions, audio, events, heartbeats) has a protocol
number. A new field alone needs no new number: unknown fields are ignored. Raise `OWN.number` if that is not enough,
and keep reading what the previous number wrote: a release works together with the previous one.
`tests/payloads` holds what each number has written.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Protocol:
    number: int = 1
    oldest: int = 1
    """The lowest number whose processes can read what this one writes, and the reverse."""

    def fits(self, other: "Protocol") -> bool:
        """Whether each of the two reads what the other writes."""
        return self.number >= other.oldest and other.number >= self.oldest


UNNUMBERED: Final = Protocol()
"""Processes and sessions that have no protocol number."""
OWN: Final = Protocol(number=3, oldest=1)
"""2: heartbeats and sessions name their protocol. 3: a session may have a track for each channel of its audio."""
OF_CHANNELS: Final = Protocol(number=3, oldest=3)
"""Of sessions whose channels are separate: only processes that know channels may serve or resume them."""
