"""One recording in, one reply out: a session that the client does not see."""

import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from frontend.access.principal import Principal
from frontend.monitoring.process_report import Tally
from frontend.protocols.dialect import OneShot
from frontend.protocols.native import states as native
from frontend.sessions.recordings import Recordings
from frontend.sessions.session import Session
from frontend.transcripts.channels import by_time
from frontend.transcripts.recording import Transcript
from frontend.transcripts.turns import turn_fields
from shared.audio.live import CONTAINER
from shared.audio.payload import is_file
from shared.events import SAMPLE_RATE_HZ, EventType

STREAMED: Final = frozenset(
    {EventType.PARTIAL, EventType.FINAL, EventType.REVISED, EventType.SPEAKERS, EventType.WARNING}
)
"""The events that are sent before the reply, if the client requests it."""


async def answer(
    request: OneShot,
    recordings: Recordings,
    tally: Tally,
    send: Callable[[bytes], Awaitable[None]],
    principal: Principal,
) -> bytes:
    """The reply, after the events of the session if they were requested (through `send`).

    Raises what `session_for` and `send` raise. In every case, cancellation included, no session is left over.
    """
    started_s = time.perf_counter()
    async with _session(request, recordings, principal) as session:
        transcript = Transcript(session.model)
        ending = await _follow(request, session, send, transcript)
    if ending["type"] == EventType.ERROR:
        tally.count_error(ending["code"])
        return native.refusal(ending, request.request_id)
    if request.stream:
        for warning in session.recording_warnings:
            await send(native.streamed({"type": EventType.WARNING, **warning}, request.request_id))
    return native.response(
        request,
        model=session.model,
        text=ending.get("text", ""),
        processing_ms=(time.perf_counter() - started_s) * 1000,
        audio_ms=session.audio_received_samples * 1000 / SAMPLE_RATE_HZ,
        warnings=[*transcript.warnings, *session.recording_warnings],
        segments=turn_fields(by_time(transcript.segments)) if request.options.diarize else None,
    )


def _session(request: OneShot, recordings: Recordings, principal: Principal) -> AbstractAsyncContextManager[Session]:
    if request.encoding == CONTAINER or is_file(request.audio):
        return recordings.file(request.audio, request.options, principal, strict=request.strict)
    return recordings.samples(
        request.audio,
        request.options,
        principal,
        encoding=request.encoding,
        sample_rate=request.sample_rate,
        channels=request.channels,
        strict=request.strict,
    )


async def _follow(
    request: OneShot, session: Session, send: Callable[[bytes], Awaitable[None]], transcript: Transcript
) -> dict[str, Any]:
    """The session's last event. `transcript` collects the others; its warnings say which fields have no effect."""
    ending: dict[str, Any] = {}
    async for event in session.events():
        transcript.take(event.wire)
        if request.stream and event.type in STREAMED:
            await send(native.streamed(event.wire, request.request_id))
        ending = event.wire
    return ending
