"""Redis' append-only file: what it holds of sessions that are gone from memory, and its rewriting without them.

Redis writes every command into the file, so audio and text stay there after their keys have gone, until it writes the
file anew from memory. The scripts note each session in `keys.UNERASED`, with the time at which its keys are gone.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Self, cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from shared.bus import keys

SMALL_BYTES: Final = 8 << 20
"""Rewriting so much takes milliseconds, however little it frees."""
PAGE: Final = 500
"""Sessions that are looked up in one round trip."""
POLL_S: Final = 0.05
_TEMPORARY: Final = ("in progress", "Can't execute")
"""In what Redis answers where it does not rewrite now, but may later."""


class RewriteForbiddenError(Exception):
    """We may not rewrite the file of this Redis, or ask for it: a command is unknown there, or not for this user."""


@dataclass(frozen=True, slots=True)
class AppendOnlyFile:
    """What INFO says of it."""

    is_on: bool
    is_busy: bool
    """Whether it is being rewritten, or will be as soon as another child process of Redis has ended."""
    size_bytes: int
    live_bytes: int
    """What the keys take in memory: about what a new file would hold, or more, since that is compressed."""
    took_s: float
    """The last rewriting."""
    failed: bool
    """Whether that came to nothing."""

    @classmethod
    async def read(cls, redis: Redis) -> Self:
        """Raises RewriteForbiddenError, and what Redis does when it is gone."""
        try:
            return cls.of({**await redis.info("persistence"), **await redis.info("memory")})
        except ResponseError as error:
            raise RewriteForbiddenError(str(error)) from None

    @classmethod
    def of(cls, said: dict[str, Any]) -> Self:
        """From the fields of INFO. A service that only resembles Redis may lack some: the file then counts as off."""
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
        """Whether more than half of it belongs to keys that are gone."""
        return self.size_bytes > 2 * self.live_bytes

    @property
    def is_worth_rewriting(self) -> bool:
        """Whether that costs little for what it erases."""
        return self.is_mostly_dead or self.live_bytes <= SMALL_BYTES


@dataclass(frozen=True, slots=True)
class Due:
    """What is to leave the file."""

    upto_ms: int
    gone: list[bytes]
    """Sessions, and client tokens, whose keys are gone."""
    live: list[bytes]
    """Sessions that go on, and have been for long: much of their audio has been heard and is gone from memory."""


async def now_ms(redis: Redis) -> int:
    """The time by Redis' clock."""
    seconds, microseconds = await redis.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


async def has_due(redis: Redis, upto_ms: int) -> bool:
    """Whether the file may hold anything that was to be gone by then."""
    return bool(await redis.zrangebyscore(keys.UNERASED, "-inf", upto_ms, start=0, num=1))


async def find_due(redis: Redis, upto_ms: int) -> Due:
    """What was to be gone by then. Keys whose time is over are gone afterwards: a rewriting would keep them."""
    noted = cast("list[bytes]", await redis.zrangebyscore(keys.UNERASED, "-inf", upto_ms))
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
    """The file holds it no more. Sessions that go on are due again after so long."""
    for page in _pages(due.gone):
        await redis.zrem(keys.UNERASED, *page)
    for page in _pages(due.live):
        await redis.zadd(keys.UNERASED, dict.fromkeys(page, due.upto_ms + again_after_ms), xx=True, gt=True)


async def start_rewriting(redis: Redis) -> bool:
    """Have the file written anew, in the background; False where Redis cannot do so now.

    Raises RewriteForbiddenError, and what Redis does when it is gone.
    """
    try:
        await redis.execute_command("BGREWRITEAOF")  # type: ignore[no-untyped-call]
    except ResponseError as error:
        if any(words in str(error) for words in _TEMPORARY):
            return False
        raise RewriteForbiddenError(str(error)) from None
    return True


async def rewrite_once(redis: Redis) -> None:
    """Have the file written anew where that is worth it, and wait until it is. Raises what `start_rewriting` does."""
    await find_due(redis, await now_ms(redis))
    file = await AppendOnlyFile.read(redis)
    if file.is_on and file.size_bytes and file.is_worth_rewriting:
        await start_rewriting(redis)
        while (await AppendOnlyFile.read(redis)).is_busy:  # noqa: ASYNC110 -- Redis says so when it is asked
            await asyncio.sleep(POLL_S)


def _pages(names: list[bytes]) -> Iterator[list[bytes]]:
    for start in range(0, len(names), PAGE):
        yield names[start : start + PAGE]
