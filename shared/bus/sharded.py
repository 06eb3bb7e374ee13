"""A client of a Redis Cluster: a plain client for each shard, and this one, which sends each command to its shard.

Parts of the service that must go on while a shard fails over have a loop for each shard (`on_each_shard`). Everything
else uses this client like one of a single server. With a single server, that server is the only shard.

While a hash slot moves to another shard, commands about it are repeated until it has moved. They are safe to repeat.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, Final, TypeVar, cast

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError, TryAgainError
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.bus import keys
from shared.bus.cluster import Cluster, Shard
from shared.bus.hash_slots import name_in, placed, slot_of
from shared.bus.redis_internals import FairPool
from shared.tasks import end_all

SETTLING: Final = (MovedError, AskError, TryAgainError, ClusterDownError)
"""Answers of a node whose hash slots are about to change, or have changed."""
ATTEMPTS: Final = 6
FIRST_PAUSE_S: Final = 0.05
POLL_S: Final = 0.5
_MISSING: Final = object()

T = TypeVar("T")


class SettlingError(RedisConnectionError):
    """The cluster has not settled in time."""


class ShardRedis(Redis):
    """The plain client of one shard."""

    def __init__(self, shard: Shard, pool: FairPool) -> None:
        super().__init__(connection_pool=pool)
        self.auto_close_connection_pool = True
        self.shard = shard


class ShardedRedis(Redis):
    """`make` makes the plain client of a shard."""

    def __init__(self, cluster: Cluster, make: Callable[[Shard], Redis]) -> None:
        super().__init__(connection_pool=FairPool())
        self.topology = cluster
        self._make = make
        self._clients: dict[Shard, Redis] = {}

    @property
    def shards(self) -> list[Redis]:
        return [self.client_of(shard) for shard in self.topology.shards]

    def client_of(self, shard: Shard) -> Redis:
        if shard not in self._clients:
            self._clients[shard] = self._make(shard)
        return self._clients[shard]

    def shard_of(self, name: str) -> Redis:
        """Raises redis-py's ConnectionError if no shard has the key's slot."""
        shard = self.topology.shard_at(slot_of(name))
        if shard is None:
            raise RedisConnectionError("No shard of the Redis Cluster serves this hash slot now.")
        return self.client_of(shard)

    async def located(self) -> None:
        """Wait until the shards are known. Raises what `Cluster.locate` raises."""
        if not self.topology.shards:
            await asyncio.to_thread(self.topology.locate)

    async def execute_command(self, *words: Any, **options: Any) -> Any:
        return await self.settled(lambda: self.shard_of(name_in(words)).execute_command(*words, **options))  # type: ignore[no-untyped-call]

    async def settled(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """Ask, and again while the slots are about to change."""
        await self.located()
        pause_s = FIRST_PAUSE_S
        for _ in range(ATTEMPTS):
            try:
                return await ask()
            except SETTLING as error:
                reason = str(error)
            await asyncio.sleep(pause_s)
            pause_s *= 2
            await asyncio.to_thread(self.topology.locate)
        raise SettlingError(f"The Redis Cluster has not settled ({reason}).")

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Pipeline:  # noqa: ARG002
        return ShardedPipeline(self, transaction=transaction)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        for client in self._clients.values():
            await client.aclose()
        await super().aclose(close_connection_pool)


class ShardedPipeline(Pipeline):
    """Sends the commands of each shard together. With `transaction`, all of them must be of one shard."""

    def __init__(self, redis: ShardedRedis, *, transaction: bool) -> None:
        super().__init__(redis.connection_pool, redis.response_callbacks, transaction, None)
        self._redis = redis

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        stack, self.command_stack = self.command_stack, []
        answers: list[Any] = [_MISSING] * len(stack)
        await self._redis.settled(lambda: self._fill(stack, answers))
        if raise_on_error:
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
        return answers

    async def _fill(self, stack: Any, answers: list[Any]) -> None:
        """Get the answers that are missing. Raises the error of a node that is not settled."""
        by_shard: dict[Redis, list[int]] = {}
        for place, (words, _) in enumerate(stack):
            if answers[place] is _MISSING or isinstance(answers[place], SETTLING):
                by_shard.setdefault(self._redis.shard_of(name_in(words)), []).append(place)
        found = await asyncio.gather(
            *(self._send(shard, [stack[place] for place in places]) for shard, places in by_shard.items())
        )
        for places, its_answers in zip(by_shard.values(), found, strict=True):
            for place, answer in zip(places, its_answers, strict=True):
                answers[place] = answer
        for answer in answers:
            if isinstance(answer, SETTLING):
                raise answer

    async def _send(self, shard: Redis, commands: list[Any]) -> list[Any]:
        pipe = shard.pipeline(transaction=self.is_transaction)
        for words, options in commands:
            pipe.execute_command(*words, **options)
        return await pipe.execute(raise_on_error=False)


def shard_of(redis: Redis, name: str) -> Redis:
    """The client of the shard that has a key; `redis` itself if it is of a single server or of one shard.

    Raises redis-py's ConnectionError if no shard has the key's slot.
    """
    return redis.shard_of(name) if isinstance(redis, ShardedRedis) else redis


def by_shard(redis: Redis, items: Sequence[Any], name_of: Callable[[Any], str]) -> dict[Redis, list[Any]]:
    """The items by the shards that have their keys."""
    found: dict[Redis, list[Any]] = {}
    for item in items:
        found.setdefault(shard_of(redis, name_of(item)), []).append(item)
    return found


def held_at(redis: Redis, place: Shard | None, items: Iterable[T], name_of: Callable[[T], str]) -> list[T]:
    """Those of the items whose keys are at this shard (`place_of`) now."""
    if not isinstance(redis, ShardedRedis):
        return list(items)
    return [one for one in items if redis.topology.shard_at(slot_of(name_of(one))) is place]


def shards_of(redis: Redis) -> list[Redis]:
    """The clients of all shards."""
    return redis.shards if isinstance(redis, ShardedRedis) else [redis]


def is_of_cluster(redis: Redis) -> bool:
    """Whether this is the client of a cluster, or of one of its shards."""
    return isinstance(redis, ShardedRedis | ShardRedis)


def place_of(shard: Redis) -> Shard | None:
    """The shard of a client of one: the same for all clients of this process. None with one server."""
    return shard.shard if isinstance(shard, ShardRedis) else None


def name_in_answers(redis: Redis, name: str) -> str:
    """The name of a key as Redis' answers have it."""
    return placed(name) if is_of_cluster(redis) else name


def place_at(redis: Redis, name: str) -> Shard | None:
    """The shard that has a key; None with one server, or if no shard has it now."""
    return redis.topology.shard_at(slot_of(name)) if isinstance(redis, ShardedRedis) else None


def tag_of(shard: Redis) -> str:
    """A hash tag whose keys are on this shard, for keys that are of the shard and no session; empty with one server."""
    return shard.shard.tag if isinstance(shard, ShardRedis) else ""


def mark_of(shard: Redis) -> tuple[Any, ...]:
    """A command that changes nothing and that reaches the replicas after the writes of its connection. On a cluster
    they get no messages."""
    if isinstance(shard, ShardRedis):
        return "SET", keys.mark(shard.shard.tag), "", "PX", 1
    return "PUBLISH", keys.REPLICATION_MARK, ""


def client_at(redis: Redis, connection: AbstractConnection) -> Redis:
    """The client of the shard that a connection of `redis` leads to."""
    if isinstance(redis, ShardedRedis):
        return redis.client_of(cast("Any", connection).primary)
    return redis


async def on_each_shard(redis: Redis, loop: Callable[[Redis], Coroutine[Any, Any, None]]) -> None:
    """Run a loop for each shard, also for those that are added later; runs until cancelled. Raises the error of a loop
    that has ended."""
    if not isinstance(redis, ShardedRedis):
        await loop(redis)
        return
    running: dict[Redis, asyncio.Task[None]] = {}
    try:
        while True:
            with contextlib.suppress(RedisError, OSError):
                await redis.located()
            for shard in redis.shards:
                if shard not in running:
                    running[shard] = asyncio.create_task(loop(shard))
            gone = [running.pop(shard) for shard in running.keys() - set(redis.shards)]
            await end_all(gone)
            for task in running.values():
                if task.done():
                    task.result()
            await asyncio.sleep(POLL_S)
    finally:
        await end_all(running.values())
