"""How a connection ends: the last messages to its client, then the close."""

import asyncio
import contextlib
import traceback
from collections.abc import Iterable, Sequence
from typing import Final

from frontend.servers.transports import DisconnectedError, Transport
from shared.errors import VoxtralError
from shared.incidents import incident

CLOSE_TIMEOUT_S: Final = 2.0
"""Limit for the last error and the closing handshake together."""


def cause_of(causes: Sequence[Exception], session_id: str | None) -> VoxtralError | None:
    """The error that ends the connection, as the client receives it; None if the client disconnected by itself."""
    unexpected = next((cause for cause in causes if not isinstance(cause, VoxtralError | DisconnectedError)), None)
    if unexpected is not None:
        return incident(unexpected, session_id)
    return next((cause for cause in causes if isinstance(cause, VoxtralError)), None)


def drop_frames(failure: BaseException) -> None:
    """Free everything that the errors of an ended connection hold, after they have been handled.

    The traceback of an error holds the local variables of all functions that it has passed, including a message of the
    client, and these functions mostly hold the error. Without this, only the garbage collector would free them, seconds
    or minutes later.
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


async def close_transport(
    transport: Transport, last_words: Iterable[bytes], code: int, reason: str, *, linger_s: float = 0.0
) -> None:
    """Send the last messages and close, within `CLOSE_TIMEOUT_S`.

    Data that the client still sends is read and discarded for `linger_s` before the close.
    """
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
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
