"""What a worker reports regularly: its heartbeat, its sessions to operators, and its share of the service's totals."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from redis.exceptions import RedisError

from shared.bus.registry import Registry
from shared.bus.totals import TotalsWriter
from shared.event_loop_delay import EventLoopDelay
from worker.gpu_memory import GpuMemory
from worker.heartbeat import Heartbeat
from worker.redis_clients import RedisClients
from worker.second_pass.second_pass import SecondPass
from worker.served import ServedReports
from worker.speakers.model_file import model_name
from worker.state import WorkerState

log = structlog.get_logger()


class Reports:
    def __init__(
        self,
        state: WorkerState,
        clients: RedisClients,
        *,
        gpu_memory: Callable[[], GpuMemory],
        second: SecondPass | None,
    ) -> None:
        self._loop_delay = EventLoopDelay()
        self._heartbeat = Heartbeat(
            registry=Registry(clients.redis, clients.scripts),
            worker_id=state.worker_id,
            info=state.info,
            sessions=state.sessions,
            telemetry=state.telemetry,
            gpu_memory=gpu_memory,
            speaker_model=model_name(state.settings.speakers.model_path),
            second=second,
            loop_delay=self._loop_delay,
        )
        self._served = ServedReports(clients.redis, state.worker_id, state.sessions)
        self._totals = TotalsWriter(clients.redis, state.telemetry.metrics)

    def loops(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What must run, by name, until it is cancelled."""
        return {
            "heartbeat": self._heartbeat.run(),
            "served": self._served.run(),
            "totals": self._totals.run(),
            "loop-delay": self._loop_delay.run(),
        }

    @property
    def draining(self) -> bool:
        """Whether the worker accepts no more sessions."""
        return self._heartbeat.draining

    def announce(self) -> None:
        """The worker accepts tasks from now on."""
        self._heartbeat.announce()

    async def drain(self) -> None:
        """Accept no more sessions, and report that at once."""
        try:
            await self._heartbeat.drain()
        except (RedisError, OSError) as error:
            log.warning("drain_not_announced", reason=str(error))

    async def leave(self, timeout_s: float) -> None:
        """Report that the worker is gone, and what is left of the totals."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._heartbeat.leave()
                await self._totals.flush()
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("leave_not_recorded", reason=str(error))
