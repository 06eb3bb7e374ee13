"""What tests that start workers of their own share."""

import asyncio
from collections.abc import Callable
from typing import Any

from frontend.gateway import Gateway
from frontend.session import Session

SECOND = b"\1\0" * 16_000


async def workers_are(gateway: Gateway, count: int) -> bool:
    return len(await gateway.registry.workers()) == count


async def admitted_are(gateway: Gateway, count: int, model: str = "echo") -> bool:
    return await gateway.registry.admitted(model) == count


async def until(condition: Callable[[], Any], timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not await condition():  # noqa: ASYNC110 -- the condition is another process's
            await asyncio.sleep(0.02)


async def events_of(session: Session) -> list[dict[str, Any]]:
    """All that is left of a session, to its end."""
    async with asyncio.timeout(20):
        return [event.wire async for event in session.events()]
