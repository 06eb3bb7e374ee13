"""Tasks with an owner: short ones that nobody awaits, and the end of those that run until they are cancelled."""

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any, Final


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


AGAIN_S: Final = 0.1


async def end_all(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel the tasks and wait for their end, whatever it is.

    A cancellation may be lost in a library: on Python 3.11 `asyncio.wait_for` swallows one that comes just as it is
    done. So those that go on are cancelled again.
    """
    going_on = set(tasks)
    while going_on:
        for task in going_on:
            task.cancel()
        _, going_on = await asyncio.wait(going_on, timeout=AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)  # what they raised was seen
