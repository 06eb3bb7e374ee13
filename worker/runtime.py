"""A worker without Celery: the engine thread, the I/O loop, and the sessions between them.

Celery's pool threads call `serve`, which returns when the session has ended.
"""

import asyncio
import os
import threading
import time
from typing import Any, Final

import orjson
import structlog
import uvloop
from redis.exceptions import RedisError

from shared.bus import keys
from shared.bus.connect import connect
from shared.bus.registry import Registry, process_id
from shared.bus.scripts import Scripts
from shared.config import Settings
from shared.errors import ModelUnavailableError
from shared.logs import bind_session
from worker.engine_thread import Close, EngineThread, Open, StepReport
from worker.engines.base import Engine
from worker.keeper import Keeper
from worker.reader import BLOCK_MS, AudioReader, decode_options
from worker.session import Claim, WorkerSession
from worker.telemetry import Telemetry
from worker.writer import EventWriter

ENGINE_FAILED: Final = 70
"""Exit status (EX_SOFTWARE) of a worker whose engine has failed."""
STOP_TIMEOUT_S: Final = 2.0
CANCELLED_RETENTION_S: Final = 5
"""A cancelled session is remembered just long enough for a late message to be told so."""

log = structlog.get_logger()


class WorkerRuntime:
    def __init__(self, settings: Settings, engine: Engine) -> None:
        self.id = process_id()
        self._settings = settings
        self._info = engine.info
        self._sessions: dict[str, WorkerSession] = {}
        self._telemetry = Telemetry()
        self._engine = EngineThread(engine, self._on_step, self._on_failure)
        self._loop = uvloop.new_event_loop()
        self._started = threading.Event()
        self._stop_requested = asyncio.Event()
        self._thread = threading.Thread(target=self._run_loop, name="session-io", daemon=True)

    def start(self) -> None:
        """Start both threads; returns when the worker is announced. The engine must be warm."""
        self._engine.start()
        self._thread.start()
        self._started.wait()

    def serve(self, session_id: str) -> dict[str, Any]:
        """Claim a session and hold it until it ends. Blocks; called by a pool thread."""
        bind_session(session_id)
        session = asyncio.run_coroutine_threadsafe(self._join(session_id), self._loop).result()
        if session is None:
            log.debug("session_not_claimed")
            return {"outcome": "not claimed"}
        log.info("session_started", mode=session.options.mode.value, language=session.options.language)
        session.finished.wait()
        summary = session.summary()
        log.info("session_ended", **summary)
        return summary

    def stop(self) -> None:
        """End every session with an error that tells its client to come back, and leave. Any thread may call it."""
        self._loop.call_soon_threadsafe(self._stop_requested.set)

    def join(self) -> None:
        """Wait until `stop` has been carried out."""
        self._thread.join(2 * STOP_TIMEOUT_S)
        self._engine.stop(STOP_TIMEOUT_S)

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._run())
        except Exception as error:  # noqa: BLE001 -- whatever it is, the worker must not live on without its I/O
            self._on_failure(error)

    async def _run(self) -> None:
        self._redis = connect(self._settings)
        blocking = connect(self._settings, reply_timeout_s=5 * BLOCK_MS / 1000)
        self._scripts = Scripts(self._redis)
        registry = Registry(self._redis, self._scripts)
        self._registry = registry
        self._writer = EventWriter(self._redis, self._scripts, self._on_written, self._drop)
        self._reader = AudioReader(blocking, self.id, self._sessions, self._engine)
        self._keeper = Keeper(
            redis=self._redis,
            scripts=self._scripts,
            registry=registry,
            worker_id=self.id,
            info=self._info,
            limits=self._settings.session,
            sessions=self._sessions,
            telemetry=self._telemetry,
            writer=self._writer,
            on_fenced=self._drop,
        )
        await self._writer.load_scripts()
        loops = [
            asyncio.create_task(loop, name=name)
            for name, loop in (
                ("reader", self._reader.run()),
                ("writer", self._writer.run()),
                ("keeper", self._keeper.run()),
                ("cancellations", self._cancel_dropped()),
            )
        ]
        stopping = asyncio.create_task(self._stop_requested.wait())
        self._started.set()
        done, _ = await asyncio.wait([*loops, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopping}:
            task.result()  # a loop never returns: this raises what ended it
        await self._shut_down()
        for task in loops:
            task.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await blocking.aclose()
        await self._redis.aclose()

    async def _join(self, session_id: str) -> WorkerSession | None:
        if self._keeper.draining:
            return None
        found = await self._scripts.claim(
            keys=[keys.session(session_id)], args=[self.id, int(keys.LEASE_S * 1000), keys.SESSION_TTL_S]
        )
        if found is None:
            return None
        held = dict(zip(found[::2], found[1::2], strict=True))
        finals = await self._redis.execute_command("LRANGE", keys.finals(session_id), 0, -1)
        claim = Claim(
            fence=int(held[b"fence"]),
            options=decode_options(held[b"options"]),
            seq=int(held[b"seq"]),
            checkpoint_samples=int(held[b"checkpoint"]),
            segment=int(held[b"segment"]),
            texts=tuple(orjson.loads(final)["text"] for final in finals),
        )
        session = WorkerSession(session_id, claim, self._info.model, time.monotonic())
        self._sessions[session_id] = session
        self._telemetry.sessions_total += 1
        self._engine.post([Open(session_id, claim.options, claim.checkpoint_samples, claim.segment)])
        self._writer.mark(session)
        await self._reader.wake(self._redis)
        return session

    def _on_step(self, report: StepReport) -> None:
        """Called on the engine thread."""
        self._loop.call_soon_threadsafe(self._take_step, report)

    def _take_step(self, report: StepReport) -> None:
        self._telemetry.observe_step(report)
        now_ms = time.time() * 1000
        released = False
        for session_id, standing in report.standings.items():
            session = self._sessions.get(session_id)
            if session is not None:
                was_throttled = session.throttled
                session.absorbed_samples = standing.absorbed_samples
                session.checkpoint_samples = max(session.checkpoint_samples, standing.checkpoint_samples)
                released = released or (was_throttled and not session.throttled)
                if session.progress_due:
                    self._writer.mark(session)
        for session_id, output in report.outputs:
            session = self._sessions.get(session_id)
            if session is not None:
                latency = session.take(output, report.started_s * 1000, now_ms)
                if latency is not None and session.options.partials:  # a file's would hide the live ones
                    self._telemetry.observe_latency(latency)
                self._writer.mark(session)
        if released:
            self._wake_reader()

    def _wake_reader(self) -> None:
        task = self._loop.create_task(self._reader.wake(self._redis))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _on_written(self, session: WorkerSession) -> None:
        if session.ending is not None and session.session_id in self._sessions:
            self._drop(session)
            self._loop.create_task(self._end(session))

    def _drop(self, session: WorkerSession) -> None:
        """Forget a session that has ended or that another worker has taken over."""
        if self._sessions.get(session.session_id) is session:
            del self._sessions[session.session_id]
            session.ending = session.ending or "taken over"
            self._engine.post([Close(session.session_id)])
            session.finished.set()

    async def _end(self, session: WorkerSession) -> None:
        sid = session.session_id
        names = [keys.session(sid), keys.audio(sid), keys.events(sid), keys.finals(sid)]
        retention_s = CANCELLED_RETENTION_S if session.ending == "cancelled" else self._settings.session.retention_s
        try:
            await self._scripts.end(keys=names, args=[session.claim.fence, int(retention_s), session.ending or "done"])
            await self._registry.release(sid, self._info.model)
        except (RedisError, OSError) as error:
            log.warning("session_end_not_noted", session_id=sid, reason=str(error))  # its keys expire

    async def _cancel_dropped(self) -> None:
        while True:
            session = self._sessions.get(await self._reader.cancelled.get())
            if session is not None:
                session.ending = "cancelled"
                session.outbox.clear()
                self._on_written(session)

    async def _shut_down(self) -> None:
        self._keeper.draining = True
        for session in self._sessions.values():
            session.fail(ModelUnavailableError("The worker is stopping; start again.", retry_after_s=2.0))
            self._writer.mark(session)
        deadline_s = time.monotonic() + STOP_TIMEOUT_S
        while self._sessions and time.monotonic() < deadline_s:  # noqa: ASYNC110 -- two seconds, once in a life
            await asyncio.sleep(0.02)
        for session in list(self._sessions.values()):
            self._drop(session)
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._keeper.leave()
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("departure_not_noted", reason=str(error))

    def _on_failure(self, error: BaseException) -> None:
        """Death is loud: the process ends, the supervisor starts another, and sessions move to other workers."""
        log.critical("worker_failed", exc_info=error)
        os._exit(ENGINE_FAILED)
