"""Who spoke in past finals: stored as long as the finals, read in order, and erased with them."""

import orjson
import pytest
from redis.asyncio import Redis

from frontend.transcripts.document import Form, SessionTranscript
from shared.bus import keys, ownership
from shared.bus.labels import PAGE_LABELS, read_labels, read_transcript
from shared.bus.lua.sessions import Scripts
from shared.bus.messages import EventKind
from shared.bus.ownership import Ending, Owner
from shared.bus.states import SessionState
from tests.integration.owners import admitted, claim, erase, renew, write

pytestmark = pytest.mark.redis_server


def final(seq: int, segment: int) -> tuple[EventKind, bytes]:
    times = {"start": segment, "end": segment + 1}
    wire = {"type": "final", "seq": seq, "segment": segment, "text": f"Word {segment}.", **times}
    return EventKind.FINAL, orjson.dumps(wire)


def labels(seq: int, segment: int, speaker: str) -> tuple[EventKind, bytes]:
    wire = {"type": "speakers", "seq": seq, "segments": [{"segment": segment, "speaker": speaker}]}
    return EventKind.LABELS, orjson.dumps(wire)


async def write_all(redis: Redis, owner: Owner | None, *events: tuple[str, bytes]) -> None:
    assert owner is not None
    names, arguments = ownership.write(owner, 1, events)
    assert await Scripts(redis).write(keys=names, args=arguments) == len(events)
    assert await Scripts(redis).write(keys=names, args=arguments) == 0, "a repeated write changes nothing"


async def test_labels_are_read_between_the_finals_in_their_order(redis: Redis) -> None:
    await admitted(redis)
    owner = await claim(redis, "w1")
    await write_all(
        redis, owner, final(1, 0), labels(2, 0, "A"), final(3, 1), final(4, 2), labels(5, 1, "B"), labels(6, 0, "C")
    )
    events = [event.wire async for event in read_transcript(redis, "s1")]
    assert [event["seq"] for event in events] == [1, 2, 3, 4, 5, 6]
    assert [event.wire["seq"] async for event in read_transcript(redis, "s1", 2, 5)] == [3, 4, 5]
    transcript = SessionTranscript.of("s1", events, is_complete=True)
    assert transcript.written(Form.TXT) == b"C: Word 0.\n\nB: Word 1.\n\n?: Word 2.\n"
    segments = orjson.loads(transcript.written(Form.JSON))["segments"]
    assert [segment.get("speaker") for segment in segments] == ["C", "B", None]


async def test_labels_of_text_that_was_revised_later_are_left_out(redis: Redis) -> None:
    await admitted(redis)
    owner = await claim(redis, "w1")
    kind, payload = labels(3, 0, "A")
    both = orjson.loads(payload)
    both["segments"] += [{"segment": 1, "speaker": "B"}]
    entry = orjson.loads(final(1, 0)[1]) | {"text": "Revised.", "speaker": "C", "revised_seq": 4}
    revised = entry | {"type": "revised", "seq": 4}
    replaced = (f"{EventKind.REVISED}0", orjson.dumps(revised) + b"\n" + orjson.dumps(entry))
    await write_all(redis, owner, final(1, 0), final(2, 1), (kind, orjson.dumps(both)), replaced, labels(5, 0, "D"))
    events = [event.wire async for event in read_transcript(redis, "s1", upto_seq=4)]
    assert [(one["seq"], one.get("segments")) for one in events] == [(1, None), (2, None), (3, both["segments"][1:])]
    transcript = SessionTranscript.of("s1", events, is_complete=True)
    assert transcript.written(Form.TXT) == b"C: Revised.\n\nB: Word 1.\n"
    later = [event.wire async for event in read_transcript(redis, "s1", 2)]
    assert [(one["type"], one["seq"]) for one in later] == [("speakers", 3), ("revised", 4), ("speakers", 5)]


async def test_labels_live_as_long_as_the_session_and_end_with_it(redis: Redis) -> None:
    await admitted(redis)
    owner = await claim(redis, "w1")
    await write_all(redis, owner, final(1, 0), labels(2, 0, "A"))
    await redis.expire(keys.labels("s1"), 1)
    assert await renew(redis, owner) == 1
    assert await redis.ttl(keys.labels("s1")) > 1
    await write(redis, owner, 3, ending=Ending(SessionState.DONE, 100))
    assert 0 < await redis.ttl(keys.labels("s1")) <= 100
    await erase(redis)
    assert not await redis.exists(keys.labels("s1"))


async def test_many_labels_are_read_page_by_page(redis: Redis) -> None:
    count = PAGE_LABELS + 2
    await redis.rpush(keys.labels("s1"), *(labels(seq, 0, "A")[1] for seq in range(1, count + 1)))
    assert [event.wire["seq"] async for event in read_labels(redis, "s1", count - 3)] == [count - 2, count - 1, count]
