"""Tasks with an owner: background tasks, work in threads, and the cancellation of tasks."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

AGAIN_S: Final = 0.1


class BackgroundTasks:
    """Short tasks that are not awaited until the process ends."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()
        """The event loop itself keeps only weak references to tasks."""

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def end(self) -> None:
        """Wait for all tasks. Their errors are ignored."""
        await asyncio.gather(*self._running, return_exceptions=True)


async def end_all(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel the tasks and wait until all have ended.

    A cancellation may be lost in a library: on Python 3.11 `asyncio.wait_for` swallows one that arrives just as it
    completes. So tasks that still run are cancelled again.
    """
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)  # their errors are already handled


@contextlib.asynccontextmanager
async def failing_with(tasks: Collection[asyncio.Task[Any]]) -> AsyncIterator[None]:
    """Cancels its body if one of the tasks fails, and raises the error of that task."""
    body = asyncio.current_task()
    assert body is not None
    failures: list[BaseException] = []
    is_over = False

    def note(task: asyncio.Task[Any]) -> None:
        if not is_over and not task.cancelled() and (error := task.exception()) is not None:
            failures.append(error)
            if len(failures) == 1:
                body.cancel()

    for task in tasks:
        task.add_done_callback(note)
    try:
        yield
    except asyncio.CancelledError:
        if not failures or body.cancelling() > 1:  # cancelled by others, or by others too
            raise
    finally:
        is_over = True
        if failures:
            body.uncancel()
    if failures:
        raise failures[0]


async def in_thread(function: Callable[..., T], *arguments: object) -> T:
    """Like `asyncio.to_thread`, but a cancellation waits for the thread: its arguments may be closed right after."""
    work = asyncio.ensure_future(asyncio.to_thread(function, *arguments))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait((work,))
        if not work.cancelled():
            work.exception()  # retrieve it, or asyncio logs it
        raise
    finally:
        del work  # avoids a cycle: the error of a failed task holds this frame, and this frame the task
