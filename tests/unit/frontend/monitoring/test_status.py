"""What a snapshot of the service measures."""

import asyncio
from typing import Any

import pytest

from frontend.monitoring.status import take_snapshot
from tests.unit.clock import clocked
from tests.unit.redis_in_memory import answered

PING_S = 0.003
OTHER_S = 0.05


async def answer_late(command: str, *_: str) -> Any:
    await asyncio.sleep(PING_S if command == "PING" else OTHER_S)
    return [] if command == "ZRANGE" else b"OK"


@clocked
async def test_the_time_of_redis_is_that_of_a_ping_alone() -> None:
    snapshot = await take_snapshot(answered(answer_late))
    assert snapshot.redis_ms == pytest.approx(1000 * PING_S)
    assert snapshot.workers == []
