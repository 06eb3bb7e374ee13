"""Reports this worker to the frontends once a second: its model, its load, its lag."""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterable

import structlog
from redis.exceptions import RedisError

from shared.bus import keys
from shared.bus.registry import Registry, WorkerReport
from shared.event_loop_delay import EventLoopDelay
from shared.process import resources, rss_bytes
from shared.protocol import OWN
from shared.version import VERSION
from worker.engines.base import EngineInfo
from worker.gpu_memory import GpuMemory
from worker.second_pass.second_pass import SecondPass
from worker.session import WorkerSession
from worker.telemetry import Telemetry

log = structlog.get_logger()


class Heartbeat:
    """Sends nothing before `announce` and after `leave`."""

    def __init__(
        self,
        *,
        registry: Registry,
        worker_id: str,
        info: EngineInfo,
        sessions: dict[str, WorkerSession],
        telemetry: Telemetry,
        gpu_memory: Callable[[], GpuMemory],
        loop_delay: EventLoopDelay,
        speaker_model: str = "",
        second: SecondPass | None = None,
    ) -> None:
        self._registry = registry
        self._worker_id = worker_id
        self._info = info
        self._sessions = sessions
        self._telemetry = telemetry
        self._gpu_memory = gpu_memory
        self._speaker_model = speaker_model
        self._second = second
        self._loop_delay = loop_delay
        self._started_at = time.time()
        self._announced = asyncio.Event()
        self.draining = False
        """Whether the worker accepts no more sessions."""

    async def run(self) -> None:
        """The loop; runs until cancelled. It waits while Redis is unavailable."""
        while True:
            await self._announced.wait()
            try:
                await self._registry.beat(self.report())
            except (RedisError, OSError) as error:
                log.warning("heartbeat_delayed", reason=str(error))
            await asyncio.sleep(keys.HEARTBEAT_INTERVAL_S)

    def announce(self) -> None:
        """The worker accepts tasks from now on: report it at once."""
        self._announced.set()

    async def drain(self) -> None:
        """Accept no more sessions, and report that at once. Raises Redis' errors."""
        self.draining = True
        await self._registry.beat(self.report())

    async def leave(self) -> None:
        """Report that the worker is gone. Raises Redis' errors."""
        self._announced.clear()
        await self._registry.leave(self.report())

    def report(self) -> WorkerReport:
        """The current report; figures cover the time since the last report."""
        real_time_factor, batch_size = self._telemetry.take_interval()
        gpu_memory = self._gpu_memory()
        now_s = time.monotonic()
        load, overloaded = self._telemetry.load.measure(now_s)
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
            load=load,
            overloaded=overloaded,
            lag_ms=lag_ms(self._sessions.values(), time.time() * 1000),
            real_time_factor=real_time_factor,
            batch_size=batch_size,
            step=self._telemetry.step(now_s),
            latency=self._telemetry.latency(now_s),
            rss_bytes=rss_bytes(),
            model_reason=self._info.reason,
            slots_reason=self._info.slots_reason,
            passes=self._info.passes,
            gpu_memory_used_bytes=gpu_memory.used_bytes,
            gpu_memory_total_bytes=gpu_memory.total_bytes,
            sessions_total=self._telemetry.sessions_total,
            heard_again_total=self._telemetry.heard_again_total,
            second_model=self._second.name if self._second is not None else "",
            revisions_pending=len(self._second.backlog) if self._second is not None else 0,
            audio_s_total=round(self._telemetry.audio_s_total, 1),
            speaker_model=self._speaker_model,
            protocol=OWN,
            resources=resources(),
            event_loop_delay_ms=self._loop_delay.longest_ms,
            slots_used=sum(session.slots for session in self._sessions.values()),
        )


def lag_ms(sessions: Iterable[WorkerSession], now_ms: float) -> float:
    """Age of the oldest audio of live sessions that waits for the model; 0 if none waits. `now_ms` is wall clock.

    A recording arrives faster than it is processed, so its audio always waits.
    """
    live = (session for session in sessions if not session.options.recording)
    waiting = [since for session in live if (since := session.waiting_since_ms()) is not None]
    return round(max(0.0, now_ms - min(waiting)), 1) if waiting else 0.0
