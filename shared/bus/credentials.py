"""Whether Redis accepts this service: its credentials, and that it is no Redis Cluster.

If it does not, waiting does not help, so nothing is started.
"""

import asyncio
import contextlib
from typing import Final

from redis.exceptions import AuthenticationError, RedisError, ResponseError

from shared.bus.connect import CONNECT_TIMEOUT_S, connect
from shared.bus.primary import Primary, SentinelRefusalError
from shared.config import Settings
from shared.errors import StartupError
from shared.redis_address import Node

CREDENTIALS_ADVICE: Final = (
    "Set REDIS_URL to redis://user:password@host:port/0, or to redis://host:port/0 if there is no password."
)
CLUSTER_ADVICE: Final = "Set REDIS_URL to one server, or to Sentinels; see docs/redis.md."
SENTINEL_ADVICE: Final = (
    "The password of the Sentinels is ?sentinel_password=… in REDIS_URL, and that of Redis is before the hosts."
)
_HAS_NONE: Final = "without any password configured"
"""Part of the answer to a password from a server that has none."""


def check_credentials(settings: Settings) -> None:
    """Raises StartupError if Redis rejects the user or the password in `REDIS_URL`, or belongs to a Redis Cluster.

    A Redis that does not answer may start later, so that is no error here.
    """
    try:
        if asyncio.run(_ask(settings)):
            raise StartupError(f"{of_cluster(settings)} {CLUSTER_ADVICE}")
    except AuthenticationError as error:
        raise StartupError(f"{refusal(settings, error)} {advice(settings)}") from None
    except (RedisError, OSError):
        return


def refusal(settings: Settings, error: AuthenticationError) -> str:
    """Why Redis or its Sentinels reject the credentials, in one sentence without the password."""
    if isinstance(error, SentinelRefusalError):
        return str(error)
    where = f"Redis at {settings.redis_address}"
    if not settings.redis_at.credentials:
        return f"{where} requires a password, but REDIS_URL has none."
    if _HAS_NONE in str(error):
        return f"{where} has no password, but REDIS_URL has one."
    return f"{where} rejects the password in REDIS_URL."


def advice(settings: Settings) -> str:
    """How to correct rejected credentials."""
    return SENTINEL_ADVICE if settings.redis_at.is_sentinel else CREDENTIALS_ADVICE


def of_cluster(settings: Settings) -> str:
    """What is wrong with a node of a Redis Cluster."""
    return f"Redis at {settings.redis_address} is a node of a Redis Cluster, which the service cannot use."


async def _ask(settings: Settings) -> bool:
    """Whether Redis is a node of a Redis Cluster. Raises Redis' errors."""
    await find_primary(settings)
    redis = connect(settings, reply_timeout_s=CONNECT_TIMEOUT_S, retries=0)
    try:
        await redis.ping()
        with contextlib.suppress(ResponseError):  # INFO may be forbidden
            return bool((await redis.info("cluster")).get("cluster_enabled"))
        return False
    finally:
        await redis.aclose()


async def find_primary(settings: Settings) -> Node | None:
    """The primary that the Sentinels name; None without Sentinels. Raises what `Primary.find` raises."""
    address = settings.redis_at
    return await asyncio.to_thread(Primary.of(address).find) if address.is_sentinel else None
