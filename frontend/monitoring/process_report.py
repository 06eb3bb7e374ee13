"""Counters of one frontend process, reported once a second."""

import asyncio
import contextlib
import os
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sized
from typing import Final

from redis.exceptions import RedisError

from frontend.sessions.gateway import Gateway
from shared.bus import keys
from shared.bus.registry import FrontendReport, Registry, process_id
from shared.errors import ServerBusyError
from shared.event_loop_delay import EventLoopDelay
from shared.metrics.families import DELIVERY, ERRORS
from shared.metrics.metrics import Metrics
from shared.process import resources, rss_bytes
from shared.protocol import OWN
from shared.version import VERSION

BUSY_RETRY_S: Final = 5.0


class Tally:
    """`viewers` is the collection of the viewers of the process, `metrics` what it adds to the service's totals."""

    def __init__(self, kind: str, gateway: Gateway, viewers: Sized, metrics: Metrics) -> None:
        self.metrics = metrics
        self._kind = kind
        self._gateway = gateway
        self._viewers = viewers
        self._id = process_id()
        self._started_at = time.time()
        self._delivery = metrics.histogram(DELIVERY)
        self._errors: Counter[str] = Counter()
        self.loop_delay = EventLoopDelay()
        self.connected_clients = 0
        self.received_bytes = 0
        """Audio in the encoding that clients sent."""

    @contextlib.contextmanager
    def connection(self) -> Iterator[None]:
        """Counts one client connection while it lasts."""
        self.connected_clients += 1
        try:
            yield
        finally:
            self.connected_clients -= 1

    def check_room(self, max_connections: int) -> None:
        """Raises ServerBusyError if more clients are connected than the limit allows."""
        if self.connected_clients > max_connections:
            raise ServerBusyError(f"All {max_connections} connections are in use.", retry_after_s=BUSY_RETRY_S)

    def count_error(self, code: str) -> None:
        """Count an error that was sent to a client."""
        self._errors[code] += 1
        self.metrics.counter(ERRORS, code).add()

    def observe_delivery(self, arrived_s: float) -> None:
        """An event that arrived at this monotonic time has been sent to its client."""
        self._delivery.observe(time.monotonic() - arrived_s)

    async def beat(self, registry: Registry) -> None:
        """The heartbeat's loop; runs until cancelled."""
        while True:
            with contextlib.suppress(RedisError, OSError):  # the next heartbeat follows in a second
                await registry.beat(self.report())
            await asyncio.sleep(keys.HEARTBEAT_INTERVAL_S)

    def report(self) -> FrontendReport:
        return FrontendReport(
            id=self._id,
            kind=self._kind,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=VERSION,
            started_at=self._started_at,
            connections=self.connected_clients,
            sessions=len(self._gateway.sessions),
            received_bytes_total=self.received_bytes,
            sessions_total=self._gateway.opened_total,
            rss_bytes=rss_bytes(),
            viewers=len(self._viewers),
            waiting=self._gateway.waiting,
            orphaned=self._gateway.orphaned,
            errors=dict(self._errors),
            protocol=OWN,
            resources=resources(),
            event_loop_delay_ms=self.loop_delay.longest_ms,
        )
