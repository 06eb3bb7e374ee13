"""The end of tasks that run until they are cancelled."""

import asyncio
from collections.abc import Collection
from typing import Any, Final

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
