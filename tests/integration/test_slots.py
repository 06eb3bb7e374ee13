"""The slots of sessions with separate channels, in the scripts: each channel has one, all of one worker."""

from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.bus import keys, moves
from shared.bus.lua.sessions import ELSEWHERE, NO_ROOM, Scripts
from shared.bus.ownership import Ending, NewSession, Owner
from shared.bus.registry import Registry
from shared.bus.states import SessionState
from tests.integration.owners import erase, new_session, renew, reserve, write
from tests.unit.reports import report


@pytest.fixture
async def registry(redis: Redis) -> Registry:
    """With two live workers of three free slots each."""
    await redis.zadd(keys.free("echo"), {"w1": 3, "w2": 3})
    seconds, _ = await redis.time()
    await redis.zadd(keys.WORKERS, dict.fromkeys(("w1", "w2"), (seconds + 60) * 1000))
    return Registry(redis, Scripts(redis))


async def admit(registry: Registry, session_id: str, slots: int, capacity: int = 6) -> bool:
    return await registry.admit(
        NewSession(
            session_id,
            "echo",
            capacity=capacity,
            claim_timeout_s=5,
            options=b"{}",
            resume_digest="r",
            viewer_digest="v",
            slots=slots,
        )
    )


async def claim(redis: Redis, worker: str, session_id: str, free_slots: int) -> Any:
    slots = int(await redis.hget(keys.session(session_id), "slots") or 1)
    return await moves.claim(Scripts(redis), session_id, "echo", worker, slots=slots, free_slots=free_slots)


async def owned(redis: Redis, worker: str, session_id: str) -> Owner:
    found = await claim(redis, worker, session_id, free_slots=3)
    assert isinstance(found, list), found
    return Owner(session_id, "echo", worker, int(dict(zip(found[::2], found[1::2], strict=True))[b"fence"]))


async def free(redis: Redis, worker: str) -> float | None:
    slots: float | None = await redis.zscore(keys.free("echo"), worker)
    return slots


async def gone(redis: Redis, *session_ids: str) -> None:
    """Their clients have been away for long."""
    await redis.zadd(keys.awaiting("echo"), {one: number for number, one in enumerate(session_ids)})


async def test_capacity_counts_every_channel(registry: Registry) -> None:
    assert await admit(registry, "s1", 3)
    assert await admit(registry, "s2", 2)
    assert await registry.admitted("echo") == 5
    assert not await admit(registry, "s3", 2)
    assert await admit(registry, "s3", 1)
    assert not await admit(registry, "s4", 1)


async def test_heartbeat_offers_the_slots_of_its_worker_and_of_no_other(redis: Redis, registry: Registry) -> None:
    await redis.zadd(keys.free("echo"), {"gone": 3})
    worker = report("echo", 1, id="w1", slots=4)
    await registry.beat(worker)
    assert await redis.zrange(keys.free("echo"), 0, -1, withscores=True) == [(b"w1", 3), (b"w2", 3)]
    await registry.beat(replace(worker, slots=2, sessions=0))
    assert (await free(redis, "w1"), await free(redis, "w2")) == (2, 3)
    assert 0 < await redis.pttl(keys.free("echo")) <= keys.HEARTBEAT_TTL_S * 1000
    await registry.beat(replace(worker, draining=True))
    assert (await free(redis, "w1"), await free(redis, "w2")) == (None, 3)


async def test_slots_must_be_free_at_one_worker(redis: Redis, registry: Registry) -> None:
    await redis.zadd(keys.free("echo"), {"w1": 1, "w2": 1})
    assert not await admit(registry, "s1", 2)
    assert await admit(registry, "s1", 1)


@pytest.mark.parametrize("ends", ["done", "erased"])
async def test_worker_gets_all_slots_back(redis: Redis, registry: Registry, ends: str) -> None:
    await admit(registry, "s1", 3)
    owner = await owned(redis, "w1", "s1")
    assert await free(redis, "w1") == 0
    assert await renew(redis, owner, slots=3) == 1
    assert await registry.admitted("echo") == 3
    if ends == "done":
        await write(redis, owner, 1, ending=Ending(SessionState.DONE, 10))
    else:
        await erase(redis)
    assert await free(redis, "w1") == 3
    assert await registry.admitted("echo") == 0


async def test_worker_with_too_few_slots_claims_nothing(redis: Redis, registry: Registry) -> None:
    await admit(registry, "s1", 2)
    assert await claim(redis, "w1", "s1", free_slots=1) == NO_ROOM
    await redis.zadd(keys.free("echo"), {"w2": 1})
    assert await claim(redis, "w1", "s1", free_slots=1) is None, "no other worker has enough"
    assert await redis.hget(keys.session("s1"), "state") == b"waiting"
    assert isinstance(await claim(redis, "w1", "s1", free_slots=2), list)


async def test_single_session_is_passed_on_by_a_worker_whose_slots_are_taken(redis: Redis, registry: Registry) -> None:
    await admit(registry, "s1", 1)
    assert await claim(redis, "w1", "s1", free_slots=0) == NO_ROOM
    await redis.zadd(keys.free("echo"), {"w1": 1})
    assert await claim(redis, "w1", "s1", free_slots=1) == ELSEWHERE


async def test_sessions_of_absent_clients_give_way_only_if_that_is_enough(redis: Redis, registry: Registry) -> None:
    assert await admit(registry, "pair", 2, capacity=4)
    assert await admit(registry, "one", 1, capacity=4)
    assert await admit(registry, "busy", 1, capacity=4)
    await owned(redis, "w1", "pair")
    await gone(redis, "one")
    assert not await admit(registry, "new", 2, capacity=4)
    assert await registry.admitted("echo") == 4
    await gone(redis, "one", "pair")
    assert await admit(registry, "new", 3, capacity=4)
    assert await registry.admitted("echo") == 1 + 3
    told = await redis.xrange(keys.control("w1"))
    assert [fields for _, fields in told] == [{b"give_way": b"pair"}]


async def test_repeated_reservation_names_the_displaced_sessions_again(redis: Redis, registry: Registry) -> None:
    """Redis has given it their slots, and its reply was lost with the connection: their workers know nothing yet."""
    for session_id in ("one", "two"):
        await admit(registry, session_id, 1, capacity=2)
    await gone(redis, "two")
    assert [await reserve(redis, "new") for _ in range(2)] == [[b"two"], [b"two"]]
    assert await registry.admitted("echo") == 2
    assert 0 < await redis.pttl(keys.displaced("new")) <= new_session().claim_ms


async def test_reservation_after_a_failed_one_names_no_sessions_of_that_one(redis: Redis, registry: Registry) -> None:
    await redis.rpush(keys.displaced("new"), "two")
    assert [await reserve(redis, "new") for _ in range(2)] == [1, 1]
