"""redis-py still has what `shared.bus.redis_internals` relies on."""

import hiredis
import redis
from redis.asyncio import Connection, ConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.connection import AbstractConnection

from shared.bus.primary_connections import BrokerConnection, TcpToPrimary
from shared.bus.redis_internals import PACKED, FairPool, PackedTcpConnection, own_connection
from tests.internals import Canary

canary = Canary("redis", "shared/bus/redis_internals.py")


def test_connections_pack_and_send_where_we_override_it() -> None:
    canary.takes(AbstractConnection.pack_command, "self", "args")
    canary.takes(AbstractConnection.pack_commands, "self", "commands")
    canary.takes(AbstractConnection.send_packed_command, "self", "command", "check_health")
    canary.calls(AbstractConnection.send_command, "send_packed_command", "pack_command")
    canary.calls(Pipeline._execute_pipeline, "pack_commands", "send_packed_command")
    canary.has(AbstractConnection, "connect_check_health", "check_health", "disconnect", "is_connected")
    canary.has(Connection(), "_writer", "socket_timeout")
    ours, theirs = PackedTcpConnection(), Connection()
    for command in (("XADD", "k", "1-0", "f", b"\x00"), ("SCRIPT LOAD", "return 1"), ("GET", 1.5)):
        packed = b"".join(ours.pack_command(*command))
        canary.holds(packed == b"".join(theirs.pack_command(*command)), f"{command[0]} is packed in another way")


def test_pool_keeps_its_connections_where_we_take_them() -> None:
    canary.has(ConnectionPool, "get_available_connection", "ensure_connection", "make_connection")
    canary.has(ConnectionPool(), "_in_use_connections", "_available_connections", "connection_class")
    canary.calls(ConnectionPool.get_available_connection, "_available_connections", "_in_use_connections")
    canary.calls(Redis.execute_command, "get_connection", "release")
    canary.calls(ConnectionPool.disconnect, "_available_connections", "_in_use_connections")


def test_own_connection_is_of_the_clients_kind_and_not_in_its_pool() -> None:
    pool = FairPool.from_url("redis://127.0.0.1:1/0")
    pool.connection_class = PACKED[pool.connection_class]
    connection = own_connection(Redis.from_pool(pool))
    canary.holds(isinstance(connection, PackedTcpConnection), "make_connection makes connections of another class")
    canary.holds(not pool._in_use_connections, "make_connection counts its connection as one of the pool")


def test_connections_to_the_primary_override_what_is_called() -> None:
    canary = Canary("redis", "shared/bus/primary_connections.py")
    for theirs, ours in ((AbstractConnection, TcpToPrimary), (redis.Connection, BrokerConnection)):
        canary.has(theirs, "_connect", "on_connect_check_health", "read_response", "disconnect")
        canary.calls(theirs.connect_check_health, "_connect", "on_connect_check_health")
        canary.takes(ours.on_connect_check_health, "self", "check_health")
        canary.takes(theirs.on_connect_check_health, "self", "check_health")
    canary.has(redis.Connection(), "_sock", "host", "port")
    canary.has(Connection(), "host", "port")


def test_client_of_a_cluster_overrides_what_is_called() -> None:
    canary = Canary("redis", "shared/bus/sharded.py")
    canary.takes(Pipeline.__init__, "self", "connection_pool", "response_callbacks", "transaction", "shard_hint")
    canary.has(Pipeline(FairPool(), {}, False, None), "command_stack", "is_transaction")
    canary.calls(Pipeline.pipeline_execute_command, "command_stack")
    canary.takes(Redis.pipeline, "self", "transaction", "shard_hint")
    canary.has(Redis.from_pool(FairPool()), "execute_command", "response_callbacks")


def test_hiredis_packs_commands() -> None:
    Canary("hiredis", "shared/bus/redis_internals.py").has(hiredis, "pack_command")
