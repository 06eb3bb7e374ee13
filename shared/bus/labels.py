"""Who spoke in the finals of a session, as the events `speakers` say it. The stored finals keep their first labels."""

from collections.abc import AsyncIterator
from typing import Final, cast

from redis.asyncio import Redis

from shared.bus import keys
from shared.bus.event_log import LoggedEvent, parsed
from shared.bus.finals import read_finals

PAGE_LABELS: Final = 1000


async def read_labels(
    redis: Redis, session_id: str, after_seq: int = 0, upto_seq: float = float("inf")
) -> AsyncIterator[LoggedEvent]:
    """The events `speakers` whose `seq` is greater than the first number and at most the second, in order."""
    at = 0
    while page := cast("list[bytes]", await redis.lrange(keys.labels(session_id), at, at + PAGE_LABELS - 1)):
        for raw in page:
            event = parsed(raw)
            if event.wire["seq"] > upto_seq:
                return
            if event.wire["seq"] > after_seq:
                yield event
        at += len(page)


async def read_transcript(
    redis: Redis, session_id: str, after_seq: int = 0, upto_seq: float = float("inf")
) -> AsyncIterator[LoggedEvent]:
    """The finals and the events `speakers` of this range, in the order of `seq`."""
    labels = read_labels(redis, session_id, after_seq, upto_seq)
    label = await anext(labels, None)
    async for final in read_finals(redis, session_id, after_seq, upto_seq):
        while label is not None and label.wire["seq"] < final.wire["seq"]:
            yield label
            label = await anext(labels, None)
        yield final
    while label is not None:
        yield label
        label = await anext(labels, None)
