"""The health checks of containers, against a running service."""

import asyncio
import socket
from pathlib import Path

import pytest

from compose.healthcheck import REPORTING, WEBHOOKS, fault
from shared.bus import keys
from shared.bus.connect import connect
from shared.bus.lua.sessions import Scripts
from shared.bus.registry import FrontendReport, Registry
from shared.config.settings import Settings
from tests.forking import captured
from tests.integration.workers import redis_alone
from tests.stack import Stack, free_ports, wait_until


def check(stack: Stack, *arguments: str, **variables: str) -> tuple[int, str]:
    done = captured("compose.healthcheck", arguments, folder=stack.folder, env=stack.env | variables)
    return done.returncode, done.stderr.decode()


def elsewhere(stack: Stack) -> Settings:
    """Settings of a service that is not running."""
    ports = free_ports(2)
    changes = {"server": {"health_port": ports[0]}, "redis": {"port": ports[1]}}
    return Settings.model_validate(stack.settings.model_dump() | changes)


@pytest.mark.parametrize("alive", [False, True])
def test_processes_that_run_are_healthy(stack: Stack, alive: bool) -> None:
    running = [one for one in REPORTING if one != WEBHOOKS]  # tests/integration/test_webhook_clients.py has that one
    for one in (None, *running):
        wait_until(lambda one=one: fault(one, stack.settings, alive=alive) is None, f"{one} is healthy")


def test_processes_that_do_not_run_are_not(stack: Stack) -> None:
    settings = elsewhere(stack)
    assert fault(None, settings) == "The service is not ready: the health process does not answer."
    for one in REPORTING:
        assert fault(one, settings) == "Redis does not answer."


async def test_the_reason_of_a_service_that_is_not_ready_is_named(stack: Stack) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert (await reader.readline()).startswith(b"GET /ready ")
        writer.write(b'HTTP/1.1 503 Service Unavailable\r\n\r\n{"reason": "No worker is running."}')
        writer.close()

    [port] = free_ports(1)
    address = {"host": "127.0.0.2", "health_port": port}  # not 127.0.0.1, as in a container with an address of its own
    settings = Settings.model_validate(stack.settings.model_dump() | {"server": address})
    async with await asyncio.start_server(answer, "127.0.0.2", port):
        found = await asyncio.to_thread(fault, None, settings)
    assert found == "The service is not ready: No worker is running."


def test_processes_of_other_hosts_do_not_count(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    for one in REPORTING:
        found = fault(one, stack.settings, alive=True)
        assert found == f"No process {one} of this host has reported to Redis within the last seconds."


def test_other_processes_of_this_host_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "HEARTBEAT_TTL_S", 600)  # however long this machine pauses
    own = FrontendReport("f", "web", socket.gethostname(), 1, "1", 0.0, 0, 0, 0, 0, 0)

    async def report(settings: Settings) -> None:
        redis = connect(settings)
        await Registry(redis, Scripts(redis)).beat(own)
        await redis.aclose()

    with redis_alone(tmp_path) as service:
        asyncio.run(report(service.settings))
        wait_until(lambda: fault("web", service.settings) is None, "the process that reports is healthy")
        assert fault("tcp", service.settings)


def test_an_outage_of_redis_restarts_nothing(stack: Stack) -> None:
    settings = elsewhere(stack)
    for one in REPORTING:
        assert fault(one, settings, alive=True) is None, one
    assert fault(None, settings, alive=True)


def test_command_line(stack: Stack) -> None:
    wait_until(lambda: check(stack, "worker", "--alive") == (0, ""), "the worker is healthy", 20)
    status, message = check(stack, "redis")
    assert status == 2
    assert "invalid choice: 'redis' (choose from " in message
    status, message = check(stack, "worker", VOXTRAL_CONFIG="missing.yaml")
    assert (status, message.count("\n")) == (1, 1)
    assert "missing.yaml" in message
