"""Has Redis' append-only file rewritten when the data of ended sessions must leave the disk.

One frontend of the service does it at a time. Its cost is bounded: a rewrite starts at most once a minute, never while
another one runs, takes at most a twentieth of the time, and only if most of the file is dead or little of it is live.
"""

import asyncio
import time
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.bus import keys
from shared.bus.append_only import (
    AppendOnlyFile,
    Due,
    RewriteForbiddenError,
    find_due,
    has_due,
    now_ms,
    settle,
    start_rewriting,
)
from shared.bus.registry import process_id
from shared.bus.sharded import place_of, shards_of

LONGEST_ROUND_S: Final = 5.0
LONGEST_PAUSE_S: Final = 60.0
COST: Final = 20
"""The pause after a rewrite is at least so many times as long as the rewrite."""
MARGIN_MS: Final = 1000
"""Expired keys are deleted within this time."""
MISSED_ROUNDS: Final = 3
"""After so many missed rounds, another frontend takes the watch over."""

log = structlog.get_logger(__name__)


class DiskWatch:
    """Watches the files of all shards: each server has its own."""

    def __init__(self, redis: Redis, retention_s: float) -> None:
        self._redis = redis
        self._retention_s = retention_s
        self._id = process_id()
        self._round_s = min(LONGEST_ROUND_S, max(0.2, retention_s / 60))
        self._files: dict[Redis, FileWatch] = {}

    async def run(self) -> None:
        """The loop; runs until cancelled. Waits while Redis is not available."""
        while True:
            try:
                if await self._is_mine():
                    await self._look()
            except (RedisError, OSError) as error:
                log.warning("disk_watch_delayed", reason=str(error))
            await asyncio.sleep(self._round_s)

    async def _is_mine(self) -> bool:
        """Whether this process has the watch, now and for the next rounds."""
        lease_ms = int(self._round_s * MISSED_ROUNDS * 1000)
        if await self._redis.set(keys.DISK_WATCH, self._id, nx=True, px=lease_ms):
            return True
        if await self._redis.get(keys.DISK_WATCH) != self._id.encode():
            return False
        await self._redis.pexpire(keys.DISK_WATCH, lease_ms)
        return True

    async def _look(self) -> None:
        upto_ms = await now_ms(self._redis) - MARGIN_MS
        is_due = await has_due(self._redis, upto_ms)
        for shard in shards_of(self._redis):
            if shard not in self._files:
                self._files[shard] = FileWatch(self._redis, shard, self._retention_s)
            try:
                await self._files[shard].look(upto_ms, is_due=is_due)
            except (RedisError, OSError) as error:  # the other shards have files of their own
                log.warning("disk_watch_delayed", reason=str(error))


class FileWatch:
    """Watches the file of one server."""

    def __init__(self, redis: Redis, shard: Redis, retention_s: float) -> None:
        self._redis = redis
        self._shard = shard
        self._again_after_ms = int(retention_s * 1000)
        self._pause_s = min(LONGEST_PAUSE_S, retention_s / 5)
        self._is_first = True
        """Whether this process has not checked the file yet: an older version may have left much in it."""
        self._is_forbidden = False
        self._rewriting: Due | None = None
        self._next_s = 0.0
        """Monotonic time before which no rewrite starts."""

    async def look(self, upto_ms: int, *, is_due: bool) -> None:
        """One round. `is_due`: whether anything was due to be deleted by then, from this file or another one."""
        if self._rewriting is None and not is_due and not self._is_first:
            return
        try:
            file = None if self._is_forbidden else await AppendOnlyFile.read(self._shard)
            if file is None or not file.is_on:
                await settle(self._redis, await self._due(upto_ms), self._again_after_ms)
                self._is_first = False
            elif not file.is_busy:
                await self._advance(file, upto_ms, is_due=is_due)
        except RewriteForbiddenError as error:
            self._is_forbidden = True
            consequence = "texts of ended sessions stay on Redis' disk until Redis rewrites its file by itself"
            log.warning("rewriting_forbidden", reason=str(error), consequence=consequence)

    async def _due(self, upto_ms: int) -> Due:
        return await find_due(self._redis, upto_ms, place_of(self._shard))

    async def _advance(self, file: AppendOnlyFile, upto_ms: int, *, is_due: bool) -> None:
        """The next step while no rewrite runs: record the end of the last one, or start one."""
        if self._rewriting is not None:
            await self._conclude(file, self._rewriting)
        elif time.monotonic() >= self._next_s:
            if file.is_worth_rewriting if is_due else file.is_mostly_dead:
                due = await self._due(upto_ms)
                self._rewriting = due if await start_rewriting(self._shard) else None
            self._is_first = False

    async def _conclude(self, file: AppendOnlyFile, due: Due) -> None:
        self._rewriting = None
        self._next_s = time.monotonic() + max(self._pause_s, COST * file.took_s)
        if file.failed:
            log.warning("rewriting_failed", remedy="see the log of Redis for the reason; the service retries")
        else:
            await settle(self._redis, due, self._again_after_ms)
