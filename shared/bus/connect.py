"""The connections to Redis, the same for every process, to one server, to the primary that Sentinels name, or to the
shards of a Redis Cluster.

A client has a bounded number of connections. If all of them are in use, commands wait in order.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection

from shared.bus.cluster import Cluster
from shared.bus.primary import Primary
from shared.bus.primary_connections import TO_PRIMARY, TO_SHARD
from shared.bus.redis_internals import MAX_CONNECTIONS, PACKED, FairPool
from shared.bus.sharded import ShardedRedis, ShardRedis
from shared.config.settings import Settings
from shared.redis_address import RedisAddress

CONNECT_TIMEOUT_S = 2.0
REPLY_TIMEOUT_S = 5.0


Greet: TypeAlias = Callable[[AbstractConnection], Awaitable[None]]


def connect(
    settings: Settings,
    *,
    reply_timeout_s: float = REPLY_TIMEOUT_S,
    greet: Greet | None = None,
    connections: int = MAX_CONNECTIONS,
) -> Redis:
    """A client of the Redis of sessions. See `connect_to`."""
    return connect_to(settings.redis_at, reply_timeout_s=reply_timeout_s, greet=greet, connections=connections)


def connect_to(
    address: RedisAddress,
    *,
    reply_timeout_s: float = REPLY_TIMEOUT_S,
    greet: Greet | None = None,
    connections: int = MAX_CONNECTIONS,
) -> Redis:
    """A client that opens connections as they are needed, so many at most to each server; replies are bytes.

    A command whose connection is lost raises `ConnectionError`, although Redis may have executed it: the caller knows
    whether it may be repeated. `greet` is awaited on each new connection before anything else uses it, and must itself
    await `on_connect`.
    """

    def pool_to(classes: Mapping[type[AbstractConnection], type[AbstractConnection]], **more: Any) -> FairPool:
        pool = FairPool.from_url(
            address.url_of(address.nodes[0]),
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_timeout=reply_timeout_s,
            socket_keepalive=True,
            protocol=2,
            redis_connect_func=greet,
            max_connections=connections,
        )
        pool.connection_class = classes[PACKED[pool.connection_class]] if classes else PACKED[pool.connection_class]
        pool.connection_kwargs |= more
        return pool

    if address.is_cluster:
        return ShardedRedis(Cluster.of(address), lambda shard: ShardRedis(shard, pool_to(TO_SHARD, primary=shard)))
    if address.is_sentinel:
        return Redis.from_pool(pool_to(TO_PRIMARY, primary=Primary.of(address)))
    return Redis.from_pool(pool_to({}))
