"""The embedded server: `python -m compose.redis` replaces itself with a Valkey or Redis server on loopback.

It becomes the server (exec), so that signals reach it. If `REDIS_URL` names another server, nothing is
started; the process then only waits for a signal to stop, because a process manager stops all when one ends.
"""

import os
import sys
from typing import NoReturn

from shared.bus.append_only_file import REMEDY, damage, lock, locked
from shared.bus.server_binary import server_binary
from shared.config.sections import RedisSettings
from shared.config.settings import Settings
from shared.entry import run_process, stand_by
from shared.errors import StartupError

REWRITE_FROM = "512mb"
MEMORY_LIMIT = "2gb"
"""Enough for a thousand sessions at their largest backlog. Beyond it writes fail, and no events are evicted."""


def main(settings: Settings) -> int:
    if settings.redis_is_embedded:
        _become_server(settings.redis)
    stand_by("redis_external", address=settings.redis_address)
    return 0


def _become_server(redis: RedisSettings) -> NoReturn:
    binary = server_binary(redis)
    os.set_inheritable(lock(redis.data_dir), True)  # the server keeps the lock until it ends
    sys.stderr.flush()
    os.execv(binary, [str(binary), *_options(redis)])  # noqa: S606 -- no shell is wanted


def why_not_loaded(settings: Settings) -> str | None:
    """Why the failed embedded server cannot load its file, and what to do; None if it failed for another reason."""
    try:
        with locked(settings.redis.data_dir):
            fault = damage(settings.redis, server_binary(settings.redis))
    except StartupError:
        return None
    return None if fault is None else f"{fault} {REMEDY}"


def _options(redis: RedisSettings) -> list[str]:
    options = {
        "port": str(redis.port),
        "bind": "127.0.0.1",
        "dir": str(redis.data_dir.absolute()),
        "appendonly": "yes",
        "appendfsync": "everysec",
        # Audio is written and soon trimmed: at the default of 64 MiB, hundreds of streams would make Redis rewrite
        # the file every few seconds, each time with a pause that clients notice.
        "auto-aof-rewrite-min-size": REWRITE_FROM,
        "no-appendfsync-on-rewrite": "yes",
        "slowlog-log-slower-than": "-1",  # it would contain pieces of audio and text
        "save": "",
        "maxmemory": MEMORY_LIMIT,
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
        "logfile": "",
    }
    return [part for name, value in options.items() for part in (f"--{name}", value)]


if __name__ == "__main__":
    sys.exit(run_process(main, "redis"))
