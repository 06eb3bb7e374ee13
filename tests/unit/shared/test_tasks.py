"""Tasks are ended also where a cancellation gets lost."""

import asyncio
from contextlib import suppress

from shared.tasks import end_all
from tests.limits import limit_s


async def test_task_that_swallows_a_cancellation_is_cancelled_again() -> None:
    async def deaf() -> None:
        for _ in range(2):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
        await asyncio.sleep(60)

    async def fails() -> None:
        raise RuntimeError

    tasks = [asyncio.create_task(deaf()), asyncio.create_task(fails())]
    await asyncio.sleep(0)
    async with asyncio.timeout(limit_s(5)):
        await end_all(tasks)
        await end_all([])
    assert all(task.done() for task in tasks)
