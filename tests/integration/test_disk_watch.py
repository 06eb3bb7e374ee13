"""Which frontend requests rewrites of Redis' append-only file, when, and what happens if that is forbidden."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from frontend.access.limiter import Limiter
from frontend.sessions.disk_rewriting import DiskWatch
from shared.bus import keys
from shared.bus.connect import connect
from shared.config.sections import RedisSettings
from shared.tasks import end_all
from tests.integration.disk import is_on_disk, until_gone, without_compression
from tests.integration.owners import admitted, erase
from tests.integration.workers import emptied, redis_alone, until
from tests.stack import Stack

SAID = b"Zyzzogeton"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with redis_alone(tmp_path_factory.mktemp("disk")) as stack:
        yield stack


@pytest.fixture
async def redis(server: Stack) -> AsyncIterator[Redis]:
    async with emptied(server) as redis:
        await without_compression(redis)
        yield redis


@pytest.fixture
def data_dir(server: Stack) -> Path:
    return server.settings.redis.data_dir


@asynccontextmanager
async def watching(*clients: Redis) -> AsyncIterator[None]:
    """As many frontends as there are clients."""
    loops = [asyncio.create_task(DiskWatch(client, retention_s=1).run()) for client in clients]
    try:
        yield
    finally:
        await end_all(loops)


async def rewritings(redis: Redis) -> int:
    return int((await redis.info("persistence"))["aof_rewrites"])


async def say_and_erase(redis: Redis) -> None:
    await admitted(redis)
    await redis.rpush(keys.finals("s1"), SAID)
    await erase(redis)


async def nothing_is_due(redis: Redis) -> bool:
    return not await redis.exists(keys.UNERASED)


async def test_one_of_several_frontends_rewrites_the_file_once(redis: Redis, data_dir: Path) -> None:
    await say_and_erase(redis)
    assert is_on_disk(data_dir, SAID)
    before = await rewritings(redis)
    async with watching(redis, redis, redis):
        await until(lambda: nothing_is_due(redis))
    assert not is_on_disk(data_dir, SAID)
    assert await rewritings(redis) == before + 1


async def test_keys_whose_time_is_over_are_not_written_anew(redis: Redis, data_dir: Path) -> None:
    """Redis itself drops them when somebody asks for them, or when it finds the time."""
    await Limiter(redis).remember("anna", "digest", b'{"prompt": "%b"}' % SAID, 1)
    async with watching(redis):
        await until(lambda: nothing_is_due(redis))
    assert not is_on_disk(data_dir, SAID)


async def test_what_an_older_version_left_goes_at_the_start(redis: Redis, data_dir: Path) -> None:
    for _ in range(40):
        await redis.set("old", SAID * 10_000)
    await redis.delete("old")
    assert is_on_disk(data_dir, SAID)
    async with watching(redis):
        await until_gone(data_dir, SAID)


async def test_redis_that_forbids_it_is_named_once_in_the_log(server: Stack, redis: Redis, data_dir: Path) -> None:
    user = ("ACL", "SETUSER", "tenant", "reset", "on", ">sesame", "~*", "&*", "+@all", "-bgrewriteaof")
    await redis.execute_command(*user)
    url = server.redis_url.replace("//", "//tenant:sesame@")
    tenant = connect(server.settings.model_copy(update={"redis": RedisSettings(url=url)}))
    with capture_logs() as logs:
        async with watching(tenant):
            await say_and_erase(redis)
            await until(lambda: nothing_is_due(redis))
            await say_and_erase(redis)
            await until(lambda: nothing_is_due(redis))
    await tenant.aclose()
    said = [line for line in logs if line["event"] == "rewriting_forbidden"]
    assert len(said) == 1
    assert (said[0]["log_level"], "bgrewriteaof" in said[0]["reason"]) == ("warning", True)
    assert is_on_disk(data_dir, SAID)
    async with watching(redis):
        await say_and_erase(redis)
        await until_gone(data_dir, SAID)
