"""Messages to a worker, over the stream that wakes its reader.

On a Redis Cluster the worker has one reader for each shard. Messages are in one stream, at its shard; each other shard
has a stream that only wakes its reader.
"""

from typing import Final

from redis.asyncio import Redis

from shared.bus import keys
from shared.bus.messages import WorkerMessage
from shared.bus.sharded import ShardRedis

_MAX_ENTRIES: Final = 1000


async def send(redis: Redis, worker_id: str, message: WorkerMessage, value: str | int) -> None:
    """The stream expires with a worker that is gone."""
    await redis.xadd(keys.control(worker_id), {message: value}, maxlen=_MAX_ENTRIES)
    await redis.expire(keys.control(worker_id), keys.CONTROL_TTL_S)


async def wake(shard: Redis, worker_id: str) -> None:
    """End the blocking read of a worker at a shard."""
    stream = stream_at(shard, worker_id)
    await shard.xadd(stream, {WorkerMessage.WAKE: 1}, maxlen=_MAX_ENTRIES)
    await shard.expire(stream, keys.CONTROL_TTL_S)


def stream_at(shard: Redis, worker_id: str) -> str:
    """The stream that a worker's reader at a shard reads besides audio."""
    if not isinstance(shard, ShardRedis) or shard.shard.has(keys.control(worker_id)):
        return keys.control(worker_id)
    return keys.wake(worker_id, shard.shard.tag)
