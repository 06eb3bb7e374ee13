"""Short tasks that nobody waits for before the process ends."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Chores:
    def __init__(self) -> None:
        self._going_on: set[asyncio.Task[None]] = set()
        """Of tasks the loop itself holds no more than a weak reference."""

    def start(self, chore: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(chore, name=name)
        self._going_on.add(task)
        task.add_done_callback(self._going_on.discard)
        return task

    async def end(self) -> None:
        """Wait for all of them, whatever becomes of each."""
        await asyncio.gather(*self._going_on, return_exceptions=True)
