"""How audio gets into Redis: by one connection at a time, without a gap, whatever Redis refuses or forgets."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

from shared.bus import keys
from shared.bus.attachment import Attachment, attach
from shared.bus.audio import AudioEntry, AudioWriter, parse_entry
from shared.bus.connect import connect
from shared.bus.messages import ControlWord
from tests.integration.owners import admitted
from tests.integration.workers import redis_alone
from tests.limits import limit_s
from tests.stack import Stack

pytestmark = pytest.mark.redis_server

TENTH = b"\1\0" * 1600


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An embedded server alone."""
    with redis_alone(tmp_path_factory.mktemp("uplink")) as stack:
        yield stack


@pytest.fixture
async def redis(server: Stack) -> AsyncIterator[Redis]:
    client = connect(server.settings)
    await client.flushall()
    assert await admitted(client)
    yield client
    await client.config_set("maxmemory", "2gb")
    await client.aclose()


@pytest.fixture
async def writer(server: Stack, redis: Redis) -> AsyncIterator[AudioWriter]:
    running = AudioWriter(server.settings)
    loop = asyncio.create_task(running.run())
    yield running
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
    await running.close()


async def stored(redis: Redis) -> list[AudioEntry]:
    return [parse_entry(entry_id, fields) for entry_id, fields in await redis.xrange(keys.audio("s1"))]


async def controls(redis: Redis) -> list[str]:
    return [entry.control for entry in await stored(redis) if entry.control]


async def attached(redis: Redis) -> Attachment:
    attachment = await attach(redis, "s1")
    assert attachment is not None
    return attachment


async def test_only_the_newest_connection_may_write(redis: Redis, writer: AudioWriter) -> None:
    old = writer.track("s1")
    refusals: list[str] = []
    old.on_refused = lambda: refusals.append("old")
    old.append(TENTH)
    await writer.flushed()

    attachment = await attached(redis)
    assert (attachment.connection, attachment.received_samples) == (1, 1600)
    new = writer.track("s1", attachment)
    old.append(TENTH)  # arrives late: the new connection sends the same again
    old.control(ControlWord.DETACH)
    new.append(TENTH)
    await writer.flushed()

    assert refusals == ["old"]
    assert [entry.end_samples for entry in await stored(redis) if entry.pcm] == [1600, 3200]
    assert await controls(redis) == ["attach", "attach"]


async def test_every_attachment_is_noted_where_no_audio_came_between(redis: Redis, writer: AudioWriter) -> None:
    for _ in range(3):
        track = writer.track("s1", await attached(redis))
        track.control(ControlWord.DETACH)
        await writer.flushed()
    assert await controls(redis) == ["attach", *["attach", "detach"] * 3]


async def test_attaching_is_told_on_the_channel(redis: Redis) -> None:
    async with redis.pubsub() as listener:
        await listener.subscribe(keys.channel("s1"))
        assert (await listener.get_message(timeout=limit_s(5)))["type"] == "subscribe"
        await attached(redis)
        assert (await listener.get_message(timeout=limit_s(5)))["data"] == b'{"type":"attached","connection":1}'


async def test_nothing_can_be_attached_to_a_session_that_is_gone(redis: Redis) -> None:
    assert await attach(redis, "s2") is None
    await redis.delete(keys.audio("s1"))
    assert (await attached(redis)).ended


async def test_an_attachment_knows_whether_the_audio_is_complete(redis: Redis, writer: AudioWriter) -> None:
    track = writer.track("s1", await attached(redis))
    track.append(TENTH)
    track.control(ControlWord.COMMIT)
    await writer.flushed()
    assert not (await attached(redis)).is_complete
    writer.track("s1", await attached(redis)).control(ControlWord.END)
    await writer.flushed()
    for _ in range(2):
        attachment = await attached(redis)
        assert (attachment.is_complete, attachment.ended, attachment.received_samples) == (True, False, 1600)
        writer.track("s1", attachment).control(ControlWord.DETACH)
        await writer.flushed()


async def test_numbered_control_message_is_written_once_over_all_connections(redis: Redis, writer: AudioWriter) -> None:
    track = writer.track("s1")
    track.append(TENTH)
    for number in (1, 2, 2, 1):
        track.control(ControlWord.COMMIT, number=number)
    await writer.flushed()
    attachment = await attached(redis)
    assert attachment.number == 2
    again = writer.track("s1", attachment)
    for number in (1, 2, 3):
        again.control(ControlWord.COMMIT, number=number)
    await writer.flushed()
    assert await controls(redis) == ["attach", "commit", "commit", "attach", "commit"]
    assert (await attached(redis)).number == 3


async def test_stored_audio_is_confirmed(writer: AudioWriter, redis: Redis) -> None:
    confirmed: list[int] = []
    track = writer.track("s1")
    track.on_stored = confirmed.append
    for _ in range(5):
        track.append(TENTH)
        await writer.flushed()
    assert confirmed == [1600, 3200, 4800, 6400, 8000]
    assert track.unwritten_entries == 0


async def test_full_memory_delays_audio_and_leaves_no_gap(redis: Redis, writer: AudioWriter) -> None:
    track = writer.track("s1")
    track.append(TENTH)
    await writer.flushed()
    await redis.config_set("maxmemory", 1)
    for _ in range(20):
        track.append(TENTH)
        await asyncio.sleep(0)
    async with asyncio.timeout(limit_s(5)):
        while not writer.troubles:  # noqa: ASYNC110 -- the condition is another process's
            await asyncio.sleep(0.01)
    assert "maxmemory" in next(iter(writer.troubles.values()))
    assert len([entry for entry in await stored(redis) if entry.pcm]) == 1
    await redis.config_set("maxmemory", 0)
    await writer.flushed()
    assert not writer.troubles
    ends = [entry.end_samples for entry in await stored(redis) if entry.pcm]
    assert ends == list(range(1600, 21 * 1600 + 1, 1600))


async def test_a_client_can_come_back_while_memory_is_full(redis: Redis) -> None:
    await redis.config_set("maxmemory", 1)
    assert (await attached(redis)).connection == 1


async def test_what_a_killed_server_has_forgotten_is_written_again(redis: Redis, writer: AudioWriter) -> None:
    track = writer.track("s1", await attached(redis))
    for _ in range(10):
        track.append(TENTH)
        await writer.flushed()
    track.control(ControlWord.COMMIT, number=1)
    await writer.flushed()
    before = await redis.xrange(keys.audio("s1"))
    # As after a power failure: the last seven entries are not in the file.
    await redis.delete(keys.audio("s1"))
    await redis.hdel(keys.session("s1"), "number", "connection")
    for entry_id, fields in before[:-7]:
        await redis.xadd(keys.audio("s1"), fields, entry_id)
    await redis.client_kill_filter(_type="normal", skipme=True)
    track.append(TENTH)
    await writer.flushed()
    after = await redis.xrange(keys.audio("s1"))
    assert after[: len(before)] == before
    assert parse_entry(*after[-1]).end_samples == 11 * 1600
    assert (await attached(redis)).number == 1
