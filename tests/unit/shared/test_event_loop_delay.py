"""The longest delay of an event loop in the last minute."""

import asyncio

from shared.event_loop_delay import INTERVAL_S, WINDOW_S, EventLoopDelay
from tests.unit.clock import block, clocked


def test_the_longest_delay_of_the_last_minute_is_reported() -> None:
    delay = EventLoopDelay()
    assert delay.longest_ms == 0.0
    for now_s, delay_s in ((1.0, 0.2), (2.0, 2.0), (3.0, 0.5), (4.0, 0.01)):
        delay.observe(now_s, delay_s)
    assert delay.longest_ms == 2000.0
    delay.observe(2.5 + WINDOW_S, 0.02)
    assert delay.longest_ms == 500.0
    delay.observe(5.0 + WINDOW_S, 0.001)
    assert delay.longest_ms == 20.0


@clocked
async def test_work_that_blocks_the_loop_is_a_delay() -> None:
    delay = EventLoopDelay()
    measuring = asyncio.create_task(delay.run())
    await asyncio.sleep(10 * INTERVAL_S)
    assert delay.longest_ms == 0.0
    block(2.0)
    await asyncio.sleep(INTERVAL_S)
    assert 2000 - 1000 * INTERVAL_S <= delay.longest_ms <= 2000
    measuring.cancel()
