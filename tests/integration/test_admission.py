"""When every slot is taken: live sessions hear it at once, recordings wait in the order in which they came."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from frontend.client import ServerError, TranscriptionClient
from frontend.gateway import Gateway
from shared.ending import end_all
from shared.events import SessionOptions
from tests.stack import Stack


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service with one slot."""
    stack = Stack(tmp_path_factory.mktemp("admission"), model={"slots": 1})
    try:
        stack.start("redis", "worker", "websocket", "tcp", "web", "health")
        yield stack
    finally:
        stack.stop_all()


@pytest.fixture
async def gateway(service: Stack) -> AsyncIterator[Gateway]:
    async with Gateway.running(service.settings, "test") as running:
        yield running


async def test_live_session_is_refused_before_it_sends_audio(service: Stack) -> None:
    async with TranscriptionClient(service.ws_url) as client, client.live():
        times_ms = []
        for _ in range(10):
            asked_at_s = time.perf_counter()
            with pytest.raises(ServerError) as raised:
                async with client.live():
                    pass
            times_ms.append((time.perf_counter() - asked_at_s) * 1000)
            assert raised.value.code == "server_busy"
            assert raised.value.retry_after_s
    print(f"server_busy, with the connection made for it: {sorted(times_ms)[5]:.1f} ms, worst {max(times_ms):.1f} ms")


async def test_recordings_get_the_slot_in_the_order_in_which_they_came(gateway: Gateway) -> None:
    held = await gateway.open(SessionOptions())
    served: list[int] = []

    async def wait_and_use(number: int) -> None:
        session = await gateway.open(SessionOptions(), queue="batch")
        served.append(number)
        await session.cancel()

    async with asyncio.TaskGroup() as tasks:
        for number in range(6):
            tasks.create_task(wait_and_use(number))
            await asyncio.sleep(0.03)
        await held.cancel()
    assert served == list(range(6))


async def test_who_leaves_the_line_holds_nobody_up(gateway: Gateway) -> None:
    held = await gateway.open(SessionOptions())
    leaving = asyncio.create_task(gateway.open(SessionOptions(), queue="batch"))
    await asyncio.sleep(0.15)
    staying = asyncio.create_task(gateway.open(SessionOptions(), queue="batch"))
    await asyncio.sleep(0.15)
    await end_all([leaving])
    await held.cancel()
    session = await asyncio.wait_for(staying, 5)
    await session.cancel()
