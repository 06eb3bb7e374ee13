"""Redis behind Sentinels fails over: sessions continue, and nothing that was acknowledged is lost."""

import asyncio
import contextlib
import json
import urllib.request
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from frontend.cli.checks.check import State
from frontend.cli.checks.service import check_redis
from frontend.process import FrontendProcess
from frontend.sessions.session import Session
from shared.bus import keys
from shared.bus.connect import connect
from shared.bus.credentials import check_credentials
from shared.bus.primary import Primary
from shared.config.sections import RedisSettings
from shared.config.settings import Settings
from shared.errors import StartupError
from shared.session_options import SessionOptions
from tests.integration.failovers import has_said, logged, served
from tests.integration.test_compose import ended, run
from tests.integration.workers import SECOND, assert_whole, events_of, speak, until
from tests.limits import limit_s
from tests.sentinels import SERVICE, RedisGroup, redis_group
from tests.stack import START_TIMEOUT_S, Stack, free_ports, listens, wait_until

pytestmark = pytest.mark.redis_server

PASSWORDS = {"password": "hush", "sentinel_password": "sesame"}
SPOKEN_S = 12.0
TIMEOUT_S = 90


@pytest.fixture
def group(tmp_path: Path) -> Iterator[RedisGroup]:
    folder = tmp_path / "group"
    folder.mkdir()
    with redis_group(folder, **PASSWORDS) as group:
        yield group


@pytest.fixture
def service(tmp_path: Path, group: RedisGroup, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Its parameter is the number of replicas that confirm."""
    stack = Stack(tmp_path, redis={"url": group.url, "confirm_replicas": getattr(request, "param", 1)})
    try:
        yield stack
    finally:
        stack.stop_all()


@pytest.fixture
async def frontend(service: Stack) -> AsyncIterator[FrontendProcess]:
    async with served(service) as frontend:
        yield frontend


@pytest.mark.parametrize("failure", [RedisGroup.kill, RedisGroup.hang], ids=["killed", "hangs"])
async def test_sessions_continue_after_a_failover_with_nothing_missing(
    group: RedisGroup, service: Stack, frontend: FrontendProcess, failure: Callable[[RedisGroup, int], None]
) -> None:
    """Also new ones: Celery's connections, too, must leave a primary that hangs."""
    former = group.primary
    async with asyncio.timeout(limit_s(TIMEOUT_S)), asyncio.TaskGroup() as tasks:
        sessions = [await frontend.gateway.open(SessionOptions()) for _ in range(3)]
        told = [tasks.create_task(events_of(session)) for session in sessions]
        speaking = [tasks.create_task(speak(session, SPOKEN_S, faster=2)) for session in sessions]
        await until(lambda: has_said(service.settings, sessions))
        await asyncio.to_thread(failure, group, former)
        await asyncio.to_thread(group.await_failover, former)
        await asyncio.gather(*speaking)
        for session in sessions:
            await session.finish()
        late = await opened(frontend)
        await speak(late, 1.0)
        await late.finish()
        assert_whole(await events_of(late), 1.0)
    for session, events in zip(sessions, told, strict=True):
        heard = [event for event in events.result() if event["type"] != "warning"]
        assert_whole(heard, SPOKEN_S)
        kept = [{name: event.get(name) for name in ("seq", "type", "text")} for event in heard]
        found = await logged(service.settings, session)
        assert [{name: event.get(name) for name in ("seq", "type", "text")} for event in found] == kept


async def opened(frontend: FrontendProcess) -> Session:
    """A session, as soon as a worker accepts it."""
    while True:
        with contextlib.suppress(Exception):
            return await frontend.gateway.open(SessionOptions())
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("service", [0], indirect=True)  # to wait for replicas would take longer than 3 s
async def test_writes_that_no_replica_has_received_are_repeated_after_a_failover(
    group: RedisGroup, service: Stack, frontend: FrontendProcess
) -> None:
    """The primary confirms audio and events alone, and dies."""
    former = group.primary
    async with asyncio.timeout(limit_s(TIMEOUT_S)), asyncio.TaskGroup() as tasks:
        session = await frontend.gateway.open(SessionOptions())
        told = tasks.create_task(events_of(session))
        await session.write(SECOND)
        await until(lambda: has_said(service.settings, [session]))
        group.detach_replicas()
        before = len(await logged(service.settings, session))
        await session.write(SECOND)
        await until(lambda: has_said(service.settings, [session], before + 1))
        group.kill(former)
        await asyncio.to_thread(group.await_failover, former)
        await session.write(SECOND)
        await session.finish()
    heard = [event for event in told.result() if event["type"] != "warning"]
    assert_whole(heard, 3.0)
    found = await logged(service.settings, session)
    assert [event["seq"] for event in found] == [event["seq"] for event in heard]


async def test_new_session_waits_for_replicas_and_misses_them_in_the_log(
    group: RedisGroup, service: Stack, frontend: FrontendProcess
) -> None:
    session = await frontend.gateway.open(SessionOptions())
    states = []
    for replica in set(group.servers) - {group.primary}:
        with group.client(replica) as client:
            states.append(client.hget(keys.session(session.id), "state"))
    assert "live" in states, "one replica has confirmed it"
    await session.write(SECOND)
    await session.finish()
    assert_whole(await events_of(session), 1.0)
    group.detach_replicas()
    late = await frontend.gateway.open(SessionOptions())
    await late.finish()
    assert (await events_of(late))[-1]["type"] == "done"
    wait_until(lambda: "replicas_missing" in service.output("worker"), "the worker misses the replicas")


async def test_topology_is_in_the_report_of_the_service_and_of_the_doctor(group: RedisGroup, service: Stack) -> None:
    service.spawn("health")
    wait_until(lambda: listens(service.settings.server.health_port), "health listens", START_TIMEOUT_S)
    primary = f"127.0.0.1:{group.primary}"
    redis = (await asyncio.to_thread(service.status))["redis"]
    assert (redis["topology"], redis["primary"], redis["trouble"]) == ("sentinel", primary, None)
    assert not {"hush", "sesame"} & set(json.dumps(await asyncio.to_thread(service.status)).replace(":", " ").split())
    check = await asyncio.to_thread(check_redis, service.settings)
    assert check.state is State.WARNING
    assert f"the primary is {primary}, with 2 replicas" in check.detail
    assert "min-replicas-to-write" in check.advice
    for port in group.servers:
        with group.client(port) as client:
            client.config_set("min-replicas-to-write", 1)
    assert (await asyncio.to_thread(check_redis, service.settings)).state is State.OK
    wanting = service.settings.model_copy(update={"redis": RedisSettings(url=group.url, confirm_replicas=3)})
    assert "redis.confirm_replicas is 3" in (await asyncio.to_thread(check_redis, wanting)).detail
    for port in group.sentinels:
        group.kill(port)
    wait_until(lambda: service.status()["redis"]["trouble"] is not None, "the Sentinels are missed")
    trouble = service.status()["redis"]["trouble"]
    assert trouble.startswith(f"No Sentinel of {SERVICE!r} can be reached (127.0.0.1:{group.sentinels[0]}: ")


def test_wrong_passwords_and_services_are_one_sentence(group: RedisGroup) -> None:
    first = f"The Sentinel at 127.0.0.1:{group.sentinels[0]}"
    for url, sentence in [
        (group.url.replace("sesame", "wrong"), f"{first} rejects the sentinel_password in REDIS_URL."),
        (group.url.partition("?")[0], f"{first} requires a password, but REDIS_URL has no sentinel_password."),
        (group.url.replace(":hush@", ":wrong@"), "rejects the password in REDIS_URL."),
    ]:
        settings = Settings(redis={"url": url})
        with pytest.raises(StartupError) as refused:
            check_credentials(settings)
        assert sentence in str(refused.value)
        assert "wrong" not in str(refused.value)
        check = check_redis(settings)
        assert (check.state, sentence.rstrip(".") in check.detail) == (State.BROKEN, True)
    unknown = check_redis(Settings(redis={"url": group.url.replace(SERVICE, "other")}))
    assert (unknown.state, unknown.detail) == (State.BROKEN, f"{first} knows no service 'other'")
    nowhere = check_redis(Settings(redis={"url": f"redis+sentinel://127.0.0.1:{free_ports(1)[0]}/{SERVICE}"}))
    assert nowhere.state is State.BROKEN
    assert nowhere.detail.startswith(f"No Sentinel of {SERVICE!r} can be reached (")


def test_flower_uses_the_primary_and_shows_no_password(group: RedisGroup, service: Stack) -> None:
    service.spawn("worker")
    flower = run(service, "compose.flower", VOXTRAL_FLOWER__BASIC_AUTH="me:pw")
    credentials = b64encode(b"me:pw").decode()

    def page() -> str:
        url = f"http://127.0.0.1:{service.settings.flower.port}/broker"
        request = urllib.request.Request(url, headers={"Authorization": f"Basic {credentials}"})
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=limit_s(10)) as answer:
            return str(answer.read().decode())
        return ""

    try:
        wait_until(lambda: "stream:echo" in page(), "Flower shows the queue", START_TIMEOUT_S, pause_s=0.3)
        assert "hush" not in page()
        assert "sesame" not in page()
    finally:
        flower.kill()
        ended(flower)


async def test_connection_refuses_a_server_that_is_no_primary(group: RedisGroup, monkeypatch: Any) -> None:
    """As when a primary has restarted as a replica and its Sentinel has not noticed yet."""
    settings = Settings(redis={"url": group.url})
    replica = next(port for port in group.servers if port != group.primary)
    monkeypatch.setattr(Primary.of(settings.redis_at), "find", lambda: ("127.0.0.1", replica))
    redis: Redis = connect(settings)
    with pytest.raises(Exception, match=f"127.0.0.1:{replica} is a replica now"):
        await redis.ping()
    await redis.aclose()
