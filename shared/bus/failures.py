"""The errors that clients get if Redis fails."""

import contextlib
from collections.abc import Iterator
from typing import Final

from redis.exceptions import RedisError

from shared.bus.redis_internals import NoConnectionFreeError
from shared.errors import ServerBusyError, StoreUnreachableError, VoxtralError

STORE_RETRY_S: Final = 2.0
"""The hint for a rejected client: Redis restarts within seconds."""
CROWD_RETRY_S: Final = 2.0
"""The hint if too many clients connect at the same moment."""


@contextlib.contextmanager
def reaching_store() -> Iterator[None]:
    """Turn failures of Redis into StoreUnreachableError, or into ServerBusyError if too many clients wait for Redis."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise store_error(error) from error


def store_error(error: RedisError | OSError) -> VoxtralError:
    """The error that a client gets for this failure."""
    if isinstance(error, NoConnectionFreeError):
        return ServerBusyError("Too many clients connected at the same moment; try again.", retry_after_s=CROWD_RETRY_S)
    return StoreUnreachableError(STORE_RETRY_S)
