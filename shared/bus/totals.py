"""The totals of the service's counters and histograms, which outlive the processes that counted.

Each process adds its increments to one hash once a second. A batch that Redis has not confirmed is sent again under its
number, and later increments wait for the next batch, so nothing is counted twice. A process that dies loses at most the
increments since its last batch.
"""

import asyncio
import contextlib
import secrets
from typing import Any, Final, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.bus import keys
from shared.bus.lua.totals import ADD
from shared.bus.messages import EPOCH_FIELD
from shared.bus.scripts import Script
from shared.metrics.metrics import Metrics

INTERVAL_S: Final = 1.0


class TotalsWriter:
    """Adds the metrics of one process. Its loop `run` must run as well."""

    def __init__(self, redis: Redis, metrics: Metrics) -> None:
        self._add = Script(redis, ADD)
        self._metrics = metrics
        self._id = secrets.token_hex(8)
        self._number = 0
        self._batch: dict[bytes, float] = {}
        """Increments that Redis has not confirmed."""
        self._writing = asyncio.Lock()

    async def run(self) -> None:
        """The loop; runs until cancelled. It repeats what Redis has not accepted."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            with contextlib.suppress(RedisError, OSError):  # the next attempt follows in a second
                await self.flush()

    async def flush(self) -> None:
        """Add all increments until now. Raises Redis' errors."""
        async with self._writing:
            if self._batch:
                await self._send()
            self._batch = self._metrics.take()
            if self._batch:
                self._number += 1
                await self._send()

    async def _send(self) -> None:
        words: list[Any] = [self._number, int(keys.BATCH_TTL_S * 1000), keys.TOTALS_TTL_S, secrets.token_hex(8)]
        for field, increment in self._batch.items():
            words += field, repr(increment)
        await self._add(keys=[keys.TOTALS, keys.batch(self._id)], args=words)
        self._batch = {}


async def read_totals(redis: Redis) -> dict[bytes, bytes]:
    """The fields of the hash, its epoch among them. Raises Redis' errors."""
    return cast("dict[bytes, bytes]", await redis.hgetall(keys.TOTALS))


def epoch_of(held: dict[bytes, bytes]) -> bytes | None:
    """The epoch of totals; None if Redis has no totals."""
    return held.get(EPOCH_FIELD.encode())


def fields_of(held: dict[bytes, bytes]) -> dict[bytes, float]:
    """The totals by their fields, without the epoch; see `shared.metrics.metrics.Metrics.take`."""
    return {field: float(value) for field, value in held.items() if field != EPOCH_FIELD.encode()}
