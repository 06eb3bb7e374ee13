"""All finals of a session. The event log is bounded, so it does not keep all of them."""

from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final, cast

import orjson
from redis.asyncio import Redis

from shared.bus import keys
from shared.bus.event_log import LoggedEvent, parsed
from shared.events import EventType

PAGE_FINALS: Final = 200
"""Finals read in one call: about 400 kB with word times."""
OF_FINAL_ONLY: Final = frozenset({"latency", "usage", "revised_seq"})
"""Fields of a final, in the list, that its `revised` lacks."""


async def read_finals(
    redis: Redis, session_id: str, after_seq: int = 0, upto_seq: float = float("inf")
) -> AsyncIterator[LoggedEvent]:
    """The finals whose `seq` is greater than the first number and at most the second, in order.

    They have their latest text. A final before them that was revised after `after_seq` comes as its `revised`, in the
    order of `seq` as well.
    """
    at = await _first_after(redis, keys.finals(session_id), after_seq) if after_seq else 0
    revised = await _revised_before(redis, session_id, at, after_seq, upto_seq) if at else deque()
    async for final in _listed(redis, keys.finals(session_id), at, upto_seq):
        while revised and revised[0].wire["seq"] < final.wire["seq"]:
            yield revised.popleft()
        yield final
    for event in revised:
        yield event


async def _listed(redis: Redis, key: str, at: int, upto_seq: float) -> AsyncIterator[LoggedEvent]:
    """The finals from an index on, page by page."""
    while page := cast("list[bytes]", await redis.lrange(key, at, at + PAGE_FINALS - 1)):
        for raw in page:
            final = parsed(raw)
            if final.wire["seq"] > upto_seq:
                return
            yield final
        at += len(page)


async def _revised_before(
    redis: Redis, session_id: str, end: int, after_seq: int, upto_seq: float
) -> deque[LoggedEvent]:
    """The `revised` of the first `end` finals that are in the range, in order.

    Only if the session has any does this read these finals.
    """
    last = cast("bytes | None", await redis.hget(keys.session(session_id), "revised"))
    if last is None or int(last) <= after_seq:
        return deque()
    found: list[LoggedEvent] = []
    for at in range(0, end, PAGE_FINALS):
        page = await redis.lrange(keys.finals(session_id), at, min(at + PAGE_FINALS, end) - 1)
        finals = (parsed(raw).wire for raw in cast("list[bytes]", page))
        found += [_as_revised(one) for one in finals if after_seq < one.get("revised_seq", 0) <= upto_seq]
    return deque(sorted(found, key=lambda event: cast("int", event.wire["seq"])))


def _as_revised(final: dict[str, Any]) -> LoggedEvent:
    """The event that has given a final its text."""
    wire = {name: value for name, value in final.items() if name not in OF_FINAL_ONLY}
    wire |= {"type": EventType.REVISED.value, "seq": final["revised_seq"]}
    return LoggedEvent(orjson.dumps(wire), wire)


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
