"""A follower of a session's events: how it ends."""

from typing import cast

from redis.asyncio import Redis

from shared.bus.event_log import Follower


async def test_first_reason_to_end_is_the_one_that_is_told() -> None:
    follower = Follower(cast("Redis", None), "s1", 0)
    follower.push(b'{"type":"partial","seq":1}')
    follower.end_with({"type": "error", "code": "unauthorized"})
    follower.push(b'{"type":"error","seq":2,"code":"session_expired"}')
    told = [event.wire async for event in follower]
    assert told == [{"type": "partial", "seq": 1}, {"type": "error", "code": "unauthorized", "seq": 2}]
