"""What Redis stores of a session with separate channels: from where, and with what, a new owner continues each one.

It is stored together with the events that it belongs to, in the place of the committed text of other sessions. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import orjson

from worker.commitment import Commitment


@dataclass(frozen=True, slots=True)
class ChannelState:
    checkpoint_samples: int
    segment: int
    """The next number that its engine gives a segment."""
    numbers: Mapping[int, int] = field(default_factory=dict)
    """The numbers by which clients know its open segments, by the engine's."""
    committed: Commitment | None = None
    """The committed text of the open segment, by the engine's number."""


@dataclass(frozen=True, slots=True)
class ChannelStates:
    next_segment: int
    """The number that clients see for the next segment of any channel."""
    channels: tuple[ChannelState, ...]

    def encoded(self) -> bytes:
        return orjson.dumps([self.next_segment, [_encoded(one) for one in self.channels]])

    @classmethod
    def decoded(cls, encoded: bytes | None, channels: int, *, checkpoint_samples: int, segment: int) -> Self:
        """What `encoded` has written.

        `checkpoint_samples` is the position before which no channel needs audio, and `segment` the next number if
        nothing is stored.
        """
        if not encoded:
            return cls(segment, tuple(ChannelState(checkpoint_samples, 0) for _ in range(channels)))
        next_segment, states, *_ = orjson.loads(encoded)  # a newer worker may add fields
        return cls(max(segment, next_segment), tuple(_decoded(one, checkpoint_samples) for one in states))


def _encoded(state: ChannelState) -> list[Any]:
    committed = b"" if state.committed is None else state.committed.encoded()
    return [state.checkpoint_samples, state.segment, [*state.numbers.items()], committed.decode()]


def _decoded(encoded: list[Any], checkpoint_samples: int) -> ChannelState:
    own_samples, segment, numbers, committed, *_ = encoded
    kept = Commitment.decoded(committed.encode(), segment)
    return ChannelState(max(own_samples, checkpoint_samples), segment, dict(numbers), kept if kept.text else None)


def encoded_voices(states: Sequence[bytes]) -> bytes:
    """What is known of the speakers of each channel, in the place of that of other sessions."""
    return orjson.dumps([state.decode() for state in states])


def decoded_voices(encoded: bytes, channels: int) -> list[bytes]:
    """What `encoded_voices` has written; empty for channels of which nothing is stored."""
    return [state.encode() for state in orjson.loads(encoded)] if encoded else [b""] * channels
