"""Connections that open to the primary that Sentinels, or the nodes of a Redis Cluster, name: for asyncio, and with
Sentinels also for Celery. By redis-py's insides.

Each checks with `ROLE` that the server is a primary: Sentinels need a moment to notice that one has restarted as a
replica. One that finds itself at a replica, by an answer READONLY, closes; redis-py then opens it again.

`tests/unit/shared/bus/test_redis_internals.py` fails when redis-py changes what this relies on.
"""

import asyncio
import contextlib
import os
import socket
from typing import Any, Final

import redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, ReadOnlyError

from shared.bus.cluster import Shard
from shared.bus.hash_slots import placed_words
from shared.bus.primary import Primary
from shared.bus.redis_internals import PackedConnection, PackedTcpConnection, PackedTlsConnection
from shared.redis_address import shown_node

_PRIMARY_ROLE: Final = b"master"


class ToPrimary(PackedConnection):
    """Before the class of a connection of redis-py's asyncio client."""

    host: str
    port: int

    def __init__(self, *, primary: Primary | Shard, **options: Any) -> None:
        super().__init__(**options)
        self.primary = primary
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_open(self) -> bool:
        return bool(self.is_connected)

    def cut(self) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed
                self._loop.call_soon_threadsafe(self._abort)

    def _abort(self) -> None:
        if self.is_connected:
            self._writer.transport.abort()

    async def _connect(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.host, self.port = await asyncio.to_thread(self.primary.find)
        await super()._connect()  # type: ignore[safe-super, no-untyped-call]
        self.primary.watch(self)

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        await super().on_connect_check_health(check_health)
        await self.send_command("ROLE", check_health=False)
        with contextlib.suppress(NoPermissionError):
            role, *_ = await self.read_response()
            if role != _PRIMARY_ROLE:
                raise _at_replica(self.host, self.port)

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*arguments, **options)
        except ReadOnlyError:
            await self.disconnect(nowait=True)
            raise _at_replica(self.host, self.port) from None


class TcpToPrimary(ToPrimary, PackedTcpConnection):
    """`redis+sentinel://`"""


class TlsToPrimary(ToPrimary, PackedTlsConnection):
    """`rediss+sentinel://`"""


TO_PRIMARY: Final[dict[type[AbstractConnection], type[ToPrimary]]] = {
    PackedTcpConnection: TcpToPrimary,
    PackedTlsConnection: TlsToPrimary,
}


class ToShard(ToPrimary):
    """To the primary of a shard, where keys have other names."""

    def pack_command(self, *args: Any) -> list[bytes]:
        return super().pack_command(*placed_words(args))


class TcpToShard(ToShard, PackedTcpConnection):
    """`redis+cluster://`"""


class TlsToShard(ToShard, PackedTlsConnection):
    """`rediss+cluster://`"""


TO_SHARD: Final[dict[type[AbstractConnection], type[ToShard]]] = {
    PackedTcpConnection: TcpToShard,
    PackedTlsConnection: TlsToShard,
}


class BrokerConnection(redis.Connection):
    """The same for redis-py's blocking client, which Celery uses."""

    def __init__(self, *, primary: Primary, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self._primary = primary

    @property
    def is_open(self) -> bool:
        held = self._sock
        return held is not None and not _is_closed_by_peer(held)

    def cut(self) -> None:
        held = self._sock
        if held is not None:
            with contextlib.suppress(OSError):  # not `held.shutdown`: of TLS, it would end the encryption first
                socket.socket.shutdown(held, socket.SHUT_RDWR)

    def _connect(self) -> Any:
        self.host, self.port = self._primary.find()
        opened = super()._connect()  # type: ignore[no-untyped-call]
        self._primary.watch(self)
        return opened

    def on_connect_check_health(self, check_health: bool = True) -> None:
        super().on_connect_check_health(check_health)
        self.send_command("ROLE", check_health=False)  # type: ignore[no-untyped-call]
        with contextlib.suppress(NoPermissionError):
            role, *_ = self.read_response()
            if role not in (_PRIMARY_ROLE, _PRIMARY_ROLE.decode()):
                raise _at_replica(self.host, self.port)

    def read_response(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().read_response(*arguments, **options)
        except ReadOnlyError:
            self.disconnect()  # type: ignore[no-untyped-call]
            raise _at_replica(self.host, self.port) from None


class BrokerTlsConnection(BrokerConnection, redis.SSLConnection):
    """The same with TLS."""


def _is_closed_by_peer(held: socket.socket) -> bool:
    """Never waits: `held` itself would wait as long as its reader may, so another object for it is asked."""
    try:
        with socket.socket(fileno=os.dup(held.fileno())) as probe:
            return not probe.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:  # it has just been closed
        return True


def _at_replica(host: str, port: int) -> RedisConnectionError:
    return RedisConnectionError(f"Redis at {shown_node((host, port))} is a replica now.")
