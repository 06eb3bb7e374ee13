"""What we use of redis-py's insides. Everything else of the service uses its public interface.

- Commands are packed by hiredis, and sent without `asyncio.wait_for` (`PackedConnection`). redis-py's asyncio client
  packs in Python, at 15 µs instead of 2 µs for one event and at 1 ms for a read of 400 streams, which is most of what a
  busy I/O loop does. On Python 3.11 `wait_for` makes a task for each command, and swallows a cancellation that comes
  just as it is done.
- A pool in which commands wait in order (`FairPool`). redis-py's own pool raises an error as soon as all connections
  are taken. Its blocking pool lets a newcomer overtake those that wait, and loses a connection if a task is cancelled
  while it gives one back.
- A connection outside the pool (`own_connection`), for a subscription that one task reads and others write to.

`tests/unit/shared/bus/test_redis_internals.py` fails when redis-py changes what this relies on.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Final, cast

import hiredis
from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

MAX_CONNECTIONS: Final = 16
"""Of one client. Redis serves one command at a time, so more would not make it faster, and each costs a handshake just
when a crowd comes."""
MAX_WAITING: Final = 5000
WAIT_S: Final = 5.0
"""The longest wait for a connection."""


class NoConnectionFreeError(RedisError):
    """Too many commands wait for a connection, or one has waited too long. Redis itself may be well."""


class PackedConnection(AbstractConnection):
    """Packs and sends commands in less time than redis-py's asyncio client, and can be cancelled reliably."""

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
    """Hands out connections in the order in which they were asked for."""

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


def own_connection(redis: Redis) -> AbstractConnection:
    """A connection of the client's kind that is not in its pool. The caller opens, reads and closes it."""
    return cast("AbstractConnection", redis.connection_pool.make_connection())  # type: ignore[no-untyped-call]
