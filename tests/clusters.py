"""A Redis Cluster for tests: three shards, each a primary with a replica."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from redis.exceptions import RedisError

from shared.bus.hash_slots import SLOTS, slot_of
from tests.limits import slowness
from tests.redis_servers import RedisServers
from tests.stack import free_ports, wait_until

SHARDS: Final = 3
NODE_TIMEOUT_MS: Final = 800
"""On a busy machine the time is longer, so that its pauses are no failures."""


class RedisShards(RedisServers):
    """Servers by their ports. The first three begin as primaries, and the others as their replicas, in this order."""

    def __init__(self, folder: Path, password: str = "") -> None:
        super().__init__(folder, password)
        ports = free_ports(4 * SHARDS)
        self.ports = ports[: 2 * SHARDS]
        self._bus_ports = dict(zip(self.ports, ports[2 * SHARDS :], strict=True))
        self._ids = {port: secrets.token_hex(20) for port in self.ports}

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"redis+cluster://{f':{self._password}@' if self._password else ''}{hosts}"

    @property
    def primaries(self) -> list[int]:
        """The ports of the primaries that have slots, by the first server that answers."""
        return [port for port, node in self._nodes().items() if "master" in node["flags"] and node["slots"]]

    def start(self) -> None:
        """Return when every server accepts commands and each primary has its replica. The servers know each other from
        the start: to find each other takes seconds."""
        for port in self.ports:
            self._config_of(port).write_text(self._lines(port))
            self.start_server(port)
        wait_until(lambda: all(self._is_complete(port) for port in self.ports), "the cluster is complete", 30)

    def start_server(self, port: int) -> None:
        """Start a server, at first or again: it keeps what it knows of the others."""
        options: list[object] = ["--cluster-enabled", "yes", "--cluster-config-file", self._config_of(port)]
        options += ["--cluster-port", self._bus_ports[port]]
        options += ["--cluster-node-timeout", round(NODE_TIMEOUT_MS * slowness())]
        options += ["--cluster-require-full-coverage", "no", "--cluster-allow-replica-migration", "no"]
        self._serve(port, *options)

    def primary_of(self, name: str) -> int:
        """The port of the primary that has a key."""
        slot = slot_of(name)
        for port, node in self._nodes().items():
            if "master" in node["flags"] and any(int(part[0]) <= slot <= int(part[-1]) for part in node["slots"]):
                return port
        raise AssertionError(f"no primary has {name}")

    def await_failover(self, former: int) -> None:
        """Wait until another server serves the slots of this one, by all that run."""
        running = [port for port in self.ports if port in self.processes and port != former]

        def is_replaced() -> bool:
            return all(self._serves_without(port, former) for port in running)

        wait_until(is_replaced, "another server is the primary", 40)

    def await_replicas(self) -> None:
        """Wait until each primary has its replica."""
        wait_until(lambda: all(self._is_complete(port) for port in self.ports), "the cluster is complete", 40)

    def move_slot_of(self, name: str) -> int:
        """Give the slot of a key, with all keys in it, to another primary; returns its port."""
        slot, former = slot_of(name), self.primary_of(name)
        new = next(port for port in self.primaries if port != former)
        credentials = ("AUTH", self._password) if self._password else ()
        with self.client(former) as source, self.client(new) as target:
            target.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", self._ids[former])
            source.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", self._ids[new])
            while held := source.execute_command("CLUSTER GETKEYSINSLOT", slot, 100):
                source.execute_command("MIGRATE", "127.0.0.1", new, "", 0, 5000, *credentials, "KEYS", *held)
            for client in (target, source):
                client.execute_command("CLUSTER SETSLOT", slot, "NODE", self._ids[new])
        return new

    def replica_of(self, primary: int) -> int:
        """The port of the replica of a primary."""
        return next(port for port, node in self._nodes().items() if node["master_id"] == self._ids[primary])

    def _config_of(self, port: int) -> Path:
        return self._folder / f"nodes-{port}.conf"

    def _lines(self, own: int) -> str:
        lines = []
        for index, port in enumerate(self.ports):
            myself = "myself," if port == own else ""
            address = f"127.0.0.1:{port}@{self._bus_ports[port]}"
            if index < SHARDS:
                first, last = SLOTS * index // SHARDS, SLOTS * (index + 1) // SHARDS - 1
                part = f"{myself}master - 0 0 {index + 1} connected {first}-{last}"
            else:
                primary = self._ids[self.ports[index - SHARDS]]
                part = f"{myself}slave {primary} 0 0 {index - SHARDS + 1} connected"
            lines.append(f"{self._ids[port]} {address} {part}\n")
        return "".join(lines) + f"vars currentEpoch {SHARDS} lastVoteEpoch 0\n"

    def _nodes(self) -> dict[int, Any]:
        for port in self.ports:
            if found := self._nodes_by(port):
                return found
        raise AssertionError("no server answers")

    def _nodes_by(self, port: int) -> dict[int, Any]:
        if port not in self.processes:
            return {}
        try:
            with self.client(port) as client:
                said = client.execute_command("CLUSTER NODES")
        except (RedisError, OSError):
            return {}
        return {int(address.rpartition(":")[2]): node for address, node in said.items()}

    def _serves_without(self, port: int, former: int) -> bool:
        nodes = self._nodes_by(port)
        primaries = [one for one, node in nodes.items() if "master" in node["flags"] and node["slots"]]
        return len(primaries) == SHARDS and former not in primaries and self._state(port)

    def _is_complete(self, port: int) -> bool:
        nodes = self._nodes_by(port)
        if not self._state(port) or any("fail" in node["flags"] or not node["connected"] for node in nodes.values()):
            return False
        with self.client(port) as client:
            said = client.info("replication")
        return bool(said["role"] == "slave" and said["master_link_status"] == "up") or said.get("connected_slaves") == 1

    def _state(self, port: int) -> bool:
        try:
            with self.client(port) as client:
                return bool(client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
        except (RedisError, OSError):
            return False


@contextmanager
def redis_shards(folder: Path, password: str = "") -> Iterator[RedisShards]:
    """A running cluster, in a folder of its own."""
    shards = RedisShards(folder, password)
    try:
        shards.start()
        yield shards
    finally:
        shards.stop()
