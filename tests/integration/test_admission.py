"""When every slot is taken: which sessions are rejected, which wait, and whose slot becomes free."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any

import pytest
from redis.asyncio import Redis

from frontend.access.session_tokens import identity_of
from frontend.client import ServerError, TranscriptionClient
from frontend.process import FrontendProcess
from frontend.sessions.gateway import Gateway
from frontend.sessions.session import Session
from shared.bus import keys
from shared.errors import SessionResumedError
from shared.session_options import SessionOptions
from shared.tasks import end_all
from tests.integration.native_clients import (
    FRONTENDS,
    Client,
    TcpClient,
    WebSocketClient,
    ask,
    open_client,
    reset,
    tell,
    token_of,
    tone,
    until,
)
from tests.integration.owners import admitted, claim, renew
from tests.limits import limit_s
from tests.stack import Stack

pytestmark = pytest.mark.redis_server


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
async def frontend(service: Stack) -> AsyncIterator[FrontendProcess]:
    async with FrontendProcess.running(service.settings, "test") as running:
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


async def test_of_two_frontends_one_opens_the_session_of_an_identity(service: Stack, frontend: FrontendProcess) -> None:
    identity = identity_of("secret", "call")
    async with FrontendProcess.running(service.settings, "other") as other:
        openings = [one.gateway.open(SessionOptions(), identity=identity) for one in (frontend, other)]
        found = await asyncio.gather(*openings, return_exceptions=True)
        [error] = [one for one in found if isinstance(one, BaseException)]
        assert isinstance(error, SessionResumedError)
        [session] = [one for one in found if isinstance(one, Session)]
        await session.write(bytes(tone(0.5)))
        await session.finish()
        assert [event.type async for event in session.events()][-1] == "done"


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


async def test_leaving_the_queue_delays_no_other_request(gateway: Gateway) -> None:
    held = await gateway.open(SessionOptions())
    leaving = asyncio.create_task(gateway.open(SessionOptions(), queue="batch"))
    await asyncio.sleep(0.15)
    staying = asyncio.create_task(gateway.open(SessionOptions(), queue="batch"))
    await asyncio.sleep(0.15)
    await end_all([leaving])
    await held.cancel()
    session = await asyncio.wait_for(staying, limit_s(5))
    await session.cancel()


def start(client: Client, **options: object) -> dict[str, Any]:
    """The answer to `start`, as soon as the session that had the slot before has been processed."""
    deadline_s = time.monotonic() + 10
    while True:
        answer = ask(client, type="start", **options)
        if answer["type"] == "ready" or time.monotonic() > deadline_s:
            return answer


@pytest.mark.parametrize("frontend", FRONTENDS)
def test_slot_of_a_client_that_leaves_is_free_and_its_audio_is_answered(service: Stack, frontend: str) -> None:
    client = open_client(service, frontend)
    token = token_of(start(client, partials=False))
    client.send_audio(tone(1))
    client.close()

    with closing(open_client(service, "websocket")) as other:
        assert start(other)["type"] == "ready"
    with closing(open_client(service, "websocket")) as late:
        assert ask(late, type="resume", seq=1, **token)["ended"]
        final, done = until(late, "done")
        assert (final["end"], done["duration"]) == (1.0, 1.0)


def test_tcp_client_that_only_stops_sending_hears_the_rest(service: Stack) -> None:
    client = open_client(service, "tcp")
    assert isinstance(client, TcpClient)
    start(client, partials=False)
    client.send_audio(tone(1))
    client.socket.shutdown(socket.SHUT_WR)
    assert [event["type"] for event in until(client, "done")] == ["final", "done"]
    assert client.receive() is None
    client.close()


@pytest.mark.parametrize(("frontend", "code"), [("websocket", 4000), ("web", 4000), ("tcp", None)])
def test_session_of_a_client_that_may_return_waits_for_it(service: Stack, frontend: str, code: int | None) -> None:
    client = open_client(service, frontend)
    token = token_of(start(client, partials=False, acknowledge=frontend == "tcp"))
    client.send_audio(tone(1))
    tell(client, type="commit")
    until(client, "final")
    if isinstance(client, WebSocketClient):
        assert code
        client.connection.close(code)
    client.close()

    with closing(open_client(service, frontend)) as again:
        assert ask(again, type="resume", seq=2, **token)["ended"] is False
        again.send_audio(tone(1))
        tell(again, type="stop")
        assert until(again, "done")[-1]["duration"] == 2.0


def test_session_without_its_client_gives_way_and_says_so(service: Stack) -> None:
    client = open_client(service, "websocket")
    token = token_of(start(client, partials=False))
    client.send_audio(tone(1))
    reset(client)

    with closing(open_client(service, "websocket")) as other:
        assert start(other)["type"] == "ready"
        with closing(open_client(service, "websocket")) as late:
            assert ask(late, type="resume", seq=1, **token)["ended"]
            final, error = until(late, "error")
            assert (final["end"], error["code"]) == (1.0, "session_expired")
            assert "start a new session" in error["message"]


async def test_live_session_waits_for_the_slot_of_one_that_gives_way(service: Stack, gateway: Gateway) -> None:
    held = await gateway.open(SessionOptions())
    await held.write(tone(1))
    held.detach()
    async with Redis(port=service.settings.redis.port) as redis:
        while not await redis.zcard(keys.awaiting("echo")):  # noqa: ASYNC110 -- another process tells Redis
            await asyncio.sleep(0)
    session = await gateway.open(SessionOptions())
    await session.cancel()


async def test_sessions_without_a_client_for_longest_lose_their_slots_first(redis: Redis) -> None:
    owners = {}
    for name in ("one", "two", "three"):
        assert await admitted(redis, name, capacity=3)
        owners[name] = await claim(redis, "w1", name)
    for name, gone_s in (("one", 3.0), ("two", 5.0), ("three", None)):
        await renew(redis, owners[name], gone_s=gone_s)
    for newcomer in ("four", "five"):
        assert await admitted(redis, newcomer, capacity=3)
    assert not await admitted(redis, "six", capacity=3)
    told = [fields[b"give_way"] for _, fields in await redis.xrange(keys.control("w1"))]
    assert told == [b"two", b"one"]


async def test_session_gives_way_neither_at_once_nor_when_its_client_is_back(redis: Redis) -> None:
    assert await admitted(redis, "one", capacity=1)
    owner = await claim(redis, "w1", "one")
    await renew(redis, owner, gone_s=0.0)
    assert not await admitted(redis, "two", capacity=1)
    await renew(redis, owner, gone_s=9.0)
    await renew(redis, owner, gone_s=None)
    assert not await admitted(redis, "two", capacity=1)
