"""Celery's queues in a Redis of their own: `REDIS_BROKER_URL`."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from redis.asyncio import Redis

from frontend.access.operators import Operators
from frontend.cli.checks.check import State
from frontend.cli.checks.service import check_broker
from frontend.health import create_app
from shared.bus.connect import connect_to
from shared.config.settings import Settings
from shared.session_options import SessionOptions
from tests.integration.workers import SECOND, Fleet, assert_whole, emptied, events_of, redis_alone
from tests.stack import Stack, free_ports

pytestmark = pytest.mark.redis_server


@pytest.fixture(scope="module")
def service(server: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Its sessions are in a Redis of its own, and its queues in the one that other tests use."""
    with redis_alone(tmp_path_factory.mktemp("broker"), redis={"broker_url": server.redis_url}) as stack:
        yield stack


@pytest.fixture
async def broker(server: Stack) -> AsyncIterator[Redis]:
    async with emptied(server) as redis:
        yield redis


async def test_sessions_and_queues_are_in_different_servers(broker: Redis, fleet: Fleet) -> None:
    await fleet.start("worker")
    session = await fleet.gateway.open(SessionOptions())
    await session.write(SECOND)
    await session.finish()
    assert_whole(await events_of(session), 1.0)
    queues, sessions = await broker.keys(), await fleet.redis.keys()
    assert queues
    assert not [key for key in queues if key.startswith(b"voxtral:")]
    assert not [key for key in sessions if not key.startswith(b"voxtral:")]


async def test_service_without_its_broker_is_not_ready_and_says_so(fleet: Fleet) -> None:
    url = f"redis://127.0.0.1:{free_ports(1)[0]}/0"
    settings = Settings(redis={"broker_url": url})
    broker = connect_to(settings.broker_at)
    app = create_app(settings, fleet.redis, Operators(settings.access), broker)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        answers = [(await client.get(path)).json() for path in ("/ready", "/status", "/operator/state")]
    await broker.aclose()
    obstacle = f"Redis at {url} (the broker) does not answer within 0.8 s."
    assert [(one["status"], one["reason"]) for one in answers] == [("not_ready", obstacle)] * 3
    (check,) = await asyncio.to_thread(list, check_broker(settings))
    assert (check.name, check.state) == ("Broker", State.BROKEN)
    assert check.advice == "Check that it runs and that REDIS_BROKER_URL is correct."


def test_doctor_checks_a_broker_only_if_it_is_another_server(server: Stack, service: Stack) -> None:
    assert list(check_broker(server.settings)) == []
    (check,) = check_broker(service.settings)
    assert check.state is State.OK
    assert server.redis_url in check.detail
