"""What is left in memory and on disk of a session that has ended, or that was erased."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

from frontend.sessions.recordings import session_for
from frontend.sessions.session import Session
from shared.bus import keys
from shared.bus.event_log import Follower
from shared.bus.webhooks import Outbox, register
from shared.events import SAMPLE_RATE_HZ
from shared.session_options import SessionOptions
from shared.webhooks.webhook import Webhook
from tests.integration.disk import is_on_disk, until_gone, without_compression
from tests.integration.workers import Fleet, admitted_are, assert_whole, events_of, redis_alone, until
from tests.limits import limit_s
from tests.stack import Stack

RETENTION_S = 1
VOICE = b"\x31\x07\x5e\x1bvoice-of-the-speaker-as-pcm\x0d\x19"
"""In 16-bit samples, and nowhere else."""
PROMPT = "Zyzzogeton, Quiddlesworth"
HOOK, TEXT = "Xylotomous", "Vexillology"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with redis_alone(tmp_path_factory.mktemp("erasure"), session={"retention_s": RETENTION_S}) as stack:
        yield stack


@pytest.fixture
def data_dir(service: Stack) -> Path:
    return service.settings.redis.data_dir


async def speak_up(session: Session) -> None:
    """Two seconds of the voice, and a final of the first."""
    voice = (VOICE * (SAMPLE_RATE_HZ // len(VOICE) * 2 + 2))[: SAMPLE_RATE_HZ * 2]
    await session.write(voice)
    await session.commit()
    await session.write(voice)


async def last_event(viewer: Follower) -> str:
    """The code of the error that a session ends with."""
    async with asyncio.timeout(limit_s(10)):
        async for event in viewer:
            if event.type == "error":
                return str(event.wire["code"])
    raise AssertionError("no error came")


def traces(session: Session) -> tuple[bytes, ...]:
    """What Redis writes of a session that has been spoken to: its audio, its events, and its prompt."""
    return VOICE, b'"session_id":"%b"' % session.id.encode(), PROMPT.encode()


async def test_what_was_said_leaves_the_disk_after_its_retention(fleet: Fleet, data_dir: Path) -> None:
    await without_compression(fleet.redis)
    await fleet.start("worker")
    session = await fleet.gateway.open(SessionOptions(prompt=PROMPT))
    await speak_up(session)
    await session.finish()
    events = await events_of(session)
    assert_whole(events, 2.0)
    for trace in traces(session):
        assert is_on_disk(data_dir, trace), "the file holds what was said, or this test proves nothing"
    await until_gone(data_dir, *traces(session))
    assert not [key async for key in fleet.redis.scan_iter(f"*{session.id}*")]
    assert not is_on_disk(data_dir.parent, *traces(session)), "what processes have logged"


async def test_erased_session_is_gone_at_once_and_others_continue(fleet: Fleet, data_dir: Path) -> None:
    await without_compression(fleet.redis)
    await fleet.start("worker")
    kept = await fleet.gateway.open(SessionOptions())
    await kept.write(bytes(SAMPLE_RATE_HZ * 2))
    erased = await fleet.gateway.open(SessionOptions(prompt=PROMPT))
    await speak_up(erased)
    await until(lambda: fleet.redis.exists(keys.finals(erased.id)))
    viewer = await fleet.frontend.subscriber.follow(erased.id)
    await erased.cancel()
    assert not await fleet.redis.exists(keys.audio(erased.id), keys.events(erased.id), keys.finals(erased.id))
    left = await fleet.redis.hgetall(keys.session(erased.id))
    assert PROMPT.encode() not in b"".join(left.values())
    assert await last_event(viewer) == "session_expired"
    assert await admitted_are(fleet.registry, 1)
    await until_gone(data_dir, *traces(erased))
    await kept.finish()
    assert_whole(await events_of(kept), 1.0)


async def test_webhook_keeps_the_text_of_a_recording_until_it_is_delivered(fleet: Fleet, data_dir: Path) -> None:
    """What waits is kept longer than the session; then it leaves the disk, too."""
    await without_compression(fleet.redis)
    await fleet.start("worker")
    outbox = Outbox(fleet.redis, 3600)
    session = await fleet.gateway.open(SessionOptions())
    await register(fleet.redis, session.id, Webhook(f"https://receiver.example/{HOOK}"), 3600)
    await session.write(VOICE * 1000)
    await session.finish()
    await events_of(session)
    (look,) = await outbox.look_up([session.id])
    assert await outbox.store(look, {7: TEXT.encode()}) == 1
    await until(lambda: is_gone(fleet, session))
    name = f"{session.id}/7"
    pending = await outbox.pending(name)
    assert pending is not None
    assert (pending.body, pending.attempts) == (TEXT.encode(), 0)
    assert is_on_disk(data_dir, HOOK.encode(), TEXT.encode())
    await outbox.settle(name)
    assert not [key async for key in fleet.redis.scan_iter(f"*{session.id}*")]
    await until_gone(data_dir, HOOK.encode(), TEXT.encode())
    assert await outbox.pending(name) is None


async def is_gone(fleet: Fleet, session: Session) -> bool:
    return not await fleet.redis.exists(*keys.of_session(session.id))


async def test_recording_is_erased_when_it_is_answered(fleet: Fleet) -> None:
    await fleet.start("worker")

    async def voice() -> AsyncGenerator[bytes, None]:
        yield VOICE * 1000

    async with session_for(voice(), SessionOptions(recording=True), fleet.gateway) as session:
        assert (await events_of(session))[-1]["type"] == "done"
        assert await fleet.redis.exists(keys.finals(session.id))
    assert not await fleet.redis.exists(*keys.of_session(session.id))
