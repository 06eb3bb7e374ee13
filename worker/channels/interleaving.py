"""Orders the outputs of several channels, so that finals follow each other by where they begin. Pure.

A final is held until no other channel can have an earlier one. Outputs of one channel keep their order. Only recordings
are ordered in this way: a live final is never held back for another channel.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Channel(Generic[T]):
    held: deque[tuple[int | None, T]] = field(default_factory=deque)
    """Where each output begins, and the output."""
    reached_samples: int = 0
    """No later output begins before this position."""
    is_over: bool = False
    is_blocked: bool = False
    """Whether its outputs wait for the other channels, whatever they are."""


class Interleaving(Generic[T]):
    """Of outputs that begin at the same position, the one of the first channel comes first."""

    def __init__(self, channels: int) -> None:
        self._channels: list[_Channel[T]] = [_Channel() for _ in range(channels)]

    def put(self, channel: int, output: T, start_samples: int | None) -> None:
        """Add an output. Without `start_samples` it only waits for the earlier ones of its channel."""
        self._channels[channel].held.append((start_samples, output))

    def reach(self, channel: int, position_samples: int) -> None:
        """No output of the channel that is put from now on begins before this position."""
        self._channels[channel].reached_samples = position_samples

    def end(self, channel: int) -> None:
        """The channel has no more outputs."""
        self._channels[channel].is_over = True

    def block(self, channel: int) -> None:
        """Hold all outputs of the channel until `unblock`. Those of the others do not wait for them."""
        self._channels[channel].is_blocked = True

    def unblock(self) -> None:
        """Hold no channel any more."""
        for channel in self._channels:
            channel.is_blocked = False

    def holds(self, channel: int) -> bool:
        return bool(self._channels[channel].held)

    def due(self) -> Iterator[tuple[int, T]]:
        """Remove and return the outputs, each with its channel, that no earlier one can precede any more."""
        while (channel := self._next()) is not None:
            yield channel, self._channels[channel].held.popleft()[1]

    def _next(self) -> int | None:
        heads: list[tuple[int, int]] = []
        for number, channel in enumerate(self._channels):
            if channel.held and not channel.is_blocked:
                start_samples = channel.held[0][0]
                if start_samples is None:
                    return number
                heads.append((start_samples, number))
        if not heads:
            return None
        first = min(heads)
        passed = (
            bool(channel.held) or channel.is_over or channel.is_blocked or (channel.reached_samples, number) > first
            for number, channel in enumerate(self._channels)
        )
        return first[1] if all(passed) else None
