"""Redis' append-only file: whether it still holds deleted sessions, and rewriting it without them.

Redis appends every command to the file, so audio and text stay there after their keys are deleted, until it rewrites
the file from memory. The scripts record each session in `keys.UNERASED`, with the time at which its keys expire.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Self, cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from shared.bus import keys
from shared.bus.cluster import Shard
from shared.bus.sharded import held_at

SMALL_BYTES: Final = 8 << 20
"""A rewrite of a file with so much live data takes milliseconds, so it is worth it however little it erases."""
PAGE: Final = 500
"""Number of sessions looked up in one round trip."""
POLL_S: Final = 0.05
_TEMPORARY: Final = ("in progress", "Can't execute")
"""Parts of Redis' answers that mean that it cannot rewrite now, but may later."""


class RewriteForbiddenError(Exception):
    """This Redis does not let us read or rewrite its file: a command is unknown or not allowed for this user."""


@dataclass(frozen=True, slots=True)
class AppendOnlyFile:
    """The state of the file, as INFO reports it."""

    is_on: bool
    is_busy: bool
    """Whether it is being rewritten, or will be as soon as another child process of Redis ends."""
    size_bytes: int
    live_bytes: int
    """Memory that the keys take: about the size of a rewritten file, or more, since the file is compressed."""
    took_s: float
    """Duration of the last rewrite."""
    failed: bool
    """Whether the last rewrite failed."""

    @classmethod
    async def read(cls, redis: Redis) -> Self:
        """Raises RewriteForbiddenError, and redis-py's errors if Redis is unavailable."""
        try:
            return cls.of({**await redis.info("persistence"), **await redis.info("memory")})
        except ResponseError as error:
            raise RewriteForbiddenError(str(error)) from None

    @classmethod
    def of(cls, said: dict[str, Any]) -> Self:
        """Make it from the fields of INFO. A Redis-compatible server may lack some: the file then counts as off."""
        return cls(
            is_on=bool(said.get("aof_enabled")) and "aof_current_size" in said,
            is_busy=bool(said.get("aof_rewrite_in_progress") or said.get("aof_rewrite_scheduled")),
            size_bytes=said.get("aof_current_size", 0),
            live_bytes=said.get("used_memory_dataset", 0),
            took_s=max(0.0, said.get("aof_last_rewrite_time_sec", 0)),
            failed=said.get("aof_last_bgrewrite_status") == "err",
        )

    @property
    def is_mostly_dead(self) -> bool:
        """Whether more than half of it belongs to deleted keys."""
        return self.size_bytes > 2 * self.live_bytes

    @property
    def is_worth_rewriting(self) -> bool:
        """Whether a rewrite costs little compared to what it erases."""
        return self.is_mostly_dead or self.live_bytes <= SMALL_BYTES


@dataclass(frozen=True, slots=True)
class Due:
    """Sessions and client tokens whose data is to be erased from the file."""

    upto_ms: int
    gone: list[bytes]
    """Sessions and client tokens whose keys are deleted."""
    live: list[bytes]
    """Long sessions that are still live: much of their audio has been processed and deleted from memory."""


async def now_ms(redis: Redis) -> int:
    """The time by Redis' clock."""
    seconds, microseconds = await redis.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


async def has_due(redis: Redis, upto_ms: int) -> bool:
    """Whether a file may hold anything that was due to be deleted by then."""
    return bool(await redis.zrangebyscore(keys.UNERASED, "-inf", upto_ms, start=0, num=1))


async def find_due(redis: Redis, upto_ms: int, place: Shard | None = None) -> Due:
    """What was due to be deleted by then, on a Redis Cluster from the file of one shard. The look-up makes Redis delete
    expired keys, which a rewrite would keep."""
    found = cast("list[bytes]", await redis.zrangebyscore(keys.UNERASED, "-inf", upto_ms))
    noted = held_at(redis, place, found, lambda one: keys.session(one.decode()))
    due = Due(upto_ms, [], [])
    for page in _pages(noted):
        pipe = redis.pipeline(transaction=False)
        for one in page:
            name = one.decode()
            pipe.exists(*keys.of_session(name))
            pipe.exists(keys.client_secret(name))
        answers = iter(await pipe.execute())
        for one, counts in zip(page, zip(answers, answers, strict=True), strict=True):
            (due.live if any(counts) else due.gone).append(one)
    return due


async def settle(redis: Redis, due: Due, again_after_ms: int) -> None:
    """Record that the file no longer holds it. Live sessions are due again after `again_after_ms`."""
    for page in _pages(due.gone):
        await redis.zrem(keys.UNERASED, *page)
    for page in _pages(due.live):
        await redis.zadd(keys.UNERASED, dict.fromkeys(page, due.upto_ms + again_after_ms), xx=True, gt=True)


async def start_rewriting(redis: Redis) -> bool:
    """Have Redis rewrite the file in the background; False if Redis cannot do so now.

    Raises RewriteForbiddenError, and redis-py's errors if Redis is unavailable.
    """
    try:
        await redis.execute_command("BGREWRITEAOF")  # type: ignore[no-untyped-call]
    except ResponseError as error:
        if any(words in str(error) for words in _TEMPORARY):
            return False
        raise RewriteForbiddenError(str(error)) from None
    return True


async def rewrite_once(redis: Redis) -> None:
    """Have the file rewritten if that is worth it, and wait for the end of it. Raises what `start_rewriting` raises."""
    await find_due(redis, await now_ms(redis))
    file = await AppendOnlyFile.read(redis)
    if file.is_on and file.size_bytes and file.is_worth_rewriting:
        await start_rewriting(redis)
        while (await AppendOnlyFile.read(redis)).is_busy:  # noqa: ASYNC110 -- Redis has no notification for it
            await asyncio.sleep(POLL_S)


def _pages(names: list[bytes]) -> Iterator[list[bytes]]:
    for start in range(0, len(names), PAGE):
        yield names[start : start + PAGE]
