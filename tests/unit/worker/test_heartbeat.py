"""What a worker reports of itself, and when."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.bus import keys
from shared.bus.lua.sessions import Scripts
from shared.bus.registry import Registry
from shared.event_loop_delay import EventLoopDelay
from shared.session_options import Mode, SessionOptions
from tests.unit.redis_in_memory import answered
from tests.unit.worker.claimed_sessions import claimed
from worker.engines.base import EngineInfo
from worker.gpu_memory import GpuMemory
from worker.heartbeat import Heartbeat, lag_ms
from worker.session import WorkerSession
from worker.telemetry import Telemetry

INFO = EngineInfo(
    engine="echo", model="echo", device="cpu", compute_type="none", modes=(Mode.TRANSCRIBE,), languages=(), slots=4
)


class Reports:
    """Redis as it gets the reports."""

    def __init__(self) -> None:
        self.reports: list[dict[str, Any]] = []
        self.commands: list[str] = []
        self.arguments: Sequence[str] = ()
        """Of the last heartbeat."""
        self.faults = 0
        """So many commands find no Redis."""
        self.reported = asyncio.Event()

    def __call__(self, command: str, *words: str) -> Any:
        if self.faults:
            self.faults -= 1
            raise RedisConnectionError("gone")
        self.commands.append(command)
        if command == "EVALSHA":
            self.arguments = words[2 + int(words[1]) :]
            self.reports.append(orjson.loads(self.arguments[2]))
            self.reported.set()
        return 1

    async def next(self) -> dict[str, Any]:
        self.reported.clear()
        async with asyncio.timeout(10):
            await self.reported.wait()
        return self.reports[-1]


@pytest.fixture
async def redis() -> Reports:
    return Reports()


@pytest.fixture
def sessions() -> dict[str, WorkerSession]:
    return {}


@pytest.fixture
async def beating(redis: Reports, sessions: dict[str, WorkerSession], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(keys, "HEARTBEAT_INTERVAL_S", 0.0)
    client = answered(redis)
    beat = Heartbeat(
        registry=Registry(client, Scripts(client)),
        worker_id="w1",
        info=INFO,
        sessions=sessions,
        telemetry=Telemetry(),
        gpu_memory=GpuMemory,
        loop_delay=EventLoopDelay(),
    )
    loop = asyncio.create_task(beat.run())
    yield beat
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


async def test_worker_reports_nothing_before_it_takes_tasks(
    redis: Reports, beating: Heartbeat, sessions: dict[str, WorkerSession]
) -> None:
    for _ in range(10):
        await asyncio.sleep(0)
    assert redis.commands == []
    sessions["s1"] = claimed()
    beating.announce()
    report = await redis.next()
    assert (report["id"], report["model"], report["slots"], report["sessions"]) == ("w1", "echo", 4, 1)
    assert not report["draining"]


async def test_draining_is_reported_at_once(redis: Reports, beating: Heartbeat) -> None:
    await beating.drain()
    assert redis.reports[-1]["draining"]
    assert redis.arguments[3] == "", "it offers no slots"


async def test_lost_redis_is_waited_for(redis: Reports, beating: Heartbeat) -> None:
    redis.faults = 3
    beating.announce()
    assert (await redis.next())["id"] == "w1"


async def test_worker_that_has_left_reports_nothing_more(redis: Reports, beating: Heartbeat) -> None:
    beating.announce()
    await redis.next()
    await beating.leave()
    count = len(redis.reports)
    for _ in range(200):
        await asyncio.sleep(0)
    assert len(redis.reports) <= count + 1, "one that was on its way"
    assert "DEL" in redis.commands


def test_lag_is_that_of_the_audio_that_waits_longest() -> None:
    idle, one, other = claimed("s1"), claimed("s2"), claimed("s3")
    one.arrived(1600, 2000.0, 0.0)
    other.arrived(1600, 1500.0, 0.0)
    assert lag_ms([], 3000.0) == lag_ms([idle], 3000.0) == 0.0
    assert lag_ms([idle, one, other], 3000.0) == 1500.0
    assert lag_ms([other], 1000.0) == 0.0, "clocks of two machines"


def test_recordings_have_no_lag() -> None:
    recording = claimed(options=SessionOptions(recording=True))
    recording.arrived(1600, 1500.0, 0.0)
    assert lag_ms([recording], 3000.0) == 0.0
