"""What all viewers of one session at one process share: one follower, and each event encoded once."""

import asyncio
import time
from typing import Final

from frontend.viewers.viewer import Frame, Viewer, error_frame
from shared.bus.event_log import QUIET_S, EventSubscriber, Follower
from shared.errors import VoxtralError
from shared.events import EventType
from shared.incidents import incident

HEARTBEAT_S: Final = 15.0
"""Proxies close connections that are silent for about a minute."""
MAX_OPEN_SEGMENTS: Final = 8
"""The number of open segments whose last partials are kept for new viewers."""


class Hub:
    """Created with the first viewer; `task` ends with the last."""

    def __init__(self, subscriber: EventSubscriber, session_id: str, seq: int) -> None:
        self.session_id = session_id
        self.seq = seq
        """Number of the last event that was sent to the viewers."""
        self.viewers: set[Viewer] = set()
        self._subscriber = subscriber
        self._partials: dict[int | None, Frame] = {}
        """The last partial of each open segment."""
        self._last: Frame | None = None
        self._follower: Follower | None = None
        self._joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._spoke_at_s = time.monotonic()
        self.task = asyncio.create_task(self._run(), name=f"hub {session_id}")

    async def joined(self) -> None:
        """Wait until no later event can be missed. Raises Redis errors."""
        await asyncio.shield(self._joined)

    def add(self, viewer: Viewer) -> None:
        """Add a viewer that has received the finals up to `seq`."""
        if self._last is not None:
            viewer.show(self._last)
            return
        self.viewers.add(viewer)
        for frame in self._partials.values():
            viewer.show(frame)

    def fill(self) -> None:
        if self._follower is not None:
            self._follower.fill()

    def end(self, error: VoxtralError) -> None:
        """The session has ended, and no event said so until now."""
        if self._last is None:
            self._publish(error_frame(error, self.seq + 1))

    def is_quiet(self) -> bool:
        """Whether a message may have been lost."""
        return self._follower is not None and self._last is None and self._follower.is_quiet(QUIET_S)

    def check(self, now_s: float) -> None:
        """Drop viewers that do not read, and send the others a heartbeat."""
        for viewer in list(self.viewers):
            viewer.check()
        if now_s - self._spoke_at_s > HEARTBEAT_S:
            self._spoke_at_s = now_s
            for viewer in self.viewers:
                viewer.beat()

    async def _run(self) -> None:
        try:
            follower = self._follower = await self._subscriber.follow(self.session_id, self.seq)
        except BaseException as error:
            self._fail_to_join(error)
            raise
        self._joined.set_result(None)
        try:
            async for event in follower:
                self._publish(Frame(event))
        except Exception as error:  # noqa: BLE001 -- our bug; viewers learn that, and no internals
            self._publish(error_frame(incident(error, self.session_id)))
        finally:
            await self._subscriber.unfollow(follower)

    def _fail_to_join(self, error: BaseException) -> None:
        if isinstance(error, Exception):
            self._joined.set_exception(error)
        else:
            self._joined.cancel()

    def _publish(self, frame: Frame) -> None:
        if frame.seq is not None:
            self.seq = frame.seq
        if frame.is_partial:
            self._partials[frame.segment] = frame
            if len(self._partials) > MAX_OPEN_SEGMENTS:
                del self._partials[next(iter(self._partials))]
        elif frame.type == EventType.FINAL:
            self._partials.pop(frame.segment, None)
        elif frame.is_last:
            self._last = frame
        self._spoke_at_s = time.monotonic()
        for viewer in list(self.viewers):
            viewer.show(frame)
            if viewer.over.is_set():
                self.viewers.discard(viewer)
