"""Moves of a session that take two scripts, when the process dies between them: what is wrong then, and how long."""

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from shared.bus import keys, moves, ownership
from shared.bus.lua.sessions import Scripts
from shared.bus.lua.slots import BEST
from shared.bus.ownership import Ending
from shared.bus.registry import Registry
from shared.bus.states import SessionState
from tests.integration.owners import admitted, claim, erase, keep, new_session, release, renew, reserve, write

pytestmark = pytest.mark.redis_server


@pytest.fixture
async def registry(redis: Redis) -> Registry:
    """With two live workers of two free slots each."""
    await redis.zadd(keys.free("echo"), {"w1": 2, "w2": 2})
    seconds, _ = await redis.time()
    await redis.zadd(keys.WORKERS, dict.fromkeys(("w1", "w2"), (seconds + 60) * 1000))
    return Registry(redis, Scripts(redis))


async def life_s(redis: Redis, session_id: str) -> float:
    """How long the slot of a session is still held."""
    seconds, _ = await redis.time()
    return float(await redis.zscore(keys.admitted("echo"), session_id)) / 1000 - seconds


async def lapse(redis: Redis, session_id: str) -> None:
    """Time passes until the slot of a session expires."""
    await redis.zadd(keys.admitted("echo"), {session_id: 1})


async def test_frontend_dies_with_a_slot_and_no_session(redis: Redis) -> None:
    """The slot is held as long as that of a session that no worker claims."""
    await reserve(redis, "s1")
    assert await life_s(redis, "s1") <= new_session("s1").claim_timeout_s + keys.LEASE_S + 1
    assert await claim(redis, "w1") is None, "there is nothing to claim"
    assert await admitted(redis, "s2")
    assert not await admitted(redis, "s3")
    await lapse(redis, "s1")
    assert await admitted(redis, "s3")


async def test_repeated_reservation_takes_no_second_slot(redis: Redis, registry: Registry) -> None:
    assert (await reserve(redis, "s1"), await reserve(redis, "s1")) == (1, 1)
    await reserve(redis, "s2")
    assert await reserve(redis, "s1") == 1, "also if all slots are taken now"
    assert await registry.admitted("echo") == 2


async def test_repeated_admission_is_answered_as_the_first_and_counts_once(redis: Redis, registry: Registry) -> None:
    """Redis has admitted the session, and its reply was lost with the connection."""
    wanted = new_session("s1", capacity=2)
    assert (await registry.admit(wanted), await registry.admit(wanted)) == (True, True)
    assert await registry.admitted("echo") == 1
    assert await redis.xlen(keys.audio("s1")) == 1
    assert (await claim(redis, "w1")).fence == 1


async def test_admission_of_another_connection_is_no_repetition(redis: Redis, registry: Registry) -> None:
    await admitted(redis, "s1")
    before = await redis.hgetall(keys.session("s1"))
    with pytest.raises(ResponseError, match="a session in waiting came, expected no session"):
        await registry.admit(new_session("s1", capacity=2))
    assert await redis.hgetall(keys.session("s1")) == before


async def test_worker_dies_ranked_and_without_the_session(redis: Redis, registry: Registry) -> None:
    """Its free slots are too few until a heartbeat; the session is claimed by another worker."""
    await admitted(redis)
    names, arguments = ownership.rank("echo", "w1", 1, None)
    assert await Scripts(redis).rank(keys=names, args=arguments) == [BEST, 2]
    assert await redis.zscore(keys.free("echo"), "w1") == 1
    assert (await claim(redis, "w2")).worker_id == "w2"


async def test_worker_that_may_not_claim_counts_its_slots_as_free_again(redis: Redis, registry: Registry) -> None:
    assert await moves.claim(Scripts(redis), "no such session", "echo", "w1") is None
    assert await redis.zscore(keys.free("echo"), "w1") == 2


async def test_worker_that_claims_although_others_are_freer_has_its_slots_counted(
    redis: Redis, registry: Registry
) -> None:
    await admitted(redis)
    await redis.zadd(keys.free("echo"), {"w1": 1})
    assert [await claim(redis, "w1") for _ in range(2)] == [None, None], "it is passed on once for each worker"
    assert await redis.zscore(keys.free("echo"), "w1") == 1
    assert await claim(redis, "w1") is not None
    assert await redis.zscore(keys.free("echo"), "w1") == 0


async def test_slot_that_was_not_renewed_with_its_session_is_taken_again(redis: Redis, registry: Registry) -> None:
    await admitted(redis)
    owner = await claim(redis, "w1")
    await lapse(redis, "s1")
    await admitted(redis, "s2")
    assert await registry.admitted("echo") == 1, "the slot of s1 has expired"
    assert await renew(redis, owner) == 1
    assert await registry.admitted("echo") == 2


async def test_worker_dies_with_a_free_slot_and_a_session_that_has_not_ended(redis: Redis, registry: Registry) -> None:
    """The next owner takes the slot again."""
    await admitted(redis)
    owner = await claim(redis, "w1")
    await release(redis, owner, 10)
    assert await registry.admitted("echo") == 0
    assert await redis.hget(keys.session("s1"), "state") == b"live"
    await redis.hset(keys.session("s1"), "lease", 0)
    new = await claim(redis, "w2")
    assert await renew(redis, new) == 1
    assert await registry.admitted("echo") == 1


async def test_repeated_end_frees_a_slot_once(redis: Redis, registry: Registry) -> None:
    await admitted(redis)
    owner = await claim(redis, "w1")
    for _ in range(2):
        await write(redis, owner, 1, ending=Ending(SessionState.DONE, 10))
    assert await redis.zscore(keys.free("echo"), "w1") == 2


async def test_slot_of_an_ended_session_expires_if_it_was_renewed_too_late(redis: Redis) -> None:
    await admitted(redis)
    owner = await claim(redis, "w1")
    await write(redis, owner, 1, ending=Ending(SessionState.DONE, 10))
    await keep(redis, owner)
    assert await life_s(redis, "s1") <= keys.HEARTBEAT_TTL_S + 1


async def test_frontend_dies_with_an_erased_session_whose_slot_is_taken(redis: Redis, registry: Registry) -> None:
    await admitted(redis)
    owner = await claim(redis, "w1")
    assert owner is not None
    await keep(redis, owner)
    names, arguments = ownership.erase("s1")
    assert await Scripts(redis).erase(keys=names, args=arguments) == [b"w1", 1]
    assert await life_s(redis, "s1") <= keys.HEARTBEAT_TTL_S + 1
    assert await renew(redis, owner) != 1, "its worker does not keep the slot"
    assert await redis.zscore(keys.UNERASED, "s1"), "and its text will leave the disk"
    assert await erase(redis) == b"", "a repetition frees it"
    assert await registry.admitted("echo") == 0
