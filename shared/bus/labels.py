"""Who spoke in the finals of a session, as the events `speakers` say it. The stored finals keep their first labels, or
those of their revised text."""

from collections.abc import AsyncIterator
from typing import Final, cast

import orjson
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
    """The finals and the events `speakers` of this range, in the order of `seq`.

    Labels are left out if the text that they are about was revised: the final with the new text has newer ones.
    """
    labels = read_labels(redis, session_id, after_seq, upto_seq)
    label = await anext(labels, None)
    revised: dict[int, int] = {}
    async for final in read_finals(redis, session_id, after_seq, upto_seq):
        while label is not None and label.wire["seq"] < final.wire["seq"]:
            if (current := _since(label, revised)) is not None:
                yield current
            label = await anext(labels, None)
        if "revised_seq" in final.wire:
            revised[final.wire["segment"]] = final.wire["revised_seq"]
        yield final
    while label is not None:
        if (current := _since(label, revised)) is not None:
            yield current
        label = await anext(labels, None)


def _since(label: LoggedEvent, revised: dict[int, int]) -> LoggedEvent | None:
    """The event without segments whose text was revised after it; None if none is left.

    `revised`: the `seq` of the `revised` of segments.
    """
    seq = label.wire["seq"]
    segments = [one for one in label.wire["segments"] if revised.get(one["segment"], 0) < seq]
    if len(segments) == len(label.wire["segments"]):
        return label
    wire = label.wire | {"segments": segments}
    return LoggedEvent(orjson.dumps(wire), wire) if segments else None
