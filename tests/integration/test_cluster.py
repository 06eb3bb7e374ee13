"""Sessions in a Redis Cluster: they are spread over its shards, and continue when a shard fails over."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from frontend.cli.checks.check import State
from frontend.cli.checks.service import check_redis
from frontend.process import FrontendProcess
from frontend.sessions.session import Session
from shared.bus import keys
from shared.bus.append_only import find_due
from shared.bus.connect import connect
from shared.bus.credentials import check_credentials
from shared.bus.recent import KEPT_S
from shared.bus.sharded import place_of, shards_of
from shared.config.sections import RedisSettings
from shared.config.settings import Settings
from shared.errors import StartupError
from shared.session_options import SessionOptions
from shared.webhooks.signing import encoded
from tests.clusters import RedisShards, redis_shards
from tests.integration.failovers import has_said, has_workers, logged, served
from tests.integration.workers import SECOND, assert_whole, events_of, speak, until
from tests.limits import limit_s
from tests.receivers import Receiver, receiving
from tests.stack import START_TIMEOUT_S, Stack, listens, wait_until

SPOKEN_S = 10.0
SESSIONS = 6
TIMEOUT_S = 90


@pytest.fixture
def shards(tmp_path: Path) -> Iterator[RedisShards]:
    folder = tmp_path / "shards"
    folder.mkdir()
    with redis_shards(folder, "hush") as shards:
        yield shards


@pytest.fixture
def service(tmp_path: Path, shards: RedisShards, server: Stack, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Its queues are in a plain Redis. Its parameter is the number of replicas that confirm."""
    confirming = getattr(request, "param", 1)
    stack = Stack(tmp_path, redis={"url": shards.url, "broker_url": server.redis_url, "confirm_replicas": confirming})
    try:
        yield stack
    finally:
        stack.stop_all()


@pytest.fixture
async def frontend(service: Stack) -> AsyncIterator[FrontendProcess]:
    async with served(service) as frontend:
        yield frontend


def told_by(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: event.get(name) for name in ("seq", "type", "text")} for event in events]


@pytest.mark.parametrize("failure", [RedisShards.kill, RedisShards.hang], ids=["killed", "hangs"])
async def test_sessions_of_all_shards_continue_after_a_failover_with_nothing_missing(
    shards: RedisShards,
    service: Stack,
    frontend: FrontendProcess,
    failure: Callable[[RedisShards, int], None],
) -> None:
    """The shard whose primary fails is the one that all sessions share."""
    former = shards.primary_of(keys.WORKERS)
    async with asyncio.timeout(limit_s(TIMEOUT_S)), asyncio.TaskGroup() as tasks:
        sessions = [await frontend.gateway.open(SessionOptions()) for _ in range(SESSIONS)]
        told = [tasks.create_task(events_of(session)) for session in sessions]
        speaking = [tasks.create_task(speak(session, SPOKEN_S, faster=2)) for session in sessions]
        await until(lambda: has_said(service.settings, sessions))
        await asyncio.to_thread(failure, shards, former)
        await asyncio.to_thread(shards.await_failover, former)
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
        assert told_by(await logged(service.settings, session)) == told_by(heard)


async def opened(frontend: FrontendProcess) -> Session:
    """A session, as soon as a worker accepts it."""
    while True:
        with contextlib.suppress(Exception):
            return await frontend.gateway.open(SessionOptions())
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("service", [0], indirect=True)  # to wait for replicas would take longer than 3 s
async def test_writes_that_no_replica_has_received_are_repeated_after_a_failover(
    shards: RedisShards, service: Stack, frontend: FrontendProcess
) -> None:
    """The primary of a shard confirms audio and events alone, and dies. Meanwhile a session of another shard speaks for
    longer than writes are kept."""
    async with asyncio.timeout(limit_s(TIMEOUT_S)), asyncio.TaskGroup() as tasks:
        session = await frontend.gateway.open(SessionOptions())
        told = tasks.create_task(events_of(session))
        primary = shards.primary_of(keys.session(session.id))
        other = await frontend.gateway.open(SessionOptions())
        while shards.primary_of(keys.session(other.id)) == primary:
            await other.cancel()
            other = await frontend.gateway.open(SessionOptions())
        told_other = tasks.create_task(events_of(other))
        await session.write(SECOND)
        await until(lambda: has_said(service.settings, [session]))
        replica = shards.replica_of(primary)
        shards.hang(replica)
        before = len(await logged(service.settings, session))
        await session.write(SECOND)
        await until(lambda: has_said(service.settings, [session], before + 1))
        shards.kill(primary)
        await speak(other, 4 * KEPT_S, faster=3)
        await other.finish()
        shards.resume(replica)
        await asyncio.to_thread(shards.await_failover, primary)
        await session.write(SECOND)
        await session.finish()
    heard = [event for event in told.result() if event["type"] != "warning"]
    assert_whole(heard, 3.0)
    assert_whole(told_other.result(), 4 * KEPT_S)
    assert told_by(await logged(service.settings, session)) == told_by(heard)


async def test_session_continues_while_its_slot_moves_to_another_shard(
    shards: RedisShards, service: Stack, frontend: FrontendProcess
) -> None:
    async with asyncio.timeout(limit_s(TIMEOUT_S)), asyncio.TaskGroup() as tasks:
        sessions = [await frontend.gateway.open(SessionOptions()) for _ in range(2)]
        told = [tasks.create_task(events_of(session)) for session in sessions]
        speaking = [tasks.create_task(speak(session, SPOKEN_S, faster=2)) for session in sessions]
        await until(lambda: has_said(service.settings, sessions))
        new = await asyncio.to_thread(shards.move_slot_of, keys.session(sessions[0].id))
        await asyncio.gather(*speaking)
        for session in sessions:
            await session.finish()
    assert shards.primary_of(keys.session(sessions[0].id)) == new
    for session, events in zip(sessions, told, strict=True):
        assert_whole([event for event in events.result() if event["type"] != "warning"], SPOKEN_S)
        assert told_by(await logged(service.settings, session)) == told_by(events.result())


async def test_events_of_all_shards_are_sent_to_webhooks(tmp_path: Path, shards: RedisShards, server: Stack) -> None:
    stack = Stack(
        tmp_path,
        redis={"url": shards.url, "broker_url": server.redis_url},
        webhooks={"enabled": True, "clients": "all", "secret": encoded(bytes(32))},
        outgoing={"allow": ["127.0.0.1"]},
    )
    try:
        stack.spawn("worker")
        stack.spawn("webhooks")
        async with receiving() as receiver, FrontendProcess.running(stack.settings, "test") as frontend:
            await until(lambda: has_workers(frontend.registry), START_TIMEOUT_S)
            sessions = [await frontend.gateway.open(SessionOptions(webhook=receiver.url())) for _ in range(SESSIONS)]
            for session in sessions:
                await session.write(SECOND)
                await session.finish()
            wanted = sorted((session.id, kind) for session in sessions for kind in ("done", "final"))
            await until(lambda: has_received(receiver, wanted))
        assert len({shards.primary_of(keys.session(session.id)) for session in sessions}) > 1
    finally:
        stack.stop_all()


async def has_received(receiver: Receiver, wanted: list[tuple[str, str]]) -> bool:
    return sorted((body["data"]["session_id"], body["data"]["type"]) for body in receiver.bodies) == wanted


async def test_each_file_is_asked_for_its_own_sessions(shards: RedisShards) -> None:
    """Each server has an append-only file of its own."""
    redis = connect(Settings(redis=of(shards)))
    try:
        names = {f"s{number}" for number in range(20)}
        await redis.zadd(keys.UNERASED, dict.fromkeys(names, 1))
        await redis.hset(keys.session("s7"), "state", "live")
        found = [await find_due(redis, 2, place_of(shard)) for shard in shards_of(redis)]
        assert sorted(one.decode() for due in found for one in (*due.gone, *due.live)) == sorted(names)
        assert [due.live for due in found if due.live] == [[b"s7"]]
        assert all(due.gone for due in found)
    finally:
        await redis.aclose()


async def test_shards_are_in_the_report_of_the_service_and_of_the_doctor(shards: RedisShards, service: Stack) -> None:
    service.spawn("health")
    wait_until(lambda: listens(service.settings.server.health_port), "health listens", START_TIMEOUT_S)
    redis = (await asyncio.to_thread(service.status))["redis"]
    assert (redis["topology"], redis["trouble"]) == ("cluster", None)
    assert set(redis["shards"]) == {f"127.0.0.1:{port}" for port in shards.primaries}
    assert "hush" not in json.dumps(await asyncio.to_thread(service.status))
    check = await asyncio.to_thread(check_redis, service.settings)
    assert (check.state, "min-replicas-to-write" in check.advice) == (State.WARNING, True)
    assert "3 shards, each with 1 or more replicas" in check.detail
    for port in shards.ports:
        with shards.client(port) as client:
            client.config_set("min-replicas-to-write", 1)
    assert (await asyncio.to_thread(check_redis, service.settings)).state is State.OK
    wanting = service.settings.model_copy(update={"redis": RedisSettings(**of(shards), confirm_replicas=2)})
    assert "redis.confirm_replicas is 2" in (await asyncio.to_thread(check_redis, wanting)).detail
    shards.kill(shards.primary_of(keys.session("s1")))
    check = await asyncio.to_thread(check_redis, service.settings)
    assert (check.state, "do not answer" in check.detail or "no primary" in check.detail) == (State.BROKEN, True)


def of(shards: RedisShards) -> dict[str, str]:
    return {"url": shards.url, "broker_url": "redis://127.0.0.1:1/0"}


def test_wrong_passwords_and_servers_are_one_sentence(shards: RedisShards, server: Stack) -> None:
    for url, sentence in [
        (shards.url.replace(":hush@", ":wrong@"), "rejects the password in REDIS_URL."),
        (shards.url.replace(":hush@", ""), "requires a password, but REDIS_URL has none."),
        (f"redis+cluster://127.0.0.1:{server.settings.redis.port}", "is no node of a Redis Cluster."),
    ]:
        settings = Settings(redis=of(shards) | {"url": url})
        with pytest.raises(StartupError) as refused:
            check_credentials(settings)
        assert sentence in str(refused.value)
        assert "wrong" not in str(refused.value)
        check = check_redis(settings)
        assert (check.state, sentence.rstrip(".") in check.detail) == (State.BROKEN, True)
