"""The health checks of containers, against a running service."""

import asyncio
import socket
from pathlib import Path

import pytest

from compose.healthcheck import REPORTING, WEBHOOKS, main
from shared.bus import keys
from shared.bus.connect import connect
from shared.bus.lua.sessions import Scripts
from shared.bus.registry import FrontendReport, Registry
from shared.config.settings import Settings
from tests.forking import captured
from tests.integration.workers import redis_alone
from tests.stack import Stack, free_ports, wait_until


def check(stack: Stack, *arguments: str) -> tuple[int, str]:
    done = captured("compose.healthcheck", arguments, folder=stack.folder, env=stack.env)
    return done.returncode, done.stderr.decode()


def elsewhere(stack: Stack) -> Settings:
    """Settings of a service that is not running."""
    ports = free_ports(2)
    changes = {"server": {"health_port": ports[0]}, "redis": {"port": ports[1]}}
    return Settings.model_validate(stack.settings.model_dump() | changes)


@pytest.mark.parametrize("alive", [False, True])
def test_processes_that_run_are_healthy(stack: Stack, alive: bool) -> None:
    running = [one for one in REPORTING if one != WEBHOOKS]  # tests/integration/test_webhook_clients.py has that one
    for one in (None, stack.settings.websocket_port, *running):
        wait_until(lambda one=one: main(one, stack.settings, alive=alive) == 0, f"{one} is healthy")


def test_processes_that_do_not_run_are_not(stack: Stack) -> None:
    settings = elsewhere(stack)
    for one in (None, settings.server.health_port, *REPORTING):
        assert main(one, settings) == 1, one


def test_processes_of_other_hosts_do_not_count(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    for one in REPORTING:
        assert main(one, stack.settings, alive=True) == 1, one


def test_other_processes_of_this_host_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "HEARTBEAT_TTL_S", 600)  # however long this machine pauses
    own = FrontendReport("f", "web", socket.gethostname(), 1, "1", 0.0, 0, 0, 0, 0, 0)

    async def report(settings: Settings) -> None:
        redis = connect(settings)
        await Registry(redis, Scripts(redis)).beat(own)
        await redis.aclose()

    with redis_alone(tmp_path) as service:
        asyncio.run(report(service.settings))
        wait_until(lambda: main("web", service.settings) == 0, "the process that reports is healthy")
        assert main("tcp", service.settings) == 1


def test_an_outage_of_redis_restarts_nothing(stack: Stack) -> None:
    settings = elsewhere(stack)
    for one in REPORTING:
        assert main(one, settings, alive=True) == 0, one
    for one in (None, settings.server.health_port):
        assert main(one, settings, alive=True) == 1, one


def test_command_line(stack: Stack) -> None:
    wait_until(lambda: check(stack, "worker", "--alive") == (0, ""), "the worker is healthy", 20)
    assert check(stack, str(free_ports(1)[0])) == (1, "")
    status, message = check(stack, "redis")
    assert status == 2
    assert "'redis' is neither a port nor one of worker, websocket, tcp, web" in message
