"""Connections to primaries that may be replaced, whoever names the new ones: those to a former primary are cut.

A server that hangs, or whose network is gone, does not close its connections itself, and nothing sent to it would be
kept. So a thread asks for the primary regularly, as long as connections are open.
"""

import contextlib
import threading
import time
import weakref
from collections.abc import Callable
from typing import Final, Protocol

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from shared.redis_address import Node

ANSWER_S: Final = 0.5
"""A server that is asked for the primary must answer within this time."""


class Watched(Protocol):
    """A connection. Host and port are those that it was opened with."""

    host: str
    port: int

    @property
    def is_open(self) -> bool: ...

    def cut(self) -> None:
        """Make its reader and its writer fail. Any thread may call it, also while it is closed."""


class WatchedConnections:
    """Those to one primary after another. Thread-safe."""

    def __init__(self) -> None:
        self._connections: weakref.WeakSet[Watched] = weakref.WeakSet()

    def add(self, connection: Watched) -> None:
        self._connections.add(connection)

    @property
    def are_open(self) -> bool:
        """Whether at least one is."""
        return any(one.is_open for one in list(self._connections))

    def cut_others(self, primary: Node) -> None:
        for connection in list(self._connections):
            if connection.is_open and (connection.host, connection.port) != primary:
                connection.cut()


class Watch:
    """A thread that looks regularly. It ends when nothing is open, and the next connection starts it again."""

    def __init__(self, name: str, pause_s: float, is_needed: Callable[[], bool], look: Callable[[], None]) -> None:
        """`look` may raise Redis' errors: connections to a primary that is well go on while nobody answers."""
        self._name = name
        self._pause_s = pause_s
        self._is_needed = is_needed
        self._look = look
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def keep(self) -> None:
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            time.sleep(self._pause_s)
            with self._starting:
                if not self._is_needed():
                    self._thread = None
                    return
            with contextlib.suppress(RedisError):
                self._look()


def asked_at(url: str) -> Redis:
    """A client that asks one server for the primary, once."""
    return Redis.from_url(
        url,
        socket_connect_timeout=ANSWER_S,
        socket_timeout=ANSWER_S,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
