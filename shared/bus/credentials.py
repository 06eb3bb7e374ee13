"""Whether Redis accepts this service: its credentials, and that it is no Redis Cluster.

If it does not, waiting does not help, so nothing is started.
"""

import asyncio
import contextlib
from typing import Final

from redis.exceptions import AuthenticationError, RedisError, ResponseError

from shared.bus.cluster import Cluster, NotClusterError
from shared.bus.connect import CONNECT_TIMEOUT_S, connect_to
from shared.bus.primary import Primary, SentinelRefusalError
from shared.config.sections import BROKER_VARIABLE
from shared.config.settings import Settings
from shared.errors import StartupError
from shared.redis_address import Node, RedisAddress

CREDENTIALS_ADVICE: Final = (
    "Set {variable} to redis://user:password@host:port/0, or to redis://host:port/0 if there is no password."
)
SENTINEL_ADVICE: Final = (
    "The password of the Sentinels is ?sentinel_password=… in {variable}, and that of Redis is before the hosts."
)
SERVER_ADVICE: Final = "Set REDIS_URL to redis://host:port/0 for one server."
_HAS_NONE: Final = "without any password configured"
"""Part of the answer to a password from a server that has none."""


def check_credentials(settings: Settings) -> None:
    """Raises StartupError if Redis rejects the user or the password in its URL, or belongs to a Redis Cluster.

    The same for the Redis of Celery's queues.

    A Redis that does not answer may start later, so that is no error here.
    """
    for address in settings.stores:
        try:
            if asyncio.run(_ask(address)):
                raise StartupError(f"{of_cluster(address)} {cluster_advice(address)}")
        except (AuthenticationError, NotClusterError) as error:
            raise StartupError(f"{refusal(address, error)} {advice(address, error)}") from None
        except (RedisError, OSError):
            continue


def refusal(address: RedisAddress, error: AuthenticationError | NotClusterError) -> str:
    """Why Redis or its Sentinels reject the credentials, in one sentence without the password."""
    if isinstance(error, SentinelRefusalError | NotClusterError):
        return str(error)
    where = f"Redis at {address.shown}"
    if not address.credentials:
        return f"{where} requires a password, but {address.variable} has none."
    if _HAS_NONE in str(error):
        return f"{where} has no password, but {address.variable} has one."
    return f"{where} rejects the password in {address.variable}."


def advice(address: RedisAddress, error: AuthenticationError | NotClusterError) -> str:
    """How to correct rejected credentials."""
    if isinstance(error, NotClusterError):
        return SERVER_ADVICE
    return (SENTINEL_ADVICE if address.is_sentinel else CREDENTIALS_ADVICE).format(variable=address.variable)


def cluster_advice(address: RedisAddress) -> str:
    """What to use instead of the address of one node of a Redis Cluster."""
    if address.variable == BROKER_VARIABLE:
        return f"Set {address.variable} to one server, or to Sentinels; see docs/redis.md."
    return f"Set {address.variable} to redis+cluster://host:port,…; see docs/redis.md."


def of_cluster(address: RedisAddress) -> str:
    """What is wrong with a node of a Redis Cluster."""
    return f"Redis at {address.shown} is a node of a Redis Cluster."


async def _ask(address: RedisAddress) -> bool:
    """Whether Redis is a node of a Redis Cluster. Raises Redis' errors."""
    if address.is_cluster:
        await asyncio.to_thread(Cluster.of(address).locate)
        return False
    await find_primary(address)
    redis = connect_to(address, reply_timeout_s=CONNECT_TIMEOUT_S)
    try:
        await redis.ping()
        with contextlib.suppress(ResponseError):  # INFO may be forbidden
            return bool((await redis.info("cluster")).get("cluster_enabled"))
        return False
    finally:
        await redis.aclose()


async def find_primary(address: RedisAddress) -> Node | None:
    """The primary that the Sentinels name; None without Sentinels. Raises what `Primary.find` raises."""
    return await asyncio.to_thread(Primary.of(address).find) if address.is_sentinel else None
