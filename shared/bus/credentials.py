"""Whether Redis accepts the credentials of this service. If not, waiting does not help, so nothing is started."""

import asyncio
from typing import Final

from redis.exceptions import AuthenticationError, RedisError

from shared.bus.connect import CONNECT_TIMEOUT_S, connect
from shared.config import Settings
from shared.errors import StartupError

CREDENTIALS_ADVICE: Final = (
    "Set REDIS_URL to redis://user:password@host:port/0, or to redis://host:port/0 if there is no password."
)
_HAS_NONE: Final = "without any password configured"
"""Part of the answer to a password from a server that has none."""


def check_credentials(settings: Settings) -> None:
    """Raises StartupError if Redis rejects the user or the password in `REDIS_URL`.

    A Redis that does not answer may start later, so that is no error here.
    """
    try:
        asyncio.run(_ask(settings))
    except AuthenticationError as error:
        raise StartupError(f"{refusal(settings, error)} {CREDENTIALS_ADVICE}") from None
    except (RedisError, OSError):
        return


def refusal(settings: Settings, error: AuthenticationError) -> str:
    """Why Redis rejects the credentials, in one sentence without the password."""
    where = f"Redis at {settings.redis_address}"
    if "@" not in settings.redis_url:
        return f"{where} requires a password, but REDIS_URL has none."
    if _HAS_NONE in str(error):
        return f"{where} has no password, but REDIS_URL has one."
    return f"{where} rejects the password in REDIS_URL."


async def _ask(settings: Settings) -> None:
    redis = connect(settings, reply_timeout_s=CONNECT_TIMEOUT_S, retries=0)
    try:
        await redis.ping()
    finally:
        await redis.aclose()
