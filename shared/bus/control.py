"""Messages to a worker, over the stream that wakes its reader."""

from typing import Final

from redis.asyncio import Redis

from shared.bus import keys
from shared.bus.messages import WorkerMessage

_MAX_ENTRIES: Final = 1000


async def send(redis: Redis, worker_id: str, message: WorkerMessage, value: str | int) -> None:
    """The stream expires with a worker that is gone."""
    await redis.xadd(keys.control(worker_id), {message: value}, maxlen=_MAX_ENTRIES)
    await redis.expire(keys.control(worker_id), keys.CONTROL_TTL_S)
