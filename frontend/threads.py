"""Blocking work in a thread that nothing outlives."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_thread(function: Callable[..., T], *arguments: object) -> T:
    """As `asyncio.to_thread`, but cancelling it waits for the thread: what it works on may be closed right after."""
    work = asyncio.ensure_future(asyncio.to_thread(function, *arguments))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait((work,))
        if not work.cancelled():
            work.exception()  # nobody else will ask
        raise
    finally:
        del work  # it may have failed: its error would hold this frame, and this frame the error
