"""The mark of a connection that opens a session with a shared identity, on a real server."""

import contextlib

import pytest
from redis.asyncio import Redis

from frontend.sessions.identities import sole_opening
from shared.bus import keys
from shared.errors import SessionResumedError

pytestmark = pytest.mark.redis_server

MARK = keys.opening("s1")
CLAIM_TIMEOUT_S = 5


async def test_another_connection_may_open_after_the_first_has_ended(redis: Redis) -> None:
    async with sole_opening(redis, "s1", CLAIM_TIMEOUT_S):
        with pytest.raises(SessionResumedError, match="is opening session s1"):
            async with sole_opening(redis, "s1", CLAIM_TIMEOUT_S):
                pass
        assert await redis.ttl(MARK) > CLAIM_TIMEOUT_S
    assert await redis.get(MARK) is None
    async with sole_opening(redis, "s1", CLAIM_TIMEOUT_S):
        assert await redis.get(MARK) is not None


async def test_opening_that_ends_after_its_mark_has_expired_keeps_the_mark_of_the_next(redis: Redis) -> None:
    async with contextlib.AsyncExitStack() as later:
        async with sole_opening(redis, "s1", CLAIM_TIMEOUT_S):
            await redis.delete(MARK)  # it expires
            await later.enter_async_context(sole_opening(redis, "s1", CLAIM_TIMEOUT_S))
            held = await redis.get(MARK)
        assert held is not None
        assert await redis.get(MARK) == held
    assert await redis.get(MARK) is None
