"""A batch of increments whose reply is lost is sent again as it was."""

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.bus.totals import TotalsWriter
from shared.metrics.families import AUDIO
from shared.metrics.metrics import Metrics
from tests.unit.redis_in_memory import answered

FIELD = '["voxtral_audio_seconds","anna"]'


class LossyRedis:
    """Receives every batch, and loses the reply while `loses` is set."""

    def __init__(self) -> None:
        self.loses = False
        self.received: list[tuple[str, ...]] = []
        """The number of a batch, and its fields and increments."""
        self.redis = answered(self._answer)

    def _answer(self, *words: str) -> int:
        assert words[0] == "EVALSHA"
        number, _life, _totals_life, _epoch, *batch = words[5:]
        self.received.append((number, *batch))
        if self.loses:
            raise RedisConnectionError("lost")
        return 1


async def test_unconfirmed_batch_is_repeated_and_later_increments_wait() -> None:
    store, metrics = LossyRedis(), Metrics()
    writer = TotalsWriter(store.redis, metrics)
    usage = metrics.counter(AUDIO, "anna")
    usage.add(1.0)
    store.loses = True
    with pytest.raises(RedisConnectionError):
        await writer.flush()
    usage.add(2.0)
    with pytest.raises(RedisConnectionError):
        await writer.flush()
    store.loses = False
    await writer.flush()
    await writer.flush()
    assert store.received == [("1", FIELD, "1.0")] * 3 + [("2", FIELD, "2.0")]


async def test_nothing_is_sent_without_increments() -> None:
    store = LossyRedis()
    await TotalsWriter(store.redis, Metrics()).flush()
    assert store.received == []
