"""The primary that Sentinels name, and the connections to it: one object for each service and process.

A connection asks for the primary before it opens (`find`). After that a thread asks the Sentinels twice a second: if
they name another primary, it cuts the connections to the former one (`shared.bus.watched`).
"""

import itertools
import threading
import time
from dataclasses import dataclass
from typing import Any, Final

import structlog
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.bus.watched import Watch, Watched, WatchedConnections, asked_at
from shared.redis_address import Node, RedisAddress, shown_node

POLL_S: Final = 0.5
FRESH_S: Final = 0.2
"""Connections that open at the same moment share one answer."""
_DOWN: Final = frozenset({"s_down", "o_down"})

log = structlog.get_logger()


class NoPrimaryError(RedisConnectionError):
    """The Sentinels name no primary. The message is one sentence without a password."""


class SentinelRefusalError(AuthenticationError):
    """The Sentinels reject our user or password, or require one."""


@dataclass(frozen=True, slots=True)
class _Answer:
    node: Node
    epoch: int
    """Grows with each failover: of several answers the highest one is right."""


class Primary:
    """Thread-safe. Made by `Primary.of`."""

    def __init__(self, address: RedisAddress, name: str) -> None:
        assert address.service is not None
        self.name = name
        """Identifies this object in this process: `Primary.named`. Contains no password."""
        self.address = address
        self._service = address.service
        self._sentinels = {node: asked_at(address.sentinel_url_of(node)) for node in address.nodes}
        self._asking = threading.Lock()
        self._answer: _Answer | None = None
        self._asked_s = -FRESH_S
        self._connections = WatchedConnections()
        self._watch = Watch("primary-watch", POLL_S, lambda: self._connections.are_open, self._look)
        self.trouble: str | None = None
        """Why the last question had no answer."""

    @staticmethod
    def of(address: RedisAddress) -> "Primary":
        with _making:
            if address not in _by_address:
                _by_address[address] = Primary(address, f"{address.service}#{next(_numbers)}")
            return _by_address[address]

    @staticmethod
    def named(name: str) -> "Primary":
        return next(one for one in list(_by_address.values()) if one.name == name)

    @property
    def known(self) -> Node | None:
        """The last answer, which may be old."""
        return None if self._answer is None else self._answer.node

    def find(self) -> Node:
        """Host and port of the primary, by the Sentinels' latest knowledge.

        Blocks for `watched.ANSWER_S` for each Sentinel. Raises NoPrimaryError, and SentinelRefusalError if each
        Sentinel that answers rejects the credentials.
        """
        with self._asking:
            if self._answer is None or self.trouble or time.monotonic() - self._asked_s >= FRESH_S:
                self._ask()
            assert self._answer is not None
            return self._answer.node

    def watch(self, connection: Watched) -> None:
        """Cut this connection as soon as the Sentinels name another primary than its host and port."""
        self._connections.add(connection)
        self._watch.keep()

    def _look(self) -> None:
        self._connections.cut_others(self.find())

    def _ask(self) -> None:
        faults: dict[Node, RedisError] = {}
        answers = []
        for node, sentinel in self._sentinels.items():
            try:
                said = sentinel.execute_command("SENTINEL MASTER", self._service)  # type: ignore[no-untyped-call]
                answers.append(_answer(said))
            except RedisError as fault:
                faults[node] = fault
        self._asked_s = time.monotonic()
        best = max((one for one in answers if one), key=lambda one: one.epoch, default=None)
        if best is None:
            error = self._error(faults)
            self.trouble = str(error)
            raise error
        if self._answer is not None and self._answer.node != best.node:
            log.warning("redis_primary_changed", primary=shown_node(best.node), former=shown_node(self._answer.node))
        self._answer, self.trouble = best, None

    def _error(self, faults: dict[Node, RedisError]) -> RedisError:
        where = {node: f"Sentinel at {shown_node(node)}" for node in self._sentinels}
        for node, fault in faults.items():
            if isinstance(fault, AuthenticationError):
                return SentinelRefusalError(f"The {where[node]} {_refusal(fault, self.address.variable)}")
        for node, fault in faults.items():
            if isinstance(fault, ResponseError):
                if "No such master" in str(fault):
                    return NoPrimaryError(f"The {where[node]} knows no service {self._service!r}.")
                return NoPrimaryError(f"The {where[node]} answers with an error: {str(fault).rstrip('.')}.")
        if len(faults) < len(where):
            return NoPrimaryError(f"The primary of {self._service!r} is down, and no failover has ended yet.")
        reasons = "; ".join(f"{shown_node(node)}: {_short(fault)}" for node, fault in faults.items())
        return NoPrimaryError(f"No Sentinel of {self._service!r} can be reached ({reasons}).")


_making = threading.Lock()
_numbers = itertools.count()
_by_address: dict[RedisAddress, Primary] = {}


def _answer(said: dict[Any, Any]) -> _Answer | None:
    """What a Sentinel says of the primary; None while it is down."""
    fields = {_text(name): _text(value) for name, value in said.items()}
    if _DOWN & set(fields["flags"].split(",")):
        return None
    node = (fields["ip"], int(fields["port"]))
    return _Answer(node, int(fields["config-epoch"]))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _refusal(fault: AuthenticationError, variable: str) -> str:
    if "without any password configured" in str(fault):
        return f"has no password, but {variable} has a sentinel_password."
    if "required" in str(fault):
        return f"requires a password, but {variable} has no sentinel_password."
    return f"rejects the sentinel_password in {variable}."


def _short(fault: RedisError) -> str:
    return str(fault).partition("\n")[0].rstrip(".")
