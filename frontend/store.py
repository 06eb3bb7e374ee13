"""What becomes of a Redis that fails, for the clients whose requests need it."""

import contextlib
from collections.abc import Iterator
from typing import Final

from redis.exceptions import RedisError

from shared.errors import StoreUnreachableError

STORE_RETRY_S: Final = 2.0
"""The hint that a refused client gets: Redis restarts in seconds."""


@contextlib.contextmanager
def reaching_store() -> Iterator[None]:
    """Turns the failures of Redis into StoreUnreachableError."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise store_unreachable() from error


def store_unreachable() -> StoreUnreachableError:
    return StoreUnreachableError(STORE_RETRY_S)
