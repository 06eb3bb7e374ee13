"""Live captions: any number of viewers can view a session with its viewer token.

All viewers of one session at one process share a `Hub`: one follower, one encoding of each event. It exists from the
first viewer to the last. A viewer that connects late, or again, first receives the finals that it lacks.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from frontend.access.session_tokens import is_session_id, matches
from frontend.viewers.broadcast import Hub
from frontend.viewers.viewer import STALL_S, Frame, Viewer
from shared.bus import keys
from shared.bus.event_log import EventSubscriber, LoggedEvent, parsed
from shared.bus.failures import reaching_store, store_error
from shared.bus.labels import read_transcript
from shared.bus.messages import EVENT_FIELD
from shared.bus.states import ACTIVE, SessionState, decoded
from shared.config.sections import ViewerSettings
from shared.errors import (
    ServerBusyError,
    SessionExpiredError,
    SessionUnknownError,
    ViewerSlowError,
    VoxtralError,
)
from shared.tasks import end_all

INTERVAL_S: Final = 1.0
RETRY_AFTER_S: Final = 2.0
"""The retry hint of a rejected viewer: others leave within seconds."""

log = structlog.get_logger(__name__)

T = TypeVar("T")
Tell = Callable[[Frame], Awaitable[None]]
"""Sends an event to one viewer, and waits while its connection is full."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of a session, as far as its viewers may know it."""

    session_id: str
    state: str
    seq: int
    """Number of its last event."""

    @property
    def is_live(self) -> bool:
        return self.state in ACTIVE

    @property
    def is_done(self) -> bool:
        """Whether it has ended without an error."""
        return self.state == SessionState.DONE


class Viewers:
    """The viewers of one process. Its loop `run` must run as well."""

    def __init__(self, redis: Redis, subscriber: EventSubscriber, settings: ViewerSettings) -> None:
        self._redis = redis
        self._subscriber = subscriber
        self._settings = settings
        self._hubs: dict[str, Hub] = {}
        self._taken: Counter[str] = Counter()
        """Number of viewers, by session."""

    def __len__(self) -> int:
        return self._taken.total()

    async def standing(self, session_id: str, token: str) -> Standing:
        """The state of the session, for a viewer with its token.

        Raises SessionUnknownError for a wrong token and for no session alike, SessionExpiredError for one that was
        cancelled, and StoreUnreachableError.
        """
        if not is_session_id(session_id):
            raise _unknown()
        with reaching_store():
            held = await self._redis.hmget(keys.session(session_id), ["viewer", "state", "seq"])
        stored, held_state, seq = cast("list[bytes | None]", held)
        if not matches(token, stored):
            raise _unknown()
        state = decoded(held_state)
        assert state is not None
        assert seq is not None
        if state == SessionState.CANCELLED:
            raise _cancelled()
        return Standing(session_id, state, int(seq))

    async def transcript(self, session_id: str) -> list[LoggedEvent]:
        """All finals of a session, and the events that name their speakers later. Raises StoreUnreachableError."""
        with reaching_store():
            return [event async for event in read_transcript(self._redis, session_id)]

    @contextlib.asynccontextmanager
    async def place(self, session_id: str, token: str) -> AsyncIterator["Place"]:
        """A viewer's place at a session. Raises what `standing` raises, and ServerBusyError if the limit is reached."""
        standing = await self.standing(session_id, token)
        self._check_room(session_id)
        self._taken[session_id] += 1
        try:
            with reaching_store():
                hub = await self._hub(standing) if standing.is_live else None
            yield Place(self._redis, standing, hub)
        finally:
            self._taken[session_id] -= 1
            if not self._taken[session_id]:
                del self._taken[session_id]
                await self._leave(session_id)

    async def run(self) -> None:
        """The loop; runs until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            hubs = list(self._hubs.values())
            now_s = time.monotonic()
            for hub in hubs:
                hub.check(now_s)
            quiet = [hub for hub in hubs if hub.is_quiet()]
            if quiet:
                try:
                    await self._look_up(quiet)
                except (RedisError, OSError) as error:
                    log.warning("viewers_watch_delayed", reason=str(error))

    async def close(self) -> None:
        hubs, self._hubs = list(self._hubs.values()), {}
        await end_all([hub.task for hub in hubs])

    async def _hub(self, standing: Standing) -> Hub:
        """The session's hub; concurrent callers wait for the same one."""
        hub = self._hubs.get(standing.session_id)
        if hub is None:
            hub = self._hubs[standing.session_id] = Hub(self._subscriber, standing.session_id, standing.seq)
        await hub.joined()
        return hub

    async def _leave(self, session_id: str) -> None:
        hub = self._hubs.pop(session_id, None)
        if hub is not None:
            await end_all([hub.task])

    def _check_room(self, session_id: str) -> None:
        for taken, limit, whose in (
            (len(self), self._settings.max_per_process, "this server"),
            (self._taken[session_id], self._settings.max_per_session, "this session"),
        ):
            if taken >= limit:
                raise ServerBusyError(
                    f"The limit of {limit} viewers of {whose} is reached.", retry_after_s=RETRY_AFTER_S
                )

    async def _look_up(self, quiet: list[Hub]) -> None:
        """A message may have been lost; and a session that was cancelled or has expired sends no event."""
        pipe = self._redis.pipeline(transaction=False)
        for hub in quiet:
            pipe.execute_command("HMGET", keys.session(hub.session_id), "state", "seq")
        for hub, (held_state, seq) in zip(quiet, await pipe.execute(), strict=True):
            state = decoded(held_state)
            if seq is not None and int(seq) > hub.seq:
                hub.fill()
            elif state == SessionState.CANCELLED:
                hub.end(_cancelled())
            elif state not in ACTIVE:
                hub.end(SessionExpiredError("The session has expired."))


class Place:
    """The place of one viewer: at a hub, or at a session that has ended."""

    def __init__(self, redis: Redis, standing: Standing, hub: Hub | None) -> None:
        self._redis = redis
        self._standing = standing
        self._hub = hub

    def has_all(self, after_seq: int) -> bool:
        """Whether no event will ever follow this one."""
        return self._hub is None and after_seq >= self._standing.seq

    async def follow(self, viewer: Viewer, after_seq: int, tell: Tell, left: Coroutine[Any, Any, T]) -> T | None:
        """Send the viewer the finals after `after_seq`, then new events, until they end or `left` returns.

        Returns the result of `left`; None if there is nothing more to send.
        """
        following = asyncio.create_task(self._follow(viewer, after_seq, tell), name="viewer")
        leaving = asyncio.create_task(left, name="viewer leaves")
        try:
            await asyncio.wait((following, leaving), return_when=asyncio.FIRST_COMPLETED)
            returned = leaving.result() if leaving.done() else None
        finally:
            await end_all((following, leaving))
        if not following.cancelled():
            following.result()
        return returned

    async def _follow(self, viewer: Viewer, after_seq: int, tell: Tell) -> None:
        try:
            async with asyncio.timeout(STALL_S) as patience:

                async def tell_patiently(frame: Frame) -> None:
                    await tell(frame)
                    patience.reschedule(asyncio.get_running_loop().time() + STALL_S)

                if self._hub is None:
                    await self._show_ended(viewer, after_seq, tell_patiently)
                else:
                    await self._catch_up(self._hub, viewer, after_seq, tell_patiently)
        except TimeoutError:
            viewer.drop(ViewerSlowError(f"The viewer has not read any events for {STALL_S:g} s."))
        except (RedisError, OSError) as error:
            viewer.drop(store_error(error))
        try:
            await viewer.over.wait()
        finally:
            if self._hub is not None:
                self._hub.viewers.discard(viewer)

    async def _catch_up(self, hub: Hub, viewer: Viewer, after_seq: int, tell: Tell) -> None:
        seq = after_seq
        while seq < hub.seq:
            upto = hub.seq
            async for event in read_transcript(self._redis, hub.session_id, seq, upto):
                await tell(Frame(event))
            seq = upto
        hub.add(viewer)

    async def _show_ended(self, viewer: Viewer, after_seq: int, tell: Tell) -> None:
        session_id = self._standing.session_id
        async for event in read_transcript(self._redis, session_id, after_seq):
            await tell(Frame(event))
        newest = await self._redis.xrevrange(keys.events(session_id), count=1)
        for _, fields in cast("list[tuple[bytes, dict[bytes, bytes]]]", newest):
            await tell(Frame(parsed(fields[EVENT_FIELD.encode()])))
        viewer.over.set()


def _unknown() -> VoxtralError:
    return SessionUnknownError("No session has this id and viewer token, or it ended too long ago.")


def _cancelled() -> VoxtralError:
    return SessionExpiredError("The session was cancelled.")
