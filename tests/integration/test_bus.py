"""The bus on a real server: fencing, repeated writes, gaps, admission, and what is left when a session ends."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from shared.bus import keys
from shared.bus.audio import AudioWriter, parse_entry
from shared.bus.connect import connect
from shared.bus.event_log import QUEUE_MAX, EventSubscriber
from shared.bus.registry import Registry
from shared.bus.scripts import FENCED, Scripts
from tests.stack import Stack, listens, wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An embedded server alone."""
    stack = Stack(tmp_path_factory.mktemp("bus"))
    stack.spawn("redis")
    wait_until(lambda: listens(stack.settings.redis.port), "Redis listens", check=stack.check_alive)
    yield stack
    stack.stop_all()


@pytest.fixture
async def redis(server: Stack) -> AsyncIterator[Redis]:
    client = connect(server.settings)
    await client.flushall()
    yield client
    await client.aclose()


async def admitted(redis: Redis, session_id: str = "s1", capacity: int = 2, model: str = "echo") -> bool:
    registry = Registry(redis, Scripts(redis))
    return await registry.admit(
        session_id, model, capacity=capacity, claim_timeout_s=5, options=b"{}", resume_digest="digest"
    )


async def claim(redis: Redis, worker: str, session_id: str = "s1") -> int | None:
    found = await Scripts(redis).claim(keys=[keys.session(session_id)], args=[worker, 2000, 120])
    return None if found is None else int(dict(zip(found[::2], found[1::2], strict=True))[b"fence"])


async def write(redis: Redis, fence: int, first_seq: int, *texts: str, kind: str = "e", checkpoint: str = "") -> int:
    names = [name("s1") for name in (keys.session, keys.events, keys.finals, keys.audio)]
    flat = [
        part
        for seq, text in enumerate(texts, first_seq)
        for part in (kind, orjson.dumps({"type": "partial", "seq": seq, "text": text}))
    ]
    arguments = [fence, keys.channel("s1"), 4000, first_seq, checkpoint, 1, *flat]
    return int(await Scripts(redis).write(keys=names, args=arguments))


async def logged(redis: Redis) -> list[str]:
    return [orjson.loads(fields[b"e"])["text"] for _, fields in await redis.xrange(keys.events("s1"))]


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
async def audio_writer(redis: Redis) -> AsyncIterator[AudioWriter]:
    running = AudioWriter(redis)
    loop = asyncio.create_task(running.run())
    try:
        yield running
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)


async def test_admission_stops_at_capacity_and_takes_again_after_release(redis: Redis) -> None:
    assert [await admitted(redis, name) for name in ("s1", "s2", "s3")] == [True, True, False]
    await Registry(redis, Scripts(redis)).release("s1", "echo")
    assert await admitted(redis, "s3")


CAPACITIES = {"echo": 1, "echo:b": 3, "mistralai/Voxtral-Mini-3B-2507": 2}
ADMISSIONS = st.tuples(st.sampled_from(["admit", "release", "keep"]), st.sampled_from([*CAPACITIES]), st.integers(0, 5))


@settings(max_examples=40, deadline=None)
@given(st.lists(ADMISSIONS, max_size=40))
def test_admission_counts_for_each_model_alone(server: Stack, steps: list[tuple[str, str, int]]) -> None:
    asyncio.run(admit_by_model(server, steps))


async def admit_by_model(server: Stack, steps: list[tuple[str, str, int]]) -> None:
    redis = connect(server.settings)
    await redis.flushall()
    registry = Registry(redis, Scripts(redis))
    held: dict[str, set[str]] = {model: set() for model in CAPACITIES}
    for number, (step, model, session) in enumerate(steps):
        if step == "admit":
            free = len(held[model]) < CAPACITIES[model]
            assert await admitted(redis, f"s{number}", CAPACITIES[model], model) == free
            if free:
                held[model].add(f"s{number}")
        elif step == "release" and held[model]:
            leaving = sorted(held[model])[session % len(held[model])]
            held[model].remove(leaving)
            await registry.release(leaving, model)
        elif step == "keep":
            await registry.keep_admitted(held[model], model)
        assert {model: await registry.admitted(model) for model in CAPACITIES} == {
            model: len(sessions) for model, sessions in held.items()
        }
        lives_s = {model: await redis.ttl(keys.admitted(model)) for model, sessions in held.items() if sessions}
        assert all(life_s > 0 for life_s in lives_s.values()), "nothing is left of a model that is gone"
    await redis.aclose()


async def test_admission_is_atomic_under_concurrency(redis: Redis) -> None:
    answers = await asyncio.gather(*(admitted(redis, f"s{number}", capacity=7) for number in range(40)))
    assert sum(answers) == 7


async def test_claim_is_refused_while_the_lease_of_the_owner_lasts(redis: Redis) -> None:
    await admitted(redis)
    assert await claim(redis, "w1") == 1
    assert await claim(redis, "w2") is None


async def test_claim_is_refused_for_a_session_that_was_abandoned(redis: Redis) -> None:
    await admitted(redis)
    await Scripts(redis).abandon(keys=[name("s1") for name in (keys.session, keys.audio, keys.events, keys.finals)])
    assert await claim(redis, "w1") is None


async def test_former_owner_can_write_nothing_once_another_has_claimed(redis: Redis) -> None:
    await admitted(redis)
    old = await claim(redis, "w1")
    assert await write(redis, old, 1, "one") == 1
    await redis.hset(keys.session("s1"), "lease", 0)  # the lease has lapsed
    new = await claim(redis, "w2")
    assert new == old + 1
    assert await write(redis, old, 2, "stale") == FENCED
    assert await write(redis, new, 2, "two") == 1
    assert await logged(redis) == ["one", "two"]


async def test_repeated_write_doubles_nothing(redis: Redis) -> None:
    await admitted(redis)
    fence = await claim(redis, "w1")
    assert await write(redis, fence, 1, "one", "two") == 2
    assert await write(redis, fence, 1, "one", "two", "three", kind="f") == 1
    assert await logged(redis) == ["one", "two", "three"]
    assert await redis.llen(keys.finals("s1")) == 1


async def test_final_trims_the_audio_behind_its_checkpoint(redis: Redis) -> None:
    await admitted(redis)
    fence = await claim(redis, "w1")
    async with audio_writer(redis) as writer:
        track = writer.track("s1")
        for _ in range(4):
            track.append(b"\1\0" * 1600)
        await writer.flushed()
    await write(redis, fence, 1, "one", kind="f", checkpoint="3200")
    left = [parse_entry(entry_id, fields) for entry_id, fields in await redis.xrange(keys.audio("s1"))]
    assert [entry.end_samples for entry in left] == [3200, 4800, 6400]


async def test_audio_writer_cuts_entries_and_keeps_every_sample_in_order(redis: Redis) -> None:
    await admitted(redis)
    audio = bytes(range(256)) * 100
    async with audio_writer(redis) as writer:
        track = writer.track("s1")
        for start in range(0, len(audio), 1002):
            track.append(audio[start : start + 1002])
        track.control("commit")
        track.control("end")
        await writer.flushed()
    entries = [parse_entry(entry_id, fields) for entry_id, fields in await redis.xrange(keys.audio("s1"))][1:]
    assert b"".join(entry.pcm for entry in entries) == audio
    assert all(len(entry.pcm) <= 3200 for entry in entries)
    assert [entry.control for entry in entries[-2:]] == ["commit", "end"]
    assert entries[-1].end_samples == len(audio) // 2


async def test_audio_written_after_the_end_does_not_bring_the_stream_back(redis: Redis) -> None:
    await admitted(redis)
    fence = await claim(redis, "w1")
    names = [name("s1") for name in (keys.session, keys.audio, keys.events, keys.finals)]
    await Scripts(redis).end(keys=names, args=[fence, 10, "done"])
    async with audio_writer(redis) as writer:
        writer.track("s1").append(b"\0\0" * 1600)
        await writer.flushed()
    assert not await redis.exists(keys.audio("s1"))


async def test_follower_fills_a_gap_from_the_log(redis: Redis) -> None:
    await admitted(redis)
    fence = await claim(redis, "w1")
    async with subscriber(redis) as events:
        follower = await events.follow("s1")
        await write(redis, fence, 1, "one")
        await events.unfollow(follower)
        await write(redis, fence, 2, "two", "three")  # nobody is subscribed
        follower = await events.follow("s1", after_seq=0)
        await write(redis, fence, 4, "four")
        source = aiter(follower)
        assert [(await anext(source)).wire["text"] for _ in range(4)] == ["one", "two", "three", "four"]


async def test_follower_from_a_seq_on_gets_only_what_came_later(redis: Redis) -> None:
    await admitted(redis)
    fence = await claim(redis, "w1")
    await write(redis, fence, 1, "one", "two", "three")
    async with subscriber(redis) as events:
        source = aiter(await events.follow("s1", after_seq=2))
        assert (await anext(source)).wire["text"] == "three"


async def test_slow_follower_is_bounded_and_misses_nothing(redis: Redis) -> None:
    await admitted(redis)
    fence = await claim(redis, "w1")
    count = 3 * QUEUE_MAX
    async with subscriber(redis) as events:
        follower = await events.follow("s1")
        for first in range(1, count + 1, 64):
            await write(redis, fence, first, *(str(seq) for seq in range(first, min(first + 64, count + 1))))
        source = aiter(follower)
        seen = [(await anext(source)).wire["seq"] for _ in range(count)]
    assert seen == list(range(1, count + 1))
