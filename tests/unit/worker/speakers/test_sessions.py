"""Sessions whose speakers are told apart, as the I/O loop has them."""

import asyncio

from redis.asyncio import Redis

from shared.config.sections import SpeakerSettings
from shared.session_options import SessionOptions
from tests.limits import limit_s
from tests.unit.worker.claimed_sessions import claimed
from worker.positions import ENGINE_BACKLOG_SAMPLES
from worker.speakers.sessions import DiarizedSessions


async def test_session_whose_speakers_cannot_be_tracked_is_read_at_once() -> None:
    session, is_read = claimed(options=SessionOptions(diarize=True), speakers=b"damaged"), asyncio.Event()
    diarized = DiarizedSessions(
        SpeakerSettings(),
        Redis(),
        asyncio.get_running_loop(),
        held=lambda _: session,
        publish=lambda *_, **__: None,
        mark=lambda _: None,
        wake_reader=is_read.set,
    )
    diarized.begin(session, {})
    session.arrived(ENGINE_BACKLOG_SAMPLES, 0, 0)
    session.advance(ENGINE_BACKLOG_SAMPLES, 0, session.handle)
    assert session.throttled
    async with asyncio.timeout(limit_s(20)):
        await is_read.wait()
    assert not session.throttled
    diarized.stop(20)
