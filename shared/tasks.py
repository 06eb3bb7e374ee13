"""Tasks with an owner: short ones that nobody awaits, work in threads, and the end of tasks."""

import asyncio
from collections.abc import Callable, Collection, Coroutine
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
