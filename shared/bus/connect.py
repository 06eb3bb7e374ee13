"""How Redis is reached: one way for every process."""

from redis.asyncio import Redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from shared.config import Settings

CONNECT_TIMEOUT_S = 2.0
REPLY_TIMEOUT_S = 5.0


def connect(settings: Settings, *, reply_timeout_s: float = REPLY_TIMEOUT_S, retries: int = 3) -> Redis:
    """A client that opens connections as they are needed; replies are bytes.

    A command that finds the connection lost is sent again after a short pause: every write of this
    package may be repeated without harm.
    """
    return Redis.from_url(
        settings.redis_url,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=reply_timeout_s,
        socket_keepalive=True,
        retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=1.0), retries),
        protocol=2,
    )
