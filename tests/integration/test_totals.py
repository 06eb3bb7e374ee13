"""The totals of counters in Redis: exact although replies are lost, processes end, and Redis loses its data."""

import pytest
from redis.asyncio import Redis

from frontend.monitoring.monotone import Monotone
from shared.bus import keys
from shared.bus.totals import TotalsWriter, epoch_of, fields_of, read_totals
from shared.metrics.families import AUDIO, STEP
from shared.metrics.metrics import Metrics

ANNA = b'["voxtral_audio_seconds","anna"]'


def counted(redis: Redis, seconds: float) -> tuple[TotalsWriter, Metrics]:
    """A process that has counted audio of anna."""
    metrics = Metrics()
    metrics.counter(AUDIO, "anna").add(seconds)
    return TotalsWriter(redis, metrics), metrics


@pytest.mark.redis_server
async def test_processes_add_up_and_outlive_themselves(redis: Redis) -> None:
    first, metrics = counted(redis, 1.5)
    metrics.histogram(STEP, "echo").observe(0.02)
    await first.flush()
    second, _ = counted(redis, 2.25)
    await second.flush()
    del first, metrics
    totals = fields_of(await read_totals(redis))
    assert totals[ANNA] == 3.75
    assert totals[b'["voxtral_step_seconds","echo",0.02]'] == 1
    assert totals[b'["voxtral_step_seconds","echo","sum"]'] == pytest.approx(0.02)
    assert 0 < await redis.ttl(keys.TOTALS) <= keys.TOTALS_TTL_S


@pytest.mark.redis_server
async def test_repeated_batch_counts_once(redis: Redis) -> None:
    writer, _ = counted(redis, 1.5)
    await writer.flush()
    writer._batch = {ANNA: 1.5}  # as if the reply had been lost
    await writer.flush()
    assert fields_of(await read_totals(redis))[ANNA] == 1.5


@pytest.mark.redis_server
async def test_counters_begin_at_zero_again_only_if_redis_has_lost_them(redis: Redis) -> None:
    monotone = Monotone()
    writer, metrics = counted(redis, 5.0)
    await writer.flush()
    before = await read_totals(redis)
    assert monotone.totals(before)[ANNA] == 5.0
    metrics.counter(AUDIO, "anna").add(3.0)
    await writer.flush()
    assert monotone.totals(await read_totals(redis))[ANNA] == 8.0
    assert monotone.totals(before)[ANNA] == 8.0, "a failover has lost a second"

    await redis.flushall()
    assert monotone.totals(await read_totals(redis)) == {}
    metrics.counter(AUDIO, "anna").add(1.0)
    await writer.flush()
    after = await read_totals(redis)
    assert epoch_of(after) != epoch_of(before)
    assert monotone.totals(after)[ANNA] == 1.0
