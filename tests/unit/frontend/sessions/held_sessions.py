"""A session as a frontend holds it, on a transport in memory."""

import asyncio
from typing import Any

from redis.asyncio import Redis

from frontend.access.limiter import Limiter
from frontend.access.meter import Meter
from frontend.access.principal import ANONYMOUS
from frontend.sessions.session import Session
from shared.bus.attachment import Attachment
from shared.bus.audio import AudioWriter
from shared.bus.event_log import Follower
from shared.errors import VoxtralError
from shared.metrics.families import AUDIO
from shared.metrics.metrics import Metrics
from shared.session_options import SessionOptions
from shared.tasks import BackgroundTasks
from tests.limits import limit_s
from tests.unit.redis_in_memory import Clock


class Indifferent:
    """A `SessionListener` that does nothing."""

    async def on_cancelled(self, session: Session) -> None: ...

    def on_revoked(self, session: Session, error: VoxtralError) -> None: ...

    def on_ended(self, session: Session, follower: Follower) -> None: ...


class Held:
    """One session, its follower, and what the session has told its client."""

    def __init__(self, redis: Redis, writer: AudioWriter, clock: Clock, session_id: str) -> None:
        self.follower = Follower(redis, session_id, after_seq=0, clock=clock)
        self.session = Session(
            session_id=session_id,
            resume_token="token",
            options=SessionOptions(model="echo"),
            queue="stream",
            track=writer.track(session_id, Attachment()),
            follower=self.follower,
            max_backlog_s=1.0,
            meter=Meter(
                session_id,
                ANONYMOUS,
                None,
                Limiter(redis),
                usage=Metrics().counter(AUDIO, ANONYMOUS.name),
                start=BackgroundTasks().start,
                forget=lambda _: None,
            ),
            listener=Indifferent(),
        )

    def hear(self) -> None:
        """Something comes from the worker."""
        self.follower.push(b'{"type":"progress","consumed":0}')

    async def last_event(self) -> dict[str, Any]:
        """The event that ends the session."""
        async with asyncio.timeout(limit_s(10)):
            return [event.wire async for event in self.session.events()][-1]

    async def next_event(self) -> dict[str, Any]:
        async with asyncio.timeout(limit_s(10)):
            return (await anext(self.session.events())).wire
