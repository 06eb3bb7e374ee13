"""How a connection ends: what its client is told of it, then the close that belongs to it."""

import asyncio
import contextlib
import traceback
from collections.abc import Iterable, Sequence
from typing import Final

from frontend.servers.transports import DisconnectedError, Transport
from shared.errors import VoxtralError
from shared.incidents import incident

FAREWELL_S: Final = 2.0
"""For the last error and the closing handshake together."""


def cause_of(causes: Sequence[Exception], session_id: str | None) -> VoxtralError | None:
    """What the client is told of the end of its connection; None where it has left by itself."""
    unexpected = next((cause for cause in causes if not isinstance(cause, VoxtralError | DisconnectedError)), None)
    if unexpected is not None:
        return incident(unexpected, session_id)
    return next((cause for cause in causes if isinstance(cause, VoxtralError)), None)


def let_go(failure: BaseException) -> None:
    """Have the errors that ended a connection, and have been dealt with, hold nothing more of it.

    The traceback of an error holds the local variables of all functions that it has passed, a message of its client
    among them, and these functions mostly hold the error: only the garbage collector would free that, seconds or
    minutes later.
    """
    known: set[int] = set()
    waiting: list[BaseException | None] = [failure]
    while waiting:
        error = waiting.pop()
        if error is None or id(error) in known:
            continue
        known.add(id(error))
        traceback.clear_frames(error.__traceback__)
        error.__traceback__ = None
        waiting += [error.__cause__, error.__context__]
        if isinstance(error, BaseExceptionGroup):
            waiting += error.exceptions


async def part(
    transport: Transport, last_words: Iterable[bytes], code: int, reason: str, *, linger_s: float = 0.0
) -> None:
    """Say the last messages and close in order, within `FAREWELL_S`.

    What the client still sends is read and dropped for `linger_s` before the close.
    """
    try:
        async with asyncio.timeout(FAREWELL_S):
            with contextlib.suppress(DisconnectedError):
                for text in last_words:
                    await transport.send(text)
            if linger_s:
                await _linger(transport, linger_s)
            await transport.close(code, reason)
    except TimeoutError:
        transport.abort()


async def _linger(transport: Transport, linger_s: float) -> None:
    with contextlib.suppress(TimeoutError, VoxtralError):
        async with asyncio.timeout(linger_s):
            while not transport.gone and await transport.receive() is not None:
                pass
