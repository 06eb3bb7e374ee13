"""Tasks are ended also where a cancellation gets lost, and their failures end what relies on them."""

import asyncio
from contextlib import suppress

import pytest

from shared.tasks import end_all, failing_with
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


async def test_failed_task_ends_what_relies_on_it() -> None:
    async def fails() -> None:
        raise RuntimeError("a fault")

    tasks = [asyncio.create_task(asyncio.Event().wait()), *(asyncio.create_task(fails()) for _ in range(2))]
    async with asyncio.timeout(limit_s(5)):
        with pytest.raises(RuntimeError, match="a fault"):
            async with failing_with(tasks):
                await asyncio.Event().wait()
        await end_all(tasks)


async def test_tasks_that_are_cancelled_or_return_end_nothing() -> None:
    async def returns() -> None:
        pass

    tasks = [asyncio.create_task(asyncio.Event().wait()), asyncio.create_task(returns())]
    async with failing_with(tasks):
        await end_all(tasks)
    with pytest.raises(KeyError):
        async with failing_with(tasks):
            raise KeyError


async def test_cancellation_from_elsewhere_stays_one() -> None:
    async def relies() -> None:
        async with failing_with([failing]):
            relying.cancel()
            await asyncio.Event().wait()

    failing = asyncio.create_task(asyncio.Event().wait())
    relying = asyncio.create_task(relies())
    with pytest.raises(asyncio.CancelledError):
        await relying
    await end_all([failing])
