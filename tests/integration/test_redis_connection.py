"""How commands reach Redis: at once, within a time, and over TLS only to whom the certificate says."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from frontend.process import FrontendProcess
from shared.bus.connect import connect
from shared.bus.redis_internals import PackedTcpConnection
from shared.config.sections import RedisSettings
from shared.config.settings import Settings
from shared.dispatch import Dispatcher
from shared.session_options import SessionOptions
from tests.certificates import Certificate
from tests.integration.workers import SECOND, Fleet, Link, assert_whole, events_of
from tests.limits import limit_s
from tests.stack import Stack


@pytest.fixture(scope="module")
def service(server: Stack) -> Stack:
    return server


@pytest.fixture
async def tls_url(service: Stack, certificate: Certificate) -> AsyncIterator[str]:
    """The service's Redis with TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.path, certificate.key_path)
    async with Link.to(service, context) as link:
        yield f"rediss://localhost:{link.port}/0"


def at(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"redis": RedisSettings(url=url)})


async def test_commands_are_sent_without_a_task_of_their_own(redis: Redis) -> None:
    await redis.ping()
    started: list[str] = []

    def counted(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        started.append(coroutine.__qualname__)
        return asyncio.Task(coroutine, loop=loop)

    loop = asyncio.get_running_loop()
    loop.set_task_factory(counted)
    try:
        for _ in range(10):
            await redis.set("a", "b")
    finally:
        loop.set_task_factory(None)
    assert started == []


async def test_command_whose_connection_is_lost_is_not_repeated(service: Stack, redis: Redis) -> None:
    """Redis may have executed it, so its caller decides."""
    client = connect(service.settings)
    client_id = await client.client_id()
    taken = asyncio.create_task(client.blpop(["lost"], timeout=limit_s(10)))
    try:
        async with asyncio.timeout(limit_s(10)):
            while (await redis.client_list(client_id=[client_id]))[0]["cmd"] != "blpop":
                pass
        await redis.client_kill_filter(_id=client_id)
        with pytest.raises(RedisConnectionError):
            await taken
        await redis.rpush("lost", "value")
        assert await redis.llen("lost") == 1
    finally:
        await redis.delete("lost")
        await client.aclose()


async def test_server_that_takes_nothing_is_given_up() -> None:
    async def greet(_: Any) -> None:
        """Nothing is said at first: the command below is what is sent."""

    with socket.create_server(("127.0.0.1", 0)) as deaf:
        _, port = deaf.getsockname()
        connection = PackedTcpConnection(host="127.0.0.1", port=port, socket_timeout=0.2, redis_connect_func=greet)
        await connection.connect()
        with pytest.raises(RedisTimeoutError, match="writing"):
            await connection.send_command("SET", "a", bytes(50_000_000))
        assert not connection.is_connected


async def test_session_over_tls(fleet: Fleet, tls_url: str, certificate: Certificate) -> None:
    url = f"{tls_url}?ssl_ca_certs={certificate.path}"
    await fleet.start("worker", REDIS_URL=url)
    async with FrontendProcess.running(at(fleet.service.settings, url), "tls") as frontend:
        gateway = frontend.gateway
        session = await gateway.open(SessionOptions())
        await session.write(SECOND)
        await session.finish()
        assert_whole(await events_of(session), 1.0)


async def test_server_that_nobody_vouches_for_is_told_nothing(service: Stack, tls_url: str) -> None:
    settings = at(service.settings, tls_url)
    redis = connect(settings)
    with pytest.raises(RedisConnectionError, match="certificate verify failed"):
        await redis.ping()
    await redis.aclose()
    dispatcher = Dispatcher(settings)
    try:
        with pytest.raises(ConnectionError, match="certificate verify failed"):
            async with asyncio.timeout(limit_s(20)):
                await dispatcher.dispatch("s1", SessionOptions(model="echo"), "stream")
    finally:
        dispatcher.close()
