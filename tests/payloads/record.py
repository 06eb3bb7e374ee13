"""Records what processes leave for each other in Redis: `python -m tests.payloads.record`.

To be run once, into `protocol_NUMBER.json`, for each protocol number (`shared/protocol.py`), with the code that is the
first to have it. Texts are latin-1, samples are base64.
"""

import asyncio
import base64
import json
import logging
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import structlog
from redis.asyncio import Redis

from shared.bus import keys
from shared.events import CommittedText, Event, EventType, Latency, Usage, Word
from shared.session_options import CommitDelay, Mode, SessionOptions
from tests.integration.workers import SECOND, Fleet, redis_alone, until
from worker.channels.states import ChannelState, ChannelStates
from worker.commitment import Commitment

HALF_SECOND = SECOND[: len(SECOND) // 2]
OPTIONS = SessionOptions(
    language="en", prompt="Names: Ada.", delay_ms=480, turns=True, temperature=0.5, commit_delay=CommitDelay.FAST
)


async def record(fleet: Fleet) -> dict[str, Any]:
    """A session that has one final, and audio behind it, when its worker is killed."""
    redis = fleet.redis
    await fleet.start("worker")
    session = await fleet.gateway.open(OPTIONS)
    published = redis.pubsub()
    await published.subscribe(keys.channel(session.id))
    await session.write(HALF_SECOND)
    await session.commit(number=1)
    await session.configure(session.options, number=2)
    await until(lambda: _has_said(redis, session.id, b'"committed"'))
    await session.write(HALF_SECOND)
    await until(lambda: _has_said(redis, session.id, b'"end":1.0'))
    workers, frontends = await _reports(redis, keys.WORKERS), await _reports(redis, keys.FRONTENDS)
    resumed = await fleet.gateway.resume(session.id, session.resume_token, 0)
    await resumed.commit(number=3)
    fleet.signal("worker", signal.SIGKILL)
    await fleet.ends("worker")
    resumed.detach()
    await fleet.frontend.dispatcher.dispatch(session.id, session.options, "stream")
    found = {
        "session_id": session.id,
        "resume_token": session.resume_token,
        "session": _text(await redis.hgetall(keys.session(session.id))),
        "audio": [[entry.decode(), _text(fields)] for entry, fields in await redis.xrange(keys.audio(session.id))],
        "events": [[entry.decode(), _text(fields)] for entry, fields in await redis.xrange(keys.events(session.id))],
        "finals": [_latin(final) for final in await redis.lrange(keys.finals(session.id), 0, -1)],
        "published": [_latin(message) for message in await _messages(published)],
        "tasks": {"stream:echo": [_latin(task) for task in await redis.lrange("stream:echo", 0, -1)]},
        "workers": workers,
        "frontends": frontends,
        "committed": _latin(Commitment(1, "One two", _words(), 8000, 16000).encoded()),
        "channel_states": _latin(channel_states().encoded()),
        "every_event": [event.to_wire() for event in every_event()],
    }
    await published.aclose()
    return found


def channel_states() -> ChannelStates:
    """Of two channels whose segments are open, one with committed text."""
    open_text = ChannelState(16000, 1, {1: 2}, Commitment(1, "One two", _words(), 8000, 16000))
    return ChannelStates(4, (open_text, ChannelState(8000, 1, {1: 3})))


def every_event() -> list[Event]:
    """One of each type, with every field that it may have."""
    words, latency = _words(), Latency(1.0, 2.0, 3.0)
    more: dict[EventType, dict[str, Any]] = {
        EventType.PARTIAL: {"committed": CommittedText("One", words[:1])},
        EventType.FINAL: {"words": words, "language": "en", "usage": Usage(7, 8, truncated=False)},
        EventType.WARNING: {"extra": {"code": "store_unavailable", "message": "A warning."}},
        EventType.ERROR: {"extra": {"code": "idle_timeout", "message": "An error.", "retry_after_s": 2.0}},
        EventType.READY: {"extra": {"model": "echo"}},
        EventType.DONE: {"extra": {"duration": 1.0}},
    }
    return [
        Event(kind, "s1", seq, 0, "One two", 0, 16000, mode=Mode.TRANSCRIBE, latency=latency, **more.get(kind, {}))
        for seq, kind in enumerate(EventType, 1)
    ]


def _words() -> tuple[Word, ...]:
    return Word("One", 0, 8000), Word("two", 8000, 16000)


async def _has_said(redis: Redis, session_id: str, text: bytes) -> bool:
    return any(text in fields[b"e"] for _, fields in await redis.xrange(keys.events(session_id)))


async def _reports(redis: Redis, index: str) -> list[Any]:
    ids = await redis.zrange(index, 0, -1)
    return [json.loads(await redis.hget(keys.heartbeat(index, one.decode()), "report")) for one in ids]


async def _messages(published: Any) -> list[bytes]:
    found = []
    while (message := await published.get_message(timeout=0.2)) is not None:
        if message["type"] == "message":
            found.append(message["data"])
    return found


def _text(fields: dict[bytes, bytes]) -> dict[str, str]:
    return {
        name.decode(): base64.b64encode(value).decode() if name == b"a" else _latin(value)
        for name, value in fields.items()
    }


def _latin(value: bytes) -> str:
    return value.decode("latin-1")


async def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as folder, redis_alone(Path(folder)) as service:
        async with Fleet.of(service) as fleet:
            print(json.dumps(await record(fleet), indent=1, sort_keys=True))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
