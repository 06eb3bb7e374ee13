"""Keeps a worker's promises once in a while: leases, heartbeats, and the end of sessions that nobody needs."""

import asyncio
import os
import socket
import time
from collections.abc import Callable
from typing import Final

import structlog
from redis.exceptions import RedisError, ResponseError

from shared.bus import keys
from shared.bus.lua.sessions import FENCED, Scripts
from shared.bus.ownership import renew
from shared.bus.registry import Registry, WorkerReport
from shared.config import SessionSettings
from shared.errors import IdleTimeoutError
from shared.process import rss_bytes
from shared.protocol import OWN
from shared.version import VERSION
from worker.engines.base import EngineInfo
from worker.event_writer import EventWriter
from worker.gpu_memory import GpuMemory
from worker.session import WorkerSession
from worker.telemetry import Telemetry

TICK_S: Final = 0.1
"""Leases are renewed a few at a time: all of them at once would hold up the events of hundreds of sessions."""

log = structlog.get_logger()


class Keeper:
    def __init__(
        self,
        *,
        scripts: Scripts,
        registry: Registry,
        worker_id: str,
        info: EngineInfo,
        limits: SessionSettings,
        sessions: dict[str, WorkerSession],
        telemetry: Telemetry,
        writer: EventWriter,
        gpu_memory: Callable[[], GpuMemory],
        on_fenced: Callable[[WorkerSession], None],
    ) -> None:
        self._scripts = scripts
        self._registry = registry
        self._worker_id = worker_id
        self._info = info
        self._limits = limits
        self._sessions = sessions
        self._telemetry = telemetry
        self._writer = writer
        self._gpu_memory = gpu_memory
        self._on_fenced = on_fenced
        self._started_at = time.time()
        self.announced = False
        """Whether frontends are to know of this worker: from when on it takes tasks."""
        self.draining = False

    async def run(self) -> None:
        """The loop; runs until cancelled."""
        beat_at_s = 0.0
        redis_was_lost = False
        while True:
            now_s = time.monotonic()
            try:
                await self._renew([one for one in self._sessions.values() if one.renew_at_s <= now_s], now_s)
                if self.announced and now_s - beat_at_s >= keys.HEARTBEAT_INTERVAL_S:
                    beat_at_s = now_s
                    await self._registry.beat(self.report())
            except (RedisError, OSError) as error:
                log.warning("renewal_delayed", reason=str(error))
                redis_was_lost = True
            else:
                if redis_was_lost:
                    self._excuse()
                redis_was_lost = False
                self._end_idle(now_s)
            await asyncio.sleep(TICK_S)

    async def drain(self) -> None:
        """Take no session from now on, and say so at once."""
        self.draining = True
        await self._registry.beat(self.report())

    async def leave(self) -> None:
        await self._registry.leave(self.report())

    async def _renew(self, due: list[WorkerSession], now_s: float) -> None:
        if not due:
            return
        calls = []
        for session in due:
            gone_s = now_s - session.detached_s if session.detached_s is not None and session.is_awaited else None
            calls.append(renew(session.claim.owner, gone_s=gone_s))
        for session, reply in zip(due, await self._scripts.renew.many(calls), strict=True):
            if isinstance(reply, ResponseError):
                raise reply
            session.renew_at_s = now_s + keys.RENEW_INTERVAL_S
            if reply == FENCED:
                self._on_fenced(session)

    def _excuse(self) -> None:
        """Nobody could be heard while Redis was gone: idle times begin anew."""
        now_s = time.monotonic()
        for session in self._sessions.values():
            session.heard_from_s = now_s
            session.detached_s = now_s if session.detached_s is not None else None

    def _end_idle(self, now_s: float) -> None:
        for session in list(self._sessions.values()):
            if session.is_idle(now_s, self._limits.idle_timeout_s):
                session.fail(IdleTimeoutError(self._limits.idle_timeout_s))
                self._telemetry.errors[IdleTimeoutError.code] += 1
                self._writer.mark(session)

    def report(self) -> WorkerReport:
        real_time_factor, batch_size = self._telemetry.take_interval()
        gpu_memory = self._gpu_memory()
        return WorkerReport(
            id=self._worker_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=VERSION,
            started_at=self._started_at,
            engine=self._info.engine,
            model=self._info.model,
            device=self._info.device,
            compute_type=self._info.compute_type,
            modes=[mode.value for mode in self._info.modes],
            languages=list(self._info.languages),
            slots=self._info.slots,
            sessions=len(self._sessions),
            draining=self.draining,
            lag_ms=self._lag_ms(),
            real_time_factor=real_time_factor,
            batch_size=batch_size,
            step=self._telemetry.step(),
            latency=self._telemetry.latency(),
            rss_bytes=rss_bytes(),
            model_reason=self._info.reason,
            passes=self._info.passes,
            gpu_memory_used_bytes=gpu_memory.used_bytes,
            gpu_memory_total_bytes=gpu_memory.total_bytes,
            sessions_total=self._telemetry.sessions_total,
            heard_again_total=self._telemetry.heard_again_total,
            audio_s_total=round(self._telemetry.audio_s_total, 1),
            errors=dict(self._telemetry.errors),
            protocol=OWN,
        )

    def _lag_ms(self) -> float:
        waiting = [since for session in self._sessions.values() if (since := session.waiting_since_ms()) is not None]
        return round(max(0.0, time.time() * 1000 - min(waiting)), 1) if waiting else 0.0
