"""The ownership of sessions on a real server: admission, claims, fencing, repeated and late writes, and the end."""

import asyncio
from dataclasses import replace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from shared.bus import keys, moves
from shared.bus.connect import connect
from shared.bus.lua.sessions import ELSEWHERE, FENCED, Scripts
from shared.bus.ownership import Ending, Owner
from shared.bus.registry import Registry
from shared.bus.states import SessionState
from tests.integration.owners import admitted, claim, erase, logged, offer, renew, settled, write
from tests.limits import limit_s
from tests.stack import Stack

pytestmark = pytest.mark.redis_server


async def test_admission_stops_at_capacity_and_takes_again_after_release(redis: Redis) -> None:
    assert [await admitted(redis, name) for name in ("s1", "s2", "s3")] == [True, True, False]
    assert await erase(redis, "s1") == b""
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
            await erase(redis, leaving, model)
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
    await moves.claim(Scripts(redis), session_id, model, "w1")
    return int(await redis.hget(keys.session(session_id), "fence"))


async def test_admission_is_atomic_under_concurrency(redis: Redis) -> None:
    answers = await asyncio.gather(*(admitted(redis, f"s{number}", capacity=7) for number in range(40)))
    assert sum(answers) == 7


async def test_claim_is_refused_while_the_lease_of_the_owner_lasts(redis: Redis) -> None:
    await admitted(redis)
    assert (await claim(redis, "w1")).fence == 1
    assert await claim(redis, "w2") is None


async def test_claim_is_refused_when_the_time_for_the_first_one_is_over(redis: Redis) -> None:
    await admitted(redis)
    await redis.hset(keys.session("s1"), "lease", 0)
    assert await claim(redis, "w1") is None


async def test_claim_is_refused_for_a_session_that_was_erased(redis: Redis) -> None:
    await admitted(redis)
    assert await erase(redis) == b""
    assert await claim(redis, "w1") is None


async def test_former_owner_can_write_nothing_once_another_has_claimed(redis: Redis) -> None:
    await admitted(redis)
    old = await claim(redis, "w1")
    assert await write(redis, old, 1, "one") == 1
    await redis.hset(keys.session("s1"), "lease", 0)  # the lease has expired
    new = await claim(redis, "w2")
    assert new.fence == old.fence + 1
    assert await write(redis, old, 2, "stale") == FENCED
    assert await write(redis, old, 2, settled=settled(16_000), consumed_samples=16_000) == FENCED
    assert await write(redis, old, 2, ending=Ending(SessionState.DONE, 1)) == FENCED
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


async def test_write_that_comes_late_takes_nothing_back(redis: Redis) -> None:
    await admitted(redis)
    owner = await claim(redis, "w1")
    await write(redis, owner, 1, settled=settled(3200, 2, b"new"), consumed_samples=3200)
    await write(redis, owner, 1, settled=settled(1600, 1, b"old"), consumed_samples=1600)
    held = await redis.hmget(keys.session("s1"), "checkpoint", "segment", "options", "consumed")
    assert held == [b"3200", b"2", b"new", b"3200"]


async def test_committed_text_is_kept_with_its_event_and_taken_away_with_its_final(redis: Redis) -> None:
    await admitted(redis)
    owner = await claim(redis, "w1")
    assert await write(redis, owner, 1, "one", committed=b'[0,"one"]') == 1
    assert await write(redis, owner, 2, "one two") == 1
    assert await redis.hget(keys.session("s1"), "committed") == b'[0,"one"]'
    await redis.hset(keys.session("s1"), "lease", 0)
    found = await moves.claim(Scripts(redis), "s1", "echo", "w2")
    assert isinstance(found, list)
    held = dict(zip(found[::2], found[1::2], strict=True))
    assert held[b"committed"] == b'[0,"one"]'
    assert await write(redis, owner, 3, "stale", committed=b'[0,"stale"]') == FENCED
    new = replace(owner, worker_id="w2", fence=int(held[b"fence"]))
    assert await write(redis, new, 3, "one two.", kind="f", committed=b"") == 1
    assert not await redis.hexists(keys.session("s1"), "committed")


async def test_committed_text_of_a_repeated_write_takes_nothing_back(redis: Redis) -> None:
    await admitted(redis)
    owner = await claim(redis, "w1")
    for first, texts, committed in [(1, ["one"], b"1"), (1, ["one", "one two"], b"2"), (1, ["one"], b"1")]:
        await write(redis, owner, first, *texts, committed=committed)
    assert await redis.hget(keys.session("s1"), "committed") == b"2"


async def test_answered_commit_is_kept_with_the_event_that_answers_it(redis: Redis) -> None:
    await admitted(redis)
    owner = await claim(redis, "w1")
    for first, texts, answered in [(1, ["one"], b""), (2, ["two"], b"5-1"), (2, ["two", "three"], b"9-1")]:
        await write(redis, owner, first, *texts, answered_commit=answered)
    await write(redis, owner, 2, "two", answered_commit=b"5-1")
    assert await redis.hget(keys.session("s1"), "answered") == b"9-1"


async def test_end_that_is_repeated_frees_one_slot(redis: Redis) -> None:
    await admitted(redis)
    await redis.zadd(keys.free("echo"), {"w1": 2})
    owner = await claim(redis, "w1")
    assert await redis.zscore(keys.free("echo"), "w1") == 1
    for _ in range(2):
        await write(redis, owner, 1, ending=Ending(SessionState.DONE, 10))
    assert await redis.zscore(keys.free("echo"), "w1") == 2
    assert await renew(redis, owner) == 0
    assert await Registry(redis, Scripts(redis)).admitted("echo") == 0


async def test_session_goes_to_the_worker_with_the_most_free_slots(redis: Redis) -> None:
    await redis.zadd(keys.free("echo"), {"full": 1, "free": 3, "dead": 4})
    seconds, _ = await redis.time()
    lapses_ms = {"full": 1, "free": 1, "dead": -1}
    await redis.zadd(keys.WORKERS, {name: (seconds + 60 * sign) * 1000 for name, sign in lapses_ms.items()})
    await admitted(redis)
    assert await moves.claim(Scripts(redis), "s1", "echo", "full") == ELSEWHERE
    assert await claim(redis, "free") is not None
    assert await redis.zscore(keys.free("echo"), "free") == 2


async def test_session_is_passed_on_at_most_once_for_each_worker(redis: Redis) -> None:
    await redis.zadd(keys.free("echo"), {"full": 1, "hung": 3})
    seconds, _ = await redis.time()
    await redis.zadd(keys.WORKERS, dict.fromkeys(("full", "hung"), (seconds + 60) * 1000))
    await admitted(redis)
    assert [(await claim(redis, "full")) is not None for _ in range(3)] == [False, False, True]


async def test_offered_session_can_be_claimed_from_its_living_owner(redis: Redis) -> None:
    await admitted(redis)
    old = await claim(redis, "w1")
    assert await offer(redis, old) == 1
    assert await write(redis, old, 1, "one") == 1
    assert await renew(redis, old) == 1
    new = await claim(redis, "w2")
    assert await write(redis, old, 2, "late") == FENCED
    assert await write(redis, new, 2, "two") == 1
    assert await claim(redis, "w3") is None


async def test_erased_session_leaves_nothing_that_was_said(redis: Redis) -> None:
    await admitted(redis)
    owner = await claim(redis, "w1")
    await redis.zadd(keys.free("echo"), {"w1": 0})
    await write(redis, owner, 1, "one", kind="f", committed=b'[1,"two"]')
    async with redis.pubsub() as viewer:
        await viewer.subscribe(keys.channel("s1"))
        assert (await viewer.get_message(timeout=limit_s(5)))["type"] == "subscribe"
        assert await erase(redis) == b"w1"
        told = orjson.loads((await viewer.get_message(timeout=limit_s(5)))["data"])
    assert (told["type"], told["session_id"], told["seq"], told["code"]) == ("error", "s1", 2, "session_expired")
    assert not await redis.exists(keys.audio("s1"), keys.events("s1"), keys.finals("s1"))
    left = await redis.hgetall(keys.session("s1"))
    assert left[b"state"] == b"cancelled"
    assert {b"options", b"committed"}.isdisjoint(left)
    assert 0 < await redis.ttl(keys.session("s1")) <= keys.CANCELLED_TTL_S
    assert await redis.zscore(keys.free("echo"), "w1") == 1
    assert not await redis.exists(keys.admitted("echo"))


async def test_owner_of_an_erased_session_can_write_nothing(redis: Redis) -> None:
    await admitted(redis)
    owner = await claim(redis, "w1")
    await erase(redis)
    assert await write(redis, owner, 1, "late", kind="f") == FENCED
    assert await write(redis, owner, 1, ending=Ending(SessionState.DONE, 100)) == FENCED
    assert (await renew(redis, owner), await offer(redis, owner)) == (FENCED, FENCED)
    assert not await redis.exists(keys.audio("s1"), keys.events("s1"), keys.finals("s1"))
    assert await claim(redis, "w2") is None


async def test_erased_session_of_a_dead_owner_is_deleted_whole(redis: Redis) -> None:
    await admitted(redis)
    owner = await claim(redis, "w1")
    await write(redis, owner, 1, "one", kind="f")
    await redis.hset(keys.session("s1"), "lease", 0)
    assert await erase(redis) == b""
    assert not await redis.exists(*keys.of_session("s1"))
    assert await renew(redis, owner) == FENCED
    assert await erase(redis) is None
