"""How Redis is reached: one way for every process.

A client has a bounded number of connections. Commands that find all of them taken wait in order.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, cast

import hiredis
from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection
from redis.asyncio.connection import AbstractConnection
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from shared.config import Settings

CONNECT_TIMEOUT_S = 2.0
REPLY_TIMEOUT_S = 5.0
MAX_CONNECTIONS: Final = 16
"""Of one client. Redis serves one command at a time, so more would not make it faster, and each costs a handshake just
when a crowd comes."""
MAX_WAITING: Final = 5000
WAIT_S: Final = 5.0
"""The longest wait for a connection."""


class NoConnectionFreeError(RedisError):
    """Too many commands wait for a connection, or one has waited too long. Redis itself may be well."""


class PackedConnection(AbstractConnection):
    """Packs and sends commands in less time than redis-py's asyncio client, and ends when it is told to.

    That client packs in Python, at 15 µs instead of 2 µs for one event and at 1 ms for a read of 400 streams, which is
    most of what a busy I/O loop does. It sends within `asyncio.wait_for`, which on Python 3.11 makes a task for each
    command and swallows a cancellation that comes just as it is done.
    """

    _writer: asyncio.StreamWriter
    socket_timeout: float | None

    def pack_command(self, *args: Any) -> list[bytes]:
        if " " in args[0]:  # `SCRIPT LOAD` is two arguments on the wire
            return super().pack_command(*args)
        return [hiredis.pack_command(args)]

    def pack_commands(self, commands: Iterable[Iterable[Any]]) -> list[bytes]:
        return [b"".join(piece for command in commands for piece in self.pack_command(*command))]

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        """As redis-py: a connection that could not send the whole is closed.

        Raises:
            redis.exceptions.TimeoutError: the server took nothing for `socket_timeout`.
            redis.exceptions.ConnectionError: the connection is lost.
        """
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
        if check_health:
            await self.check_health()  # type: ignore[no-untyped-call]
        if isinstance(command, str):
            command = command.encode()
        try:
            self._writer.writelines([command] if isinstance(command, bytes) else command)
            async with asyncio.timeout(self.socket_timeout):
                await self._writer.drain()
        except BaseException as error:
            await self.disconnect(nowait=True)
            if isinstance(error, TimeoutError):
                raise RedisTimeoutError("Timeout writing to socket") from None
            if isinstance(error, OSError):
                raise RedisConnectionError(f"Error while writing to socket: {error}") from error
            raise


class PackedTcpConnection(PackedConnection, Connection):
    """`redis://`"""


class PackedTlsConnection(PackedConnection, SSLConnection):
    """`rediss://`"""


class FairPool(ConnectionPool):
    """Hands out connections in the order in which they were asked for.

    redis-py's own pool raises an error as soon as all connections are taken. Its blocking pool lets a newcomer overtake
    those that wait, and loses a connection if a task is cancelled while it gives one back.
    """

    def __init__(self, max_connections: int = MAX_CONNECTIONS, wait_s: float = WAIT_S, **options: Any) -> None:
        super().__init__(max_connections=max_connections, **options)
        self._places = asyncio.Semaphore(max_connections)
        self._waiting = 0
        self._wait_s = wait_s

    async def get_connection(self, *_arguments: Any, **_options: Any) -> AbstractConnection:
        """A connection that is ready.

        Raises:
            NoConnectionFreeError: none became free within `wait_s`, or `MAX_WAITING` commands wait already.
        """
        await self._take_place()
        try:
            connection = self.get_available_connection()  # type: ignore[no-untyped-call]
        except BaseException:
            self._places.release()
            raise
        try:
            await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return cast("AbstractConnection", connection)

    async def release(self, connection: AbstractConnection) -> None:
        self._in_use_connections.remove(connection)
        self._available_connections.append(connection)
        self._places.release()

    async def _take_place(self) -> None:
        if self._waiting >= MAX_WAITING:
            raise NoConnectionFreeError(f"{MAX_WAITING} commands wait for a connection already.")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._wait_s):
                await self._places.acquire()
        except TimeoutError:
            raise NoConnectionFreeError(f"No connection was free within {self._wait_s:g} s.") from None
        finally:
            self._waiting -= 1


PACKED: Final[dict[type[AbstractConnection], type[PackedConnection]]] = {
    Connection: PackedTcpConnection,
    SSLConnection: PackedTlsConnection,
}


def connect(
    settings: Settings,
    *,
    reply_timeout_s: float = REPLY_TIMEOUT_S,
    retries: int = 3,
    greet: Callable[[AbstractConnection], Awaitable[None]] | None = None,
) -> Redis:
    """A client that opens connections as they are needed, `MAX_CONNECTIONS` at most; replies are bytes.

    A command that finds the connection lost is sent again after a short pause: every write of this
    package may be repeated without harm. `greet` is awaited on each new connection before anything else uses it, and
    must itself await `on_connect`.
    """
    pool = FairPool.from_url(
        settings.redis_url,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=reply_timeout_s,
        socket_keepalive=True,
        retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=1.0), retries),
        protocol=2,
        redis_connect_func=greet,
    )
    pool.connection_class = PACKED[pool.connection_class]
    return Redis.from_pool(pool)
