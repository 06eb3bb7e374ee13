"""One live session as a frontend sees it: audio goes in, events come out.

Knows no protocol. Made by `Gateway.open` and `Gateway.resume` only.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Any, Final

import orjson

from shared.bus.audio import AudioTrack
from shared.bus.event_log import Follower, LoggedEvent
from shared.celery_config import Queue
from shared.events import SAMPLE_RATE_HZ, EventType, SessionOptions

BACKLOG_POLL_S: Final = 1.0
"""Progress is told by pub/sub; while a writer waits for it, it also looks for itself this often."""
TERMINAL: Final = (EventType.DONE, EventType.ERROR)


class Session:
    """A client's hold on a session. One task writes; another may follow `events`."""

    def __init__(
        self,
        *,
        session_id: str,
        resume_token: str,
        options: SessionOptions,
        queue: Queue,
        track: AudioTrack,
        follower: Follower,
        max_backlog_s: float,
        release: Callable[["Session"], None],
        cancel: Callable[["Session"], Any],
    ) -> None:
        self.id = session_id
        self.resume_token = resume_token
        self.options = options
        self.queue = queue
        self.ended = False
        """Set once a `done` or an `error` has been seen."""
        self.lost_at_s: float | None = None
        """Since when the session has had no owner; kept by the watch."""
        self.dispatched_at_s = 0.0
        """When the session was last dispatched again; kept by the watch."""
        self._track = track
        self._follower = follower
        self._max_backlog_samples = int(max_backlog_s * SAMPLE_RATE_HZ)
        self._release = release
        self._cancel = cancel
        self._first: list[LoggedEvent] = []
        self._source = aiter(follower)

    @property
    def audio_received_samples(self) -> int:
        """Audio taken in since the session began, over all connections."""
        return self._track.end_samples

    @property
    def model(self) -> str:
        """Whose workers serve the session, now and after a takeover. `Gateway.open` has put it into the options."""
        assert self.options.model is not None
        return self.options.model

    @property
    def heard_at_s(self) -> float:
        """When the worker was last heard of (monotonic clock)."""
        return self._follower.heard_at_s

    def put_first(self, event: dict[str, Any]) -> None:
        """Place an event before all others."""
        self._first.append(LoggedEvent(orjson.dumps(event), event))

    @property
    def seq(self) -> int:
        """Number of the last event that was taken from the log."""
        return self._follower.seq

    def wire_options(self) -> dict[str, Any]:
        options: dict[str, Any] = orjson.loads(orjson.dumps(asdict(self.options)))
        return options

    def attach(self) -> None:
        """A client holds the session again."""
        self._track.control("attach")

    async def write(self, pcm: bytes) -> None:
        """Append s16le mono 16 kHz audio. Waits while the backlog is at its bound: that is the brake.

        Cancelling it while it waits leaves the audio unwritten; returns at once when the session has ended.
        """
        while not self.ended and self._backlog_samples() >= self._max_backlog_samples:
            self._follower.progressed.clear()
            if self._backlog_samples() < self._max_backlog_samples:
                break
            await self._progress_or_poll()
        if not self.ended:
            self._track.append(pcm)

    async def commit(self) -> None:
        """End the open segment at the audio written so far."""
        self._track.control("commit")

    async def configure(self, options: SessionOptions) -> None:
        """Use these options from the next segment on."""
        self.options = options
        self._track.control("configure", orjson.dumps(asdict(options)))

    async def finish(self) -> None:
        """No more audio comes; `done` follows when all of it has been answered."""
        self._track.control("end")

    async def cancel(self) -> None:
        """Drop the session at once; nothing more is kept of it."""
        self._stop()
        await self._cancel(self)

    def detach(self) -> None:
        """The client is gone. Its session waits a while for it to resume, then ends by itself."""
        if not self.ended:
            self._track.control("detach")
        self._stop()

    def fail(self, event: dict[str, Any]) -> None:
        """End the session from this side, with an error that the log does not hold."""
        self._follower.end_with(LoggedEvent(orjson.dumps(event), event))

    def fill(self) -> None:
        self._follower.fill()

    def progress(self, consumed_samples: int) -> None:
        self._follower.progress(consumed_samples)

    async def events(self) -> AsyncIterator[LoggedEvent]:
        """Every event in order, `ready` first. Ends after `done` or `error`."""
        while self._first:
            yield self._first.pop(0)
        while not self.ended:
            event = await anext(self._source)
            if event.wire["type"] in TERMINAL:
                self._stop()
            yield event

    async def first_event(self) -> LoggedEvent:
        """What the worker says when it has taken the session; `events` will not repeat it."""
        return await anext(self._source)

    async def _progress_or_poll(self) -> None:
        try:
            async with asyncio.timeout(BACKLOG_POLL_S):
                await self._follower.progressed.wait()
        except TimeoutError:
            self._follower.heard_at_s = 0.0  # the gateway's watch looks up whoever is quiet

    def _backlog_samples(self) -> int:
        return self._track.end_samples - self._follower.consumed_samples

    def _stop(self) -> None:
        if not self.ended:
            self.ended = True
            self._follower.progressed.set()
            self._release(self)
