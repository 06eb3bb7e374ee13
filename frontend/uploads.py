"""A recording's way through a session: decoded in blocks, written as fast as it is taken.

Uploads and one-shot requests share it. Memory does not grow with the recording; who reads the events decides the rest.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

from frontend.access.principal import ANONYMOUS, Principal
from frontend.gateway import Gateway
from frontend.session import Session
from shared.errors import InvalidAudioError
from shared.events import SessionOptions


@contextlib.asynccontextmanager
async def session_for(
    blocks: Iterator[bytes], options: SessionOptions, gateway: Gateway, principal: Principal = ANONYMOUS
) -> AsyncIterator[Session]:
    """A session that is being fed the blocks (s16le mono 16 kHz) while the `async with` follows its events.

    The audio is looked at before a slot is asked for. Raises what the audio, the gateway and the body raise; whatever
    happens, cancellation included, no session is left behind.
    """
    first = await _next(blocks)
    if not first:
        raise InvalidAudioError("The audio holds no samples.")
    session = await gateway.open(options, queue="batch", principal=principal)
    try:
        async with asyncio.TaskGroup() as group:
            pump = group.create_task(_pump(session, first, blocks), name=f"recording {session.id}")
            yield session
            pump.cancel()
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    finally:
        if not session.ended:
            await session.cancel()


async def _pump(session: Session, block: bytes, blocks: Iterator[bytes]) -> None:
    while block:
        await session.write(block)
        block = await _next(blocks)
    await session.finish()


async def _next(blocks: Iterator[bytes]) -> bytes:
    """Decoding may take the CPU for a while, so each block is made in a thread.

    Cancelling it waits for the thread: what the blocks are read from may be closed right after.
    """
    step = asyncio.ensure_future(asyncio.to_thread(next, blocks, b""))
    try:
        return await asyncio.shield(step)
    except asyncio.CancelledError:
        await asyncio.wait((step,))
        if not step.cancelled():
            step.exception()  # nobody else will ask
        raise
