"""The shards of a Redis Cluster and their primaries, as its nodes name them: one object for each cluster and process.

A connection asks for the primary of its shard before it opens (`Shard.find`). After that a thread asks some nodes once
a second. If they name another primary, it cuts the connections to the former one, as `shared.bus.primary` does.

A shard stays the same object when one of its replicas becomes its primary, and when hash slots move to or from it.
"""

import itertools
import random
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

import structlog
from redis import Redis
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from shared.bus.hash_slots import SLOTS, slot_of
from shared.bus.primary import NoPrimaryError
from shared.bus.watched import Watch, Watched, WatchedConnections, asked_at
from shared.redis_address import Node, RedisAddress, shown_node

POLL_S: Final = 1.0
FRESH_S: Final = 0.2
"""Connections that open at the same moment share one answer."""
ASKED: Final = 3
"""Nodes that must answer. A node that is cut off from the others has an old answer."""

log = structlog.get_logger()


class NotClusterError(ResponseError):
    """The server is no node of a Redis Cluster. The message is one sentence without a password."""


class Shard:
    """A primary with its replicas, and some of the hash slots. Thread-safe."""

    def __init__(self, cluster: "Cluster") -> None:
        self._cluster = cluster
        self._connections = WatchedConnections()
        self.ids: frozenset[str] = frozenset()
        """The ids of its nodes, that of its primary first known."""
        self.node: Node | None = None
        """Its primary; None while that is down."""
        self.tag = ""
        """A hash tag of one of its slots, for keys that are of this shard and no session."""

    def find(self) -> Node:
        """Host and port of its primary, by the nodes' latest knowledge. Blocks. Raises NoPrimaryError."""
        self._cluster.locate()
        if self.node is None or self not in self._cluster.shards:
            raise NoPrimaryError("The primary of a shard is down, and no failover has ended yet.")
        return self.node

    def watch(self, connection: Watched) -> None:
        """Cut this connection as soon as another primary than its host and port is named."""
        self._connections.add(connection)
        self._cluster.keep_watch()

    @property
    def is_connected(self) -> bool:
        return self._connections.are_open

    def cut_former(self) -> None:
        """Cut the connections to other servers than the primary. Nothing is cut while none is named."""
        if self.node is not None:
            self._connections.cut_others(self.node)


class Cluster:
    """Thread-safe. Made by `Cluster.of`."""

    def __init__(self, address: RedisAddress) -> None:
        self.address = address
        self.shards: tuple[Shard, ...] = ()
        """Those with slots; empty until a node has answered."""
        self.trouble: str | None = None
        """Why the last question had no answer, or which slots nobody serves."""
        self._table: list[Shard | None] = [None] * SLOTS
        self._clients: dict[Node, Redis] = {}
        self._known: list[Node] = []
        self._silent: set[Node] = set()
        """Nodes that did not answer: they are asked last."""
        self._has_failed = False
        """Whether the last question had no answer."""
        self._asking = threading.Lock()
        self._asked_s = -FRESH_S
        self._watch = Watch("cluster-watch", POLL_S, self._is_connected, self._look)

    @staticmethod
    def of(address: RedisAddress) -> "Cluster":
        with _making:
            if address not in _by_address:
                _by_address[address] = Cluster(address)
            return _by_address[address]

    def shard_at(self, slot: int) -> Shard | None:
        """The shard that serves a hash slot, by the last answer; None if none does."""
        return self._table[slot]

    def locate(self) -> None:
        """Ask the nodes, unless one has just answered.

        Blocks for `watched.ANSWER_S` for each node that does not answer. Raises NoPrimaryError if none answers, and
        redis-py's AuthenticationError if they reject the credentials.
        """
        with self._asking:
            if not self.shards or self._has_failed or time.monotonic() - self._asked_s >= FRESH_S:
                self._ask()

    def keep_watch(self) -> None:
        """Ask regularly as long as connections are open."""
        self._watch.keep()

    def _is_connected(self) -> bool:
        return any(shard.is_connected for shard in self.shards)

    def _look(self) -> None:
        self.locate()
        for shard in self.shards:
            shard.cut_former()

    def _ask(self) -> None:
        answers: list[Mapping[str, Any]] = []
        faults: dict[Node, RedisError] = {}
        random.shuffle(self._known)
        for node in sorted(dict.fromkeys((*self._known, *self.address.nodes)), key=self._silent.__contains__):
            if len(answers) == ASKED:
                break
            try:
                said = self._client(node).execute_command("CLUSTER NODES")  # type: ignore[no-untyped-call]
                answers.append(_at(node, said))
                self._silent.discard(node)
            except RedisError as fault:
                faults[node] = fault
                self._silent.add(node)
        self._asked_s = time.monotonic()
        self._has_failed = not answers
        if not answers:
            error = _error(faults)
            self.trouble = str(error)
            raise error
        self._apply(max(answers, key=_epoch))

    def _apply(self, nodes: Mapping[str, Any]) -> None:
        found: list[Shard] = []
        table: list[Shard | None] = [None] * SLOTS
        known = []
        for address, node in nodes.items():
            flags = node["flags"].split(",")
            if not {"noaddr", "handshake"} & set(flags):
                known.append(_node(address))
            if "master" not in flags or not node["slots"]:
                continue
            ids = frozenset({node["node_id"], *_replicas_of(node["node_id"], nodes.values())})
            shard = self._shard_of(node["node_id"], ids, found)
            shard.ids = ids
            primary = None if "fail" in flags else _node(address)
            if shard.node is not None and primary is not None and shard.node != primary:
                log.warning("redis_primary_changed", primary=shown_node(primary), former=shown_node(shard.node))
            shard.node = primary or shard.node if "fail" not in flags else None
            for part in node["slots"]:
                first, last = int(part[0]), int(part[-1])
                table[first : last + 1] = [shard] * (last + 1 - first)
            shard.tag = _tag_in(table, shard)
            found.append(shard)
        self._known, self._table, self.shards = known, table, tuple(found)
        uncovered = sum(one is None or one.node is None for one in table)
        self.trouble = f"{uncovered} of {SLOTS} hash slots have no primary now." if uncovered else None

    def _shard_of(self, primary_id: str, ids: frozenset[str], used: list[Shard]) -> Shard:
        """The known shard that this node belongs to, or a new one."""
        free = [shard for shard in self.shards if shard not in used]
        return (
            next((shard for shard in free if primary_id in shard.ids), None)
            or next((shard for shard in free if ids & shard.ids), None)
            or Shard(self)
        )

    def _client(self, node: Node) -> Redis:
        if node not in self._clients:
            self._clients[node] = asked_at(self.address.url_of(node))
        return self._clients[node]


_making = threading.Lock()
_by_address: dict[RedisAddress, Cluster] = {}


def _at(asked: Node, nodes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The answer with the address of the node that was asked, which may not know its own, and with host names."""
    found = {}
    for address, node in nodes.items():
        host, _, port = address.rpartition(":")
        name = node.get("hostname") or host or asked[0]
        found[f"{name}:{port}"] = node
    return found


def _node(address: str) -> Node:
    host, _, port = address.rpartition(":")
    return host, int(port)


def _epoch(nodes: Mapping[str, Any]) -> int:
    """Grows with each failover: of several answers the highest one is right."""
    return max(int(node["epoch"]) for node in nodes.values())


def _replicas_of(primary_id: str, nodes: Iterable[Mapping[str, Any]]) -> list[str]:
    return [node["node_id"] for node in nodes if node["master_id"] == primary_id]


def _tag_in(table: list[Shard | None], shard: Shard) -> str:
    if shard.tag and table[slot_of(f"{{{shard.tag}}}")] is shard:
        return shard.tag
    return next(str(number) for number in itertools.count() if table[slot_of(f"{{{number}}}")] is shard)


def _error(faults: Mapping[Node, RedisError]) -> RedisError:
    for node, fault in faults.items():
        if isinstance(fault, AuthenticationError):
            return fault
        if isinstance(fault, ResponseError) and "cluster support disabled" in str(fault):
            return NotClusterError(f"Redis at {shown_node(node)} is no node of a Redis Cluster.")
    reasons = "; ".join(f"{shown_node(node)}: {str(fault).rstrip('.')}" for node, fault in faults.items())
    return NoPrimaryError(f"No node of the Redis Cluster can be reached ({reasons}).")
