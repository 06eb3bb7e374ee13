"""The bus on a real server: fencing, repeated writes, gaps, admission, and what is left when a session ends."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from shared.bus import keys, ownership
from shared.bus.audio import AudioWriter, parse_entry
from shared.bus.connect import connect
from shared.bus.event_log import QUEUE_MAX, EventSubscriber
from shared.bus.ownership import Ending, Owner, Settled
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


async def claim(redis: Redis, worker: str, session_id: str = "s1") -> Owner | None:
    names, arguments = ownership.claim(session_id, "echo", worker)
    found = await Scripts(redis).claim(keys=names, args=arguments)
    if not found:
        return None
    return Owner(session_id, "echo", worker, int(dict(zip(found[::2], found[1::2], strict=True))[b"fence"]))


async def write(redis: Redis, owner: Owner | None, first_seq: int, *texts: str, kind: str = "e", **more: Any) -> int:
    assert owner is not None
    said = [
        (kind, orjson.dumps({"type": "partial", "seq": seq, "text": text})) for seq, text in enumerate(texts, first_seq)
    ]
    names, arguments = ownership.write(owner, first_seq, said, **more)
    return int(await Scripts(redis).write(keys=names, args=arguments))


async def renew(redis: Redis, owner: Owner) -> int:
    names, arguments = ownership.renew(owner)
    return int(await Scripts(redis).renew(keys=names, args=arguments))


async def offer(redis: Redis, owner: Owner) -> int:
    names, arguments = ownership.offer(owner)
    return int(await Scripts(redis).offer(keys=names, args=arguments))


def settled(checkpoint_samples: int, segment: int = 1, options: bytes | None = None) -> Settled:
    return Settled(checkpoint_samples, segment, options)


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
async def audio_writer(server: Stack) -> AsyncIterator[AudioWriter]:
    running = AudioWriter(server.settings)
    loop = asyncio.create_task(running.run())
    try:
        yield running
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
        await running.close()


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
            for kept in held[model]:
                owner = Owner(kept, model, "w1", (await claimed_fence(redis, kept, model)))
                assert await renew(redis, owner) == 1
        assert {model: await registry.admitted(model) for model in CAPACITIES} == {
            model: len(sessions) for model, sessions in held.items()
        }
        lives_s = {model: await redis.ttl(keys.admitted(model)) for model, sessions in held.items() if sessions}
        assert all(life_s > 0 for life_s in lives_s.values()), "nothing is left of a model that is gone"
    await redis.aclose()


async def claimed_fence(redis: Redis, session_id: str, model: str) -> int:
    names, arguments = ownership.claim(session_id, model, "w1")
    await Scripts(redis).claim(keys=names, args=arguments)
    return int(await redis.hget(keys.session(session_id), "fence"))


async def test_admission_is_atomic_under_concurrency(redis: Redis) -> None:
    answers = await asyncio.gather(*(admitted(redis, f"s{number}", capacity=7) for number in range(40)))
    assert sum(answers) == 7


async def test_claim_is_refused_while_the_lease_of_the_owner_lasts(redis: Redis) -> None:
    await admitted(redis)
    assert (await claim(redis, "w1")).fence == 1
    assert await claim(redis, "w2") is None


async def test_claim_is_refused_for_a_session_that_was_abandoned(redis: Redis) -> None:
    await admitted(redis)
    await Scripts(redis).abandon(keys=keys.of_session("s1"))
    assert await claim(redis, "w1") is None


async def test_former_owner_can_write_nothing_once_another_has_claimed(redis: Redis) -> None:
    await admitted(redis)
    old = await claim(redis, "w1")
    assert await write(redis, old, 1, "one") == 1
    await redis.hset(keys.session("s1"), "lease", 0)  # the lease has lapsed
    new = await claim(redis, "w2")
    assert new.fence == old.fence + 1
    assert await write(redis, old, 2, "stale") == FENCED
    assert await write(redis, old, 2, settled=settled(16_000), consumed_samples=16_000) == FENCED
    assert await write(redis, old, 2, ending=Ending("done", 1)) == FENCED
    assert (await renew(redis, old), await offer(redis, old)) == (FENCED, FENCED)
    assert await Registry(redis, Scripts(redis)).admitted("echo") == 1
    assert await write(redis, new, 2, "two") == 1
    assert await logged(redis) == ["one", "two"]


async def test_repeated_write_doubles_nothing(redis: Redis) -> None:
    await admitted(redis)
    owner = await claim(redis, "w1")
    assert await write(redis, owner, 1, "one", "two") == 2
    assert await write(redis, owner, 1, "one", "two", "three", kind="f") == 1
    assert await logged(redis) == ["one", "two", "three"]
    assert await redis.llen(keys.finals("s1")) == 1


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
        track.control("commit")
        track.control("end")
        await writer.flushed()
    entries = [parse_entry(entry_id, fields) for entry_id, fields in await redis.xrange(keys.audio("s1"))][1:]
    assert b"".join(entry.pcm for entry in entries) == audio
    assert all(len(entry.pcm) <= 3200 for entry in entries)
    assert [entry.control for entry in entries[-2:]] == ["commit", "end"]
    assert entries[-1].end_samples == len(audio) // 2


async def test_audio_written_after_the_end_does_not_bring_the_stream_back(server: Stack, redis: Redis) -> None:
    await admitted(redis)
    owner = await claim(redis, "w1")
    await write(redis, owner, 1, ending=Ending("done", 10))
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
        await write(redis, owner, 2, "two", "three")  # nobody is subscribed
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
