"""The items of an OpenAI session whose channels are separate: each channel has items of its own.

A client's commit makes an item of each channel. All events of an item name its `channel`, which is our addition. A
session without separate channels has one channel, which is not named.
"""

from collections.abc import Callable, Iterator
from typing import Any

from frontend.protocols.openai.turns import Chain, Turns, Wanted
from shared.events import EventType

Json = dict[str, Any]


class ChannelTurns:
    """The interface of `Turns`, for the channels of one connection."""

    def __init__(self) -> None:
        self._chain = Chain()
        self._is_beta = False
        self._wanted = Wanted()
        self._start_s = 0.0
        self._channels: dict[int | None, Turns] = {None: Turns(self._chain)}

    @property
    def is_beta(self) -> bool:
        return self._is_beta

    @is_beta.setter
    def is_beta(self, value: bool) -> None:
        self._is_beta = value
        for turns in self._channels.values():
            turns.is_beta = value

    @property
    def wanted(self) -> Wanted:
        return self._wanted

    @wanted.setter
    def wanted(self, value: Wanted) -> None:
        self._wanted = value
        for turns in self._channels.values():
            turns.wanted = value

    @property
    def start_s(self) -> float:
        return self._start_s

    @start_s.setter
    def start_s(self, value: float) -> None:
        self._start_s = value
        for turns in self._channels.values():
            turns.start_s = value

    @property
    def detected_s(self) -> float:
        return max(turns.detected_s for turns in self._channels.values())

    @property
    def is_idle(self) -> bool:
        return all(turns.is_idle for turns in self._channels.values())

    def begin(self, channels: int | None) -> None:
        """Another session of ours begins, with so many separate channels; None if it has none."""
        wanted: list[int | None] = [None] if channels is None else [*range(channels)]
        if wanted != [*self._channels]:
            self._channels = {channel: Turns(self._chain) for channel in wanted}
            self.is_beta, self.wanted = self._is_beta, self._wanted
        for turns in self._channels.values():
            turns.reset()

    def commit(self, audio_s: float) -> Iterator[Json]:
        yield from self._each(lambda turns: turns.commit(audio_s))

    def clear(self) -> None:
        for turns in self._channels.values():
            turns.clear()

    def time_out(self, start_s: float, end_s: float) -> Iterator[Json]:
        yield from self._each(lambda turns: turns.time_out(start_s, end_s))

    def take(self, event: Json, *, detects: bool) -> Iterator[Json]:
        channel = event.get("channel")
        if event["type"] == EventType.COMMITTED or (event["type"] == EventType.WARNING and channel is None):
            yield from self._each(lambda turns: turns.take(event, detects=detects))
        elif channel in self._channels:
            yield from _named(channel, self._channels[channel].take(event, detects=detects))

    def fail(self, error: Json) -> Iterator[Json]:
        yield from self._each(lambda turns: turns.fail(error))

    def _each(self, act: Callable[[Turns], Iterator[Json]]) -> Iterator[Json]:
        for channel, turns in self._channels.items():
            yield from _named(channel, act(turns))


def _named(channel: int | None, events: Iterator[Json]) -> Iterator[Json]:
    return events if channel is None else ({**event, "channel": channel} for event in events)
