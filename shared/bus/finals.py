"""All finals of a session. The event log is bounded, so it does not keep all of them."""

from collections.abc import AsyncIterator
from typing import Final, cast

from redis.asyncio import Redis

from shared.bus import keys
from shared.bus.event_log import LoggedEvent, parsed

PAGE_FINALS: Final = 200
"""Finals read in one call: about 400 kB with word times."""


async def read_finals(
    redis: Redis, session_id: str, after_seq: int = 0, upto_seq: float = float("inf")
) -> AsyncIterator[LoggedEvent]:
    """The finals whose `seq` is greater than the first number and at most the second, in order."""
    key = keys.finals(session_id)
    at = await _first_after(redis, key, after_seq) if after_seq else 0
    while page := cast("list[bytes]", await redis.lrange(key, at, at + PAGE_FINALS - 1)):
        for raw in page:
            final = parsed(raw)
            if final.wire["seq"] > upto_seq:
                return
            yield final
        at += len(page)


async def _first_after(redis: Redis, key: str, seq: int) -> int:
    """Index of the first final after this number, by binary search: the list is long, and most readers want its end."""
    low, high = 0, await redis.llen(key)
    while low < high:
        middle = (low + high) // 2
        raw = cast("bytes | None", await redis.lindex(key, middle))
        if raw is not None and parsed(raw).wire["seq"] <= seq:
            low = middle + 1
        else:
            high = middle
    return low
