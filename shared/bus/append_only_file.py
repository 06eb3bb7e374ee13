"""The append-only file of the embedded server: whether the server can load it, and moving it aside if it cannot."""

import contextlib
import fcntl
import os
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from shared.config.sections import RedisSettings
from shared.errors import StartupError

APPEND_ONLY: Final = "appendonlydir"
"""The folder in `redis.data_dir` in which the server keeps its file."""
LOADED: Final = "Ready to accept connections"
LOAD_TIMEOUT_S: Final = 60.0
REMEDY: Final = "`voxtral doctor --repair-store` moves it aside; it holds only the sessions of the last minutes."
_ENTRY: Final = re.compile(r"^\d+:\S .*? [#*] (?P<text>.*\w.*)$")
"""A line of the server's log: process and role, time, level, text."""
_REASON: Final = re.compile(r"append only|AOF|RDB", re.IGNORECASE)


def lock(data_dir: Path) -> int:
    """Make the directory private and lock it: two servers on one append-only file would destroy it.

    Returns the descriptor that holds the lock. Raises StartupError if the directory is in use or cannot be used.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        data_dir.chmod(0o700)
        held = os.open(data_dir / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for half_written in data_dir.glob("temp-*.aof"):  # of a server that was killed while it rewrote its file
                half_written.unlink(missing_ok=True)
        except OSError:
            os.close(held)
            raise
    except BlockingIOError:
        raise StartupError(f"The directory {data_dir} (redis.data_dir) is in use by a running server.") from None
    except OSError as error:
        raise StartupError(f"The directory {data_dir} (redis.data_dir) cannot be used: {error.strerror}.") from None
    return held


@contextlib.contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Hold the lock within a block. Raises what `lock` raises."""
    held = lock(data_dir)
    try:
        yield
    finally:
        os.close(held)


def damage(redis: RedisSettings, binary: Path) -> str | None:
    """Why the server cannot load its append-only file, in one sentence; None if it can, or if there is no file.

    Starts the server briefly, without a port. Call it with the directory locked.
    """
    if not (redis.data_dir / APPEND_ONLY).exists():
        return None
    lines = _lines_of_a_start(redis, binary)
    if lines is None:
        return None
    said = [found["text"] for line in lines if (found := _ENTRY.match(line))]
    reason = next(filter(_REASON.search, reversed(said)), said[-1] if said else "the server does not say why")
    return (
        f"The append-only file in {redis.data_dir} (redis.data_dir) cannot be loaded "
        f"({reason.partition(': make a backup')[0].strip().rstrip('.')})."
    )


def move_aside(data_dir: Path) -> Path:
    """Rename the append-only file; returns its new path. Call it with the directory locked."""
    aside = data_dir / f"{APPEND_ONLY}.damaged-{time.strftime('%Y%m%d-%H%M%S')}"
    return (data_dir / APPEND_ONLY).rename(aside)


def _lines_of_a_start(redis: RedisSettings, binary: Path) -> list[str] | None:
    """The server's log if it cannot load the file; None if it has loaded it, or still loads at `LOAD_TIMEOUT_S`."""
    with tempfile.TemporaryDirectory() as folder:
        options = {
            "port": "0",
            "unixsocket": f"{folder}/socket",
            "dir": str(redis.data_dir.absolute()),
            "appendonly": "yes",
            "save": "",
            "loglevel": "notice",
            "logfile": "",
        }
        command = [str(binary), *(part for name, value in options.items() for part in (f"--{name}", value))]
        with subprocess.Popen(  # noqa: S603 -- the server's binary
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as server:
            assert server.stdout is not None
            late = threading.Timer(LOAD_TIMEOUT_S, server.terminate)
            late.start()
            lines = []
            try:
                for line in server.stdout:
                    lines.append(line.strip())
                    if LOADED in line:
                        return None
                return lines if server.wait() > 0 else None
            finally:
                late.cancel()
                server.terminate()
