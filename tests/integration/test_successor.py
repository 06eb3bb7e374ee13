"""The wait of a worker's container before it is stopped, on the heartbeats in a real Redis."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from compose.successor import wait
from shared.bus import keys
from shared.bus.connect import connect
from shared.bus.lua.sessions import Scripts
from shared.bus.registry import Registry
from tests.forking import captured
from tests.integration.workers import redis_alone
from tests.limits import limit_s
from tests.stack import Stack, free_ports
from tests.unit.reports import report

OWN = report("m", 1, id="own", host=socket.gethostname())
OTHER = report("m", 0, id="other", host="elsewhere")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with redis_alone(tmp_path_factory.mktemp("successor")) as stack:
        yield stack


async def test_it_ends_when_another_worker_can_take_over(service: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "HEARTBEAT_TTL_S", 600)  # however long this machine pauses
    redis = connect(service.settings)
    registry = Registry(redis, Scripts(redis))
    try:
        await registry.beat(OWN)
        waiting = asyncio.create_task(wait(service.settings, limit_s(30)))
        done, _ = await asyncio.wait([waiting], timeout=1)
        assert not done, "no other worker is there"
        await registry.beat(OTHER)
        assert await waiting
    finally:
        await registry.leave(OWN)
        await registry.leave(OTHER)
        await redis.aclose()


def test_its_time_is_limited_while_redis_does_not_answer(service: Stack) -> None:
    [port] = free_ports(1)
    status, message = run(service, "0.2", VOXTRAL_REDIS__PORT=str(port))
    assert (status, message) == (1, "No other workers had room for the sessions of this host within 0.2 s.\n")
    assert run(service, str(limit_s(10))) == (0, ""), "this host has no worker"


def test_a_bad_setting_is_named(service: Stack) -> None:
    status, message = run(service, "10", VOXTRAL_CONFIG="missing.yaml")
    assert (status, message.count("\n")) == (1, 1)
    assert "missing.yaml" in message


def run(service: Stack, seconds: str, **variables: str) -> tuple[int, str]:
    done = captured("compose.successor", [seconds], folder=service.folder, env=service.env | variables)
    return done.returncode, done.stderr.decode()
