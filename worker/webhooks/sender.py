"""Reads the events of sessions with webhooks, and has those that are due sent: the loops of a sender.

Celery runs each attempt as a task, so that Flower shows it. What is to be sent, and when, is in Redis and not in
Celery: tasks with a countdown are lost with the process that holds them until `visibility_timeout`, and then run
twice. Each sender has a queue of its own, since only a sender that is alive takes what is due.
"""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import structlog
import uvloop
from kombu.exceptions import OperationalError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.bus import keys
from shared.bus.connect import connect
from shared.bus.lua.sessions import Scripts
from shared.bus.registry import Registry, SenderReport, process_id
from shared.bus.totals import TotalsWriter
from shared.bus.webhooks import MAX_SESSIONS, Look, Outbox
from shared.config.settings import Settings
from shared.metrics.families import WEBHOOK_DELIVERIES
from shared.metrics.metrics import Metrics
from shared.outgoing.client import OutgoingClient
from shared.process import resources
from shared.tasks import end_all
from shared.version import VERSION
from shared.webhooks.schedule import Backoff
from shared.webhooks.signing import Signer
from worker.webhooks.bodies import bodies
from worker.webhooks.delivery import Delivery, Result

TICK_S: Final = 0.25
"""How often Redis is asked what is due."""
AHEAD: Final = 2
"""Events that are taken for each attempt that can run."""
STOP_S: Final = 2.0

Dispatch = Callable[[str], None]
"""Sends Celery a task that attempts to send this event. It blocks."""

log = structlog.get_logger(__name__)


class Sender:
    """One per process. Its loop runs in a thread of its own: Celery has the main thread."""

    def __init__(self, settings: Settings) -> None:
        """Raises StartupError without a valid secret."""
        signer, backoff = Signer.of(settings.webhooks), Backoff(settings.webhooks)
        self.id = process_id()
        self.queue = f"webhooks:{self.id}"
        self.lease_s = AHEAD * (settings.webhooks.timeout_s + 1) + 1
        """After this time an event is due again whose attempt has not ended. It may wait for one attempt before it."""
        self._max_pending = settings.webhooks.max_pending
        self._most = AHEAD * settings.webhooks.concurrency
        self._loop = uvloop.new_event_loop()
        self._redis: Redis = connect(settings)
        self._metrics = Metrics()
        self._outbox = Outbox(self._redis, backoff.kept_s)
        self._client = OutgoingClient(settings.outgoing)
        self._delivery = Delivery(
            self._outbox, self._client, signer, backoff, self._metrics, settings.webhooks.timeout_s
        )
        self._taken: dict[str, float] = {}
        """Events whose attempts have not ended, and when they are due again, on the monotonic clock."""
        self._wake = asyncio.Event()
        self._stop_requested = asyncio.Event()
        self._tasks_ended = asyncio.Event()
        self._started_at = time.time()
        self._dispatching = ThreadPoolExecutor(1, thread_name_prefix="dispatch")
        self._thread = threading.Thread(target=self._run_loop, name="webhooks-io", daemon=True)
        self._dispatch: Dispatch = lambda _: None

    def start(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        self._thread.start()

    def attempt(self, name: str) -> dict[str, Any]:
        """Send one event. Blocks; called by a thread of Celery's pool."""
        return asyncio.run_coroutine_threadsafe(self._attempt(name), self._loop).result()

    def stop(self) -> None:
        """Take nothing more. Attempts that run go on. Any thread may call it."""
        self._loop.call_soon_threadsafe(self._stop_requested.set)

    def join(self) -> None:
        """End the loop, after the last attempt has ended."""
        self._loop.call_soon_threadsafe(self._stop_requested.set)
        self._loop.call_soon_threadsafe(self._tasks_ended.set)
        self._thread.join(2 * STOP_S)

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._run())
        except Exception:
            log.critical("sender_failed", exc_info=True)
            os._exit(1)

    async def _run(self) -> None:
        totals = TotalsWriter(self._redis, self._metrics)
        registry = Registry(self._redis, Scripts(self._redis))
        works: dict[str, Coroutine[Any, Any, None]] = {
            "reader": self._repeat(self._read, asyncio.Event()),
            "dispatcher": self._repeat(self._send_due, self._wake),
            "totals": totals.run(),
            "heartbeat": self._beat(registry),
        }
        loops = [asyncio.create_task(work, name=name) for name, work in works.items()]
        stopping = asyncio.create_task(self._stop_requested.wait())
        done, _ = await asyncio.wait([*loops, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopping}:
            task.result()  # a loop never returns: this raises the error that ended it
        await end_all(loops)
        await self._tasks_ended.wait()
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(STOP_S):
                await totals.flush()
                await registry.leave(self._report(0, 0))
        self._client.close()
        self._dispatching.shutdown(wait=False, cancel_futures=True)
        await self._redis.aclose()

    async def _repeat(self, work: Callable[[], Coroutine[Any, Any, None]], wake: asyncio.Event) -> None:
        """A loop, whose next round `wake` may begin at once; runs until cancelled. Waits while Redis is not
        available."""
        while True:
            try:
                await work()
            except (RedisError, OSError, OperationalError) as error:
                log.warning("webhooks_delayed", reason=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await wake.wait()
            wake.clear()

    async def _read(self) -> None:
        """Read what is new in the sessions, and store what is to be sent."""
        while sessions := await self._outbox.take_sessions():
            looks = await self._outbox.look_up(sessions)
            await self._outbox.look_later([look.session_id for look in looks if look.is_quiet])
            await self._store([look for look in looks if not look.is_quiet])
            if len(sessions) < MAX_SESSIONS:
                return

    async def _store(self, looks: list[Look]) -> None:
        _, pending = await self._outbox.counts() if looks else (0, 0)
        for look in looks:
            found = bodies(look, datetime.now(UTC))
            stored = await self._outbox.store(look, found if pending < self._max_pending else {})
            pending += stored
            if stored:
                self._wake.set()
            if dropped := len(found) - stored:
                log.warning("webhook_events_dropped", session_id=look.session_id, count=dropped)
                self._metrics.counter(WEBHOOK_DELIVERIES, "dropped").add(dropped)

    async def _send_due(self) -> None:
        now_s = time.monotonic()
        self._taken = {name: due_s for name, due_s in self._taken.items() if due_s > now_s}
        for name in await self._outbox.take_due(self._most - len(self._taken), self.lease_s):
            self._taken[name] = now_s + self.lease_s
            await self._loop.run_in_executor(self._dispatching, self._dispatch, name)

    async def _attempt(self, name: str) -> dict[str, Any]:
        try:
            return await self._delivery.attempt(name)
        except (RedisError, OSError) as error:
            log.warning("webhooks_delayed", reason=str(error))
            return {"result": Result.FAILED}
        finally:
            self._taken.pop(name, None)
            self._wake.set()

    async def _beat(self, registry: Registry) -> None:
        while True:
            try:
                await registry.beat(self._report(*await self._outbox.counts()))
            except (RedisError, OSError) as error:
                log.warning("heartbeat_delayed", reason=str(error))
            await asyncio.sleep(keys.HEARTBEAT_INTERVAL_S)

    def _report(self, sessions: int, pending: int) -> SenderReport:
        return SenderReport(
            id=self.id,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=VERSION,
            started_at=self._started_at,
            sending=len(self._taken),
            sessions=sessions,
            pending=pending,
            resources=resources(),
        )
