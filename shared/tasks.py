"""Tasks with an owner: short ones that nobody awaits, work in threads, and the end of tasks."""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

AGAIN_S: Final = 0.1


class Chores:
    """Short tasks that nobody awaits before the process ends."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()
        """The event loop itself keeps only weak references to tasks."""

    def start(self, chore: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(chore, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def end(self) -> None:
        """Wait for all of them. Their errors are ignored."""
        await asyncio.gather(*self._running, return_exceptions=True)


async def end_all(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel the tasks and wait until all have ended.

    A cancellation may be lost in a library: on Python 3.11 `asyncio.wait_for` swallows one that comes just as it is
    done. So tasks that still run are cancelled again.
    """
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)  # their errors have been seen


async def in_thread(function: Callable[..., T], *arguments: object) -> T:
    """Like `asyncio.to_thread`, but a cancellation waits for the thread: its arguments may be closed right after."""
    work = asyncio.ensure_future(asyncio.to_thread(function, *arguments))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait((work,))
        if not work.cancelled():
            work.exception()  # nobody else retrieves it
        raise
    finally:
        del work  # it may have failed: its error would hold this frame, and this frame the error
