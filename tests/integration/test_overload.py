"""A worker that is overloaded gets no new session, by its heartbeat on a real server."""

import asyncio
from collections.abc import Sequence

import pytest
from redis.asyncio import Redis

from frontend.sessions.admission import Admission
from frontend.sessions.placement import CACHE_S, Placement
from shared.bus.lua.sessions import Scripts
from shared.bus.registry import Registry
from shared.errors import ServerBusyError
from shared.event_loop_delay import EventLoopDelay
from shared.session_options import SessionOptions
from tests.integration.owners import claim
from tests.limits import limit_s
from worker.engines.echo import EchoEngine
from worker.gpu_memory import GpuMemory
from worker.heartbeat import Heartbeat
from worker.load import MIN_PASSES
from worker.telemetry import Telemetry

FRAME_MS = 80.0
SLOTS = 3


class Workers:
    """Two workers, reduced to their heartbeats, and a frontend."""

    def __init__(self, redis: Redis) -> None:
        self._registry = Registry(redis, Scripts(redis))
        self._heartbeats = {name: self._heartbeat(name) for name in ("a", "b")}
        self._placement = Placement(self._registry)
        self.admission = Admission(self._registry, self._placement, claim_timeout_s=limit_s(5))

    def _heartbeat(self, name: str) -> Heartbeat:
        return Heartbeat(
            registry=self._registry,
            worker_id=name,
            info=EchoEngine(SLOTS).info,
            sessions={},
            telemetry=Telemetry(FRAME_MS),
            gpu_memory=lambda: GpuMemory(None, None),
            loop_delay=EventLoopDelay(),
        )

    async def beat(self, *names: str, **passes_ms: Sequence[float]) -> None:
        """Heartbeats of these workers, after passes that took so long; returns once the frontend has read them."""
        for name in names:
            heartbeat = self._heartbeats[name]
            heartbeat._telemetry.load.observe(passes_ms.get(name, ()), asyncio.get_running_loop().time())
            await self._registry.beat(heartbeat.report())
        self._placement._read_at_s -= CACHE_S
        await self._placement.workers()

    async def admit(self, session_id: str) -> SessionOptions:
        return await self.admission.admit(session_id, "token", SessionOptions(), waits=False)


@pytest.fixture
async def workers(redis: Redis) -> Workers:
    return Workers(redis)


async def test_new_sessions_go_to_the_worker_that_is_not_overloaded(redis: Redis, workers: Workers) -> None:
    await workers.beat("a", "b", a=[70.0] * MIN_PASSES)
    for number in range(SLOTS):
        await workers.admit(f"s{number}")
        assert await claim(redis, "a", f"s{number}") is None, "it passes the task on"
        assert await claim(redis, "b", f"s{number}") is not None
    with pytest.raises(ServerBusyError):
        await workers.admit("one too many")


async def test_no_session_is_admitted_while_every_worker_is_overloaded(workers: Workers) -> None:
    await workers.beat("a", "b", a=[70.0] * MIN_PASSES, b=[90.0] * MIN_PASSES)
    with pytest.raises(ServerBusyError) as caught:
        await workers.admit("s1")
    assert caught.value.retry_after_s
    recording = asyncio.create_task(workers.admission.admit("r", "token", SessionOptions(), waits=True))
    await workers.beat("a", "b", b=[30.0] * 4000)
    assert (await recording).model == "echo", "a recording waits until a worker is relieved"


async def test_session_of_a_dead_worker_is_taken_over_all_the_same(redis: Redis, workers: Workers) -> None:
    await workers.beat("a", "b")
    await workers.admit("s1")
    await workers.beat("a", "b", a=[70.0] * MIN_PASSES, b=[70.0] * MIN_PASSES)
    assert await claim(redis, "a", "s1") is not None
