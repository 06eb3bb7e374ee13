"""One frontend process: creates, starts and stops its parts, in order.

Nothing else creates them. Each part receives what it needs, and knows of no other.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final, Self

from redis.asyncio import Redis
from redis.exceptions import RedisError

from frontend.access.access import Access
from frontend.connections.connections import Connections
from frontend.decoding.decoders import Decoders
from frontend.monitoring.process_report import Tally
from frontend.sessions.admission import Admission
from frontend.sessions.disk_rewriting import DiskWatch
from frontend.sessions.erasure import Erasure
from frontend.sessions.gateway import Gateway
from frontend.sessions.outage import Outage
from frontend.sessions.placement import Placement
from frontend.sessions.recordings import Recordings
from frontend.sessions.recovery import Recovery
from frontend.sessions.session import Session
from frontend.sessions.tracing import SessionTraces
from frontend.sessions.voices import Voices
from frontend.viewers.viewers import Viewers
from shared.bus.audio import AudioWriter
from shared.bus.connect import connect
from shared.bus.event_log import EventSubscriber
from shared.bus.lua.sessions import Scripts
from shared.bus.registry import Registry
from shared.bus.totals import TotalsWriter
from shared.config.settings import Settings
from shared.dispatch import Dispatcher
from shared.metrics.metrics import Metrics
from shared.tasks import end_all, failing_with
from shared.tracing import Traces

LAST_WRITES_S: Final = 1.0
"""Time limit at shutdown for writing the remaining audio and for announcing that this process leaves."""


class FrontendProcess:
    """The parts of one process. Create it with `FrontendProcess.running`."""

    def __init__(self, settings: Settings, kind: str) -> None:
        self._redis: Redis = connect(settings)
        """For live sessions, the watches and heartbeats. New clients do not delay it."""
        self._arrivals: Redis = connect(settings)
        scripts = Scripts(self._arrivals, settings.redis.confirm_replicas)
        claim_timeout_s = settings.session.claim_timeout_s
        self.registry = Registry(self._arrivals, scripts)
        placement = Placement(self.registry)
        self._writer = AudioWriter(settings)
        self.subscriber = EventSubscriber(self._redis)
        self.dispatcher = Dispatcher(settings)
        metrics = Metrics()
        self._totals = TotalsWriter(self._redis, metrics)
        self.access = Access(settings, self._arrivals, metrics)
        self.erasure = Erasure(self._arrivals, scripts, self.access)
        self._traces = SessionTraces(Traces.of(settings.tracing, kind))
        self._decoders = Decoders(settings.audio.decoders, claim_timeout_s, most_live=settings.audio.live_decoders)
        sessions: dict[str, Session] = {}
        self._recovery = Recovery(
            self._redis, sessions, self.dispatcher.dispatch, claim_timeout_s, starting=self.registry.starting
        )
        self._outage = Outage(self._redis, self._writer, sessions, self._recovery)
        self.gateway = Gateway(
            settings.session,
            self._arrivals,
            sessions,
            access=self.access,
            placement=placement,
            admission=Admission(self.registry, placement, claim_timeout_s),
            writer=self._writer,
            subscriber=self.subscriber,
            dispatcher=self.dispatcher,
            recovery=self._recovery,
            erasure=self.erasure,
            traces=self._traces,
            voices=Voices(self._arrivals, self._decoders, placement),
        )
        self.viewers = Viewers(self._arrivals, self.subscriber, settings.viewers)
        self.tally = Tally(kind, self.gateway, self.viewers, metrics)
        self.recordings = Recordings(self.gateway, self._decoders, settings.audio, metrics)
        self.connections = Connections(
            settings, self.gateway, self.access, decoders=self._decoders, recordings=self.recordings, tally=self.tally
        )
        self._disk_watch = DiskWatch(self._redis, settings.session.retention_s)

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, settings: Settings, kind: str) -> AsyncIterator[Self]:
        """A process with its background tasks; at the end, its sessions are detached and Redis is closed.

        If a background task fails, which is our bug, the process ends with its error: it would serve on without what
        the task does, such as the revocation of keys.

        `kind` is the name of the frontend (`websocket`, `tcp`, `web`) in reports.
        """
        process = cls(settings, kind)
        loops = [asyncio.create_task(loop, name=name) for name, loop in process._loops().items()]
        try:
            async with failing_with(loops):
                yield process
        finally:
            await process._shut_down(loops)

    def _loops(self) -> dict[str, Coroutine[Any, Any, None]]:
        return {
            "audio-writer": self._writer.run(),
            "subscriber": self.subscriber.run(),
            "recovery": self._recovery.run(),
            "outage": self._outage.run(),
            "disk-watch": self._disk_watch.run(),
            "viewers": self.viewers.run(),
            "heartbeat": self.tally.beat(Registry(self._redis, Scripts(self._redis))),
            "loop-delay": self.tally.loop_delay.run(),
            "totals": self._totals.run(),
            "access": self.access.run(),
            "decoders": self._decoders.run(),
        }

    async def _shut_down(self, loops: list[asyncio.Task[None]]) -> None:
        self.gateway.detach_all()
        await self.viewers.close()
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(LAST_WRITES_S):
                await self._writer.flushed()
                await self._totals.flush()
                await self.registry.leave(self.tally.report())
        await end_all(loops)
        await self.gateway.close()
        await asyncio.to_thread(self._traces.close)
        await self.access.close()
        self.dispatcher.close()
        await self.subscriber.close()
        await self._writer.close()
        await self._redis.aclose()
        await self._arrivals.aclose()
