"""One recording in, one reply out: a session that nobody sees."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from frontend.access.principal import Principal
from frontend.gateway import Gateway
from frontend.protocols import native
from frontend.protocols.commands import OneShot
from frontend.session import Session
from shared.audio.payload import decode_payload
from shared.errors import InvalidAudioError
from shared.events import SAMPLE_RATE_HZ, EventType


async def answer(
    request: OneShot,
    gateway: Gateway,
    max_duration_s: float,
    send: Callable[[bytes], Awaitable[None]],
    principal: Principal,
) -> bytes:
    """The reply, after the partials if they are wanted (through `send`).

    The audio is looked at before a slot is asked for. Raises what the audio, the gateway and `send` raise; whatever
    happens, cancellation included, no session is left behind.
    """
    started_s = time.perf_counter()
    blocks = decode_payload(
        request.audio, request.encoding, request.sample_rate, request.channels, max_duration_s=max_duration_s
    )
    first = await asyncio.to_thread(next, blocks, b"")
    if not first:
        raise InvalidAudioError("The audio holds no samples.")
    session = await gateway.open(request.options, queue="batch", principal=principal)
    try:
        async with asyncio.TaskGroup() as group:
            pump = group.create_task(_pump(session, first, blocks), name=f"one-shot audio {session.id}")
            ending = await _follow(request, session, send)
            pump.cancel()
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    finally:
        if not session.ended:
            await session.cancel()
    if ending["type"] == EventType.ERROR:
        gateway.tally.count_error(ending["code"])
        return native.refusal(ending, request.request_id)
    return native.response(
        request,
        text=ending.get("text", ""),
        processing_ms=(time.perf_counter() - started_s) * 1000,
        audio_ms=session.audio_received_samples * 1000 / SAMPLE_RATE_HZ,
    )


async def _pump(session: Session, block: bytes, blocks: Iterator[bytes]) -> None:
    """Decoding may take the CPU for a while, so each block is made in a thread."""
    while block:
        await session.write(block)
        block = await asyncio.to_thread(next, blocks, b"")
    await session.finish()


async def _follow(request: OneShot, session: Session, send: Callable[[bytes], Awaitable[None]]) -> dict[str, Any]:
    """The session's last event."""
    ending: dict[str, Any] = {}
    async for event in session.events():
        if request.stream and event.type == EventType.PARTIAL:
            await send(native.streamed(event.wire, request.request_id))
        ending = event.wire
    return ending
