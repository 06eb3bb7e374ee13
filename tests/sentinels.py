"""A Redis service for tests that fails over: a primary, two replicas, and three Sentinels that watch them."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from redis.exceptions import RedisError

from tests.limits import slowness
from tests.redis_servers import RedisServers
from tests.stack import free_ports, wait_until

SERVICE: Final = "mymaster"
SERVERS: Final = 3
SENTINELS: Final = 3
DOWN_AFTER_MS: Final = 500
"""On a busy machine the time is longer, so that its pauses are no failures."""


class RedisGroup(RedisServers):
    """Servers and Sentinels by their ports. The first server begins as the primary."""

    def __init__(self, folder: Path, password: str = "", sentinel_password: str = "") -> None:
        super().__init__(folder, password)
        ports = free_ports(SERVERS + SENTINELS)
        self.servers, self.sentinels = ports[:SERVERS], ports[SERVERS:]
        self._sentinel_password = sentinel_password
        self._ids = {port: secrets.token_hex(20) for port in self.sentinels}

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        credentials = f":{self._password}@" if self._password else ""
        query = f"?sentinel_password={self._sentinel_password}" if self._sentinel_password else ""
        return f"redis+sentinel://{credentials}{hosts}/{SERVICE}/0{query}"

    @property
    def primary(self) -> int:
        """The port of the primary, by most of the Sentinels."""
        named = [port for port in map(self._named_by, self.sentinels) if port]
        return max(set(named), key=named.count) if named else 0

    def start(self) -> None:
        """Return when the replicas are in step and every Sentinel knows them and the others."""
        for port in self.servers:
            self.start_server(port)
        primary, *_ = self.servers
        wait_until(lambda: self._replicas_of(primary) == SERVERS - 1, "the replicas are in step", 20)
        for port in self.sentinels:
            self._configure_sentinel(port)
            self.start_sentinel(port)
        wait_until(self._is_complete, "the Sentinels know each other", 20)

    def start_server(self, port: int) -> None:
        """Start a server, at first or again. It begins as a replica, unless it is the first one of a new group."""
        first, *_ = self.servers
        primary = (self.primary or first) if self.processes else first
        self._serve(port, *([] if port == primary else ["--replicaof", f"127.0.0.1 {primary}"]))

    def password_of(self, port: int) -> str:
        return self._sentinel_password if port in self.sentinels else self._password

    def detach_replicas(self) -> None:
        """Nothing that the primary writes from now on reaches its replicas. The Sentinels repair this after 8 s."""
        primary = self.primary
        with self.client(primary) as client:
            client.set("mark", "", px=1)  # WAIT is about the writes of its own connection
            wait_until(lambda: client.wait(SERVERS - 1, 1000) == SERVERS - 1, "the replicas have all writes so far")
        for port in self.servers:
            if port != primary:
                with self.client(port) as client:
                    client.execute_command("REPLICAOF", "127.0.0.1", 1)

    def await_failover(self, former: int) -> int:
        """The port of the next primary, once most of the Sentinels name it and it accepts writes."""
        wait_until(lambda: self.primary not in (0, former), "another server is the primary", 30)
        found = self.primary
        wait_until(lambda: self._role(found) == "master", "it knows that it is the primary", 20)
        return found

    def await_replicas(self, count: int = SERVERS - 1) -> None:
        """Wait until so many replicas follow the primary."""
        wait_until(lambda: self._replicas_of(self.primary) == count, f"{count} replicas follow the primary", 30)

    def start_sentinel(self, port: int) -> None:
        """Start a Sentinel, at first or again: it keeps what it knows in its configuration."""
        self._spawn(port, self._config_of(port), "--sentinel")

    def _config_of(self, port: int) -> Path:
        return self._folder / f"sentinel-{port}.conf"

    def _configure_sentinel(self, port: int) -> None:
        """The configuration already names the replicas and the other Sentinels: to find them takes seconds."""
        primary, *replicas = self.servers
        down_after_ms = round(DOWN_AFTER_MS * slowness())
        lines = [
            f"port {port}",
            "bind 127.0.0.1",
            f"dir {self._folder}",
            f"sentinel myid {self._ids[port]}",
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary} {SENTINELS // 2 + 1}",
            f"sentinel down-after-milliseconds {SERVICE} {down_after_ms}",
            f"sentinel failover-timeout {SERVICE} {3 * down_after_ms}",
            f"sentinel parallel-syncs {SERVICE} {SERVERS}",
            *(f"sentinel known-replica {SERVICE} 127.0.0.1 {replica}" for replica in replicas),
            *(
                f"sentinel known-sentinel {SERVICE} 127.0.0.1 {other} {self._ids[other]}"
                for other in self.sentinels
                if other != port
            ),
        ]
        if self._password:
            lines.append(f"sentinel auth-pass {SERVICE} {self._password}")
        if self._sentinel_password:
            lines += [f"requirepass {self._sentinel_password}", f"sentinel sentinel-pass {self._sentinel_password}"]
        self._config_of(port).write_text("\n".join(lines))

    def _role(self, port: int) -> str:
        try:
            with self.client(port) as client:
                return str(client.info("replication")["role"])
        except (RedisError, OSError):
            return ""

    def _replicas_of(self, port: int) -> int:
        try:
            with self.client(port) as client:
                replicas = [value for name, value in client.info("replication").items() if name.startswith("slave")]
                return sum(replica["state"] == "online" for replica in replicas if isinstance(replica, dict))
        except (RedisError, OSError):
            return 0

    def _named_by(self, sentinel: int) -> int:
        try:
            with self.client(sentinel) as client:
                return int(client.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", SERVICE)[1])
        except (RedisError, OSError, TypeError):
            return 0

    def _is_complete(self) -> bool:
        return all(self._knows_all(sentinel) for sentinel in self.sentinels)

    def _knows_all(self, sentinel: int) -> bool:
        try:
            with self.client(sentinel) as client:
                said = client.execute_command("SENTINEL MASTER", SERVICE)
                replicas = client.execute_command("SENTINEL REPLICAS", SERVICE)
        except (RedisError, OSError):
            return False
        others = int(said["num-other-sentinels"])
        return others == SENTINELS - 1 and sum(one["flags"] == "slave" for one in replicas) == SERVERS - 1


@contextmanager
def redis_group(folder: Path, **passwords: str) -> Iterator[RedisGroup]:
    group = RedisGroup(folder, **passwords)
    try:
        group.start()
        yield group
    finally:
        group.stop()
