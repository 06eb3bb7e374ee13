"""The bus on a real server: audio and events, gaps, and slow followers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.bus import keys
from shared.bus.audio import AudioWriter, parse_entry
from shared.bus.connect import connect
from shared.bus.event_log import QUEUE_MAX, EventSubscriber
from shared.bus.finals import PAGE_FINALS, read_finals
from shared.bus.messages import ControlWord
from shared.bus.ownership import Ending
from shared.bus.states import SessionState
from shared.config.settings import Settings
from tests.integration.owners import admitted, claim, settled, write
from tests.integration.viewers import subscribers
from tests.integration.workers import Link
from tests.limits import limit_s
from tests.stack import Stack

pytestmark = pytest.mark.redis_server


@asynccontextmanager
async def subscriber(redis: Redis) -> AsyncIterator[EventSubscriber]:
    running = EventSubscriber(redis)
    loop = asyncio.create_task(running.run())
    try:
        yield running
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
        await running.close()


@asynccontextmanager
async def client_of(server: Stack, link: Link) -> AsyncIterator[Redis]:
    client = connect(Settings(redis={"url": f"redis://127.0.0.1:{link.port}/0"}))
    try:
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def audio_writer(server: Stack) -> AsyncIterator[AudioWriter]:
    running = AudioWriter(server.settings)
    loop = asyncio.create_task(running.run())
    try:
        yield running
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
        await running.close()


async def test_final_trims_the_audio_behind_its_checkpoint(server: Stack, redis: Redis) -> None:
    await admitted(redis)
    owner = await claim(redis, "w1")
    async with audio_writer(server) as writer:
        track = writer.track("s1")
        for _ in range(4):
            track.append(b"\1\0" * 1600)
        await writer.flushed()
    await write(redis, owner, 1, "one", kind="f", settled=settled(3200))
    left = [parse_entry(entry_id, fields) for entry_id, fields in await redis.xrange(keys.audio("s1"))]
    assert [entry.end_samples for entry in left] == [3200, 4800, 6400]


async def test_audio_writer_cuts_entries_and_keeps_every_sample_in_order(server: Stack, redis: Redis) -> None:
    await admitted(redis)
    audio = bytes(range(256)) * 100
    async with audio_writer(server) as writer:
        track = writer.track("s1")
        for start in range(0, len(audio), 1002):
            track.append(audio[start : start + 1002])
        track.control(ControlWord.COMMIT)
        track.control(ControlWord.END)
        await writer.flushed()
    entries = [parse_entry(entry_id, fields) for entry_id, fields in await redis.xrange(keys.audio("s1"))][1:]
    assert b"".join(entry.pcm for entry in entries) == audio
    assert all(len(entry.pcm) <= 3200 for entry in entries)
    assert [entry.control for entry in entries[-2:]] == ["commit", "end"]
    assert entries[-1].end_samples == len(audio) // 2


async def test_audio_written_after_the_end_does_not_bring_the_stream_back(server: Stack, redis: Redis) -> None:
    await admitted(redis)
    owner = await claim(redis, "w1")
    await write(redis, owner, 1, ending=Ending(SessionState.DONE, 10))
    async with audio_writer(server) as writer:
        writer.track("s1").append(b"\0\0" * 1600)
        await writer.flushed()
    assert not await redis.exists(keys.audio("s1"))


async def test_follower_fills_a_gap_from_the_log(redis: Redis) -> None:
    await admitted(redis)
    owner = await claim(redis, "w1")
    async with subscriber(redis) as events:
        follower = await events.follow("s1")
        await write(redis, owner, 1, "one")
        await events.unfollow(follower)
        await write(redis, owner, 2, "two", "three")  # there are no subscribers
        follower = await events.follow("s1", after_seq=0)
        await write(redis, owner, 4, "four")
        source = aiter(follower)
        assert [(await anext(source)).wire["text"] for _ in range(4)] == ["one", "two", "three", "four"]


async def test_follower_from_a_seq_on_gets_only_what_came_later(redis: Redis) -> None:
    await admitted(redis)
    owner = await claim(redis, "w1")
    await write(redis, owner, 1, "one", "two", "three")
    async with subscriber(redis) as events:
        source = aiter(await events.follow("s1", after_seq=2))
        assert (await anext(source)).wire["text"] == "three"


async def test_slow_follower_is_bounded_and_misses_nothing(redis: Redis) -> None:
    await admitted(redis)
    owner = await claim(redis, "w1")
    count = 3 * QUEUE_MAX
    async with subscriber(redis) as events:
        follower = await events.follow("s1")
        for first in range(1, count + 1, 64):
            await write(redis, owner, first, *(str(seq) for seq in range(first, min(first + 64, count + 1))))
        source = aiter(follower)
        seen = [(await anext(source)).wire["seq"] for _ in range(count)]
    assert seen == list(range(1, count + 1))


async def test_a_channel_without_followers_is_not_subscribed_to_again(redis: Redis) -> None:
    async with subscriber(redis) as events:
        left = await events.follow("s1")
        await events.follow("s2")
        await events.unfollow(left)
        await redis.client_kill_filter(_type="pubsub")
        await subscribers(redis, "s2", 1)
        assert await redis.pubsub_numsub("voxtral:{s1}") == [(b"voxtral:{s1}", 0)]


async def test_session_that_is_followed_while_the_subscription_is_being_opened(server: Stack, redis: Redis) -> None:
    await admitted(redis)
    owner = await claim(redis, "w1")
    first = asyncio.Event()
    async with Link.to(server, first=first) as link, client_of(server, link) as client, subscriber(client) as events:
        await link.connected.wait()
        await client.ping()  # over another connection, which is free then
        following = asyncio.create_task(events.follow("s1"))
        for _ in range(20):
            await client.ping()
        first.set()
        async with asyncio.timeout(limit_s(10)):
            follower = await following
            await write(redis, owner, 1, "one")
            assert (await anext(aiter(follower))).wire["text"] == "one"


async def test_subscription_that_is_not_confirmed_fails_and_the_next_one_is(
    server: Stack, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Link.to(server) as link, client_of(server, link) as client, subscriber(client) as events:
        await events.follow("s1")
        link.cut()
        with monkeypatch.context() as patched:
            patched.setattr("shared.bus.event_log.CONFIRMATION_S", 0.05)
            with pytest.raises(RedisTimeoutError, match="No subscription"):
                await events.follow("s2")
        link.heal()
        await events.follow("s3")
        await subscribers(redis, "s1", 1)
        await subscribers(redis, "s2", 0)


@pytest.mark.parametrize("count", [0, 1, 2, 3 * PAGE_FINALS + 1])
async def test_finals_are_read_from_any_number_on(redis: Redis, count: int) -> None:
    await admitted(redis)
    owner = await claim(redis, "w1")
    for number in range(count):
        await write(redis, owner, 2 * number + 1, "partial")
        await write(redis, owner, 2 * number + 2, str(number), kind="f")
    numbers = [2 * number + 2 for number in range(count)]
    for after in {0, 1, 2, 3, count, 2 * count - 1, 2 * count, 2 * count + 5}:
        read = [final.wire["seq"] async for final in read_finals(redis, "s1", max(0, after))]
        assert read == [number for number in numbers if number > after]
    read = [final.wire["seq"] async for final in read_finals(redis, "s1", 2, 2 * count - 2)]
    assert read == numbers[1:-1]
