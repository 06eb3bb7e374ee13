"""Whether Redis lets this service in. Nothing gets better by waiting where it does not, so nothing starts then."""

import asyncio
from typing import Final

from redis.exceptions import AuthenticationError, RedisError

from shared.bus.connect import CONNECT_TIMEOUT_S, connect
from shared.config import Settings
from shared.errors import StartupError

CREDENTIALS_ADVICE: Final = (
    "Set REDIS_URL to redis://user:password@host:port/0, or without them to redis://host:port/0."
)
_HAS_NONE: Final = "without any password configured"
"""Part of the answer of a server that has no password to one that comes with one."""


def check_credentials(settings: Settings) -> None:
    """Raises StartupError where Redis refuses the user or the password of `REDIS_URL`.

    One that does not answer may come later: that is no error here.
    """
    try:
        asyncio.run(_ask(settings))
    except AuthenticationError as error:
        raise StartupError(f"{refusal(settings, error)} {CREDENTIALS_ADVICE}") from None
    except (RedisError, OSError):
        return


def refusal(settings: Settings, error: AuthenticationError) -> str:
    """What Redis objects to, in one sentence without the password."""
    where = f"Redis at {settings.redis_address}"
    if "@" not in settings.redis_url:
        return f"{where} asks for a password, and REDIS_URL has none."
    if _HAS_NONE in str(error):
        return f"{where} has no password, and REDIS_URL gives one."
    return f"{where} refuses the password of REDIS_URL."


async def _ask(settings: Settings) -> None:
    redis = connect(settings, reply_timeout_s=CONNECT_TIMEOUT_S, retries=0)
    try:
        await redis.ping()
    finally:
        await redis.aclose()
