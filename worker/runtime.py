"""A worker without Celery: the engine thread, the I/O loop, and the sessions between them.

Celery's pool threads call `serve`, which returns when the session has ended.
"""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import orjson
import structlog
import uvloop
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.bus import keys
from shared.bus.connect import connect
from shared.bus.lua.sessions import ELSEWHERE, NO_ROOM, UNREADABLE, Scripts
from shared.bus.messages import WorkerMessage
from shared.bus.moves import claim
from shared.bus.ownership import Owner
from shared.bus.registry import Registry, process_id
from shared.bus.totals import TotalsWriter
from shared.bus.voices import read_voices
from shared.config.settings import Settings
from shared.dispatch import Dispatch
from shared.errors import ModelUnavailableError, SessionExpiredError
from shared.events import SAMPLE_RATE_HZ, seconds
from shared.logs import bind_session
from shared.protocol import OWN
from shared.session_options import SessionOptions
from shared.tasks import end_all
from shared.tracing import Traces
from worker.audio_reader import BLOCK_MS, SPARE_CONNECTIONS, AudioReader
from worker.claiming import claimed
from worker.drain import Drain
from worker.engine_thread import Close, Command, EngineThread, Finish, Open, StepReport
from worker.engines.base import Engine, Remembering
from worker.event_writer import EventWriter, RecentWrites
from worker.heartbeat import Heartbeat
from worker.leases import Leases
from worker.publishing import Publisher
from worker.second_pass.revising import Revising
from worker.second_pass.second_pass import Model as SecondModel
from worker.served import ServedReports
from worker.session import WorkerSession
from worker.speakers.model_file import model_name
from worker.speakers.sessions import DiarizedSessions
from worker.takeover import past_of
from worker.telemetry import Telemetry
from worker.tracing import WorkerTraces

ENGINE_FAILED: Final = 70
"""Exit status (EX_SOFTWARE) of a worker whose engine has failed."""
STOP_TIMEOUT_S: Final = 2.0
PASS_ON_S: Final = 0.05
"""A task for which the free slots are too few waits so long before it is passed on: otherwise it could return here at
once, again and again, until another worker takes it."""

log = structlog.get_logger()


class WorkerRuntime:
    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        dispatch: Dispatch,
        *,
        client: Callable[..., Redis] = connect,
        second: SecondModel | None = None,
        terminate: Callable[[], None] = lambda: os.kill(os.getpid(), signal.SIGTERM),
    ) -> None:
        """`client` creates a client of Redis with the arguments of `connect`. `second` decodes finals again.
        `terminate` stops this process, as a rolling deploy does, when an operator drains it."""
        self.id = process_id()
        self._settings = settings
        self._dispatch = dispatch
        self._terminate = terminate
        self._info = engine.info
        self._sessions: dict[str, WorkerSession] = {}
        self._joining_slots = 0
        """Slots of the sessions that are being claimed."""
        self._telemetry = Telemetry(engine.info.frame_ms, engine.info.model)
        self._remembers = isinstance(engine, Remembering)
        self._kept_samples = round(settings.session.rehear_s * SAMPLE_RATE_HZ) if self._remembers else 0
        self._loop = uvloop.new_event_loop()
        self._traces = WorkerTraces(Traces.of(settings.tracing, "worker"), self.id)
        self._redis = client(settings)
        readers = engine.info.slots + SPARE_CONNECTIONS
        self._blocking = client(settings, reply_timeout_s=5 * BLOCK_MS / 1000, connections=readers)
        replicas = settings.redis.confirm_replicas
        self._scripts = Scripts(self._redis, replicas)
        recent = RecentWrites()
        self._writing = client(settings, greet=recent.repeat)
        self._writer = EventWriter(
            Scripts(self._writing, replicas),
            recent=recent,
            retention_s=settings.session.retention_s,
            on_ended=self._drop,
            on_fenced=self._drop,
            on_written=self._traces.written,
        )
        self._revising = Revising(
            second, settings, loop=self._loop, telemetry=self._telemetry, held=self._held, mark=self._writer.mark
        )
        self._engine = EngineThread(
            engine, self._on_step, self._on_failure, settings.session.commit_delay, self._revising.idle
        )
        self._reader = AudioReader(self._blocking, self.id, self._sessions, self._hear)
        self._leases = Leases(
            scripts=self._scripts,
            limits=settings.session,
            sessions=self._sessions,
            telemetry=self._telemetry,
            writer=self._writer,
            on_fenced=self._drop,
        )
        self._heartbeat = Heartbeat(
            registry=Registry(self._redis, self._scripts),
            worker_id=self.id,
            info=self._info,
            sessions=self._sessions,
            telemetry=self._telemetry,
            gpu_memory=lambda: self._engine.gpu_memory,
            speaker_model=model_name(settings.speakers.model_path),
            second=self._revising.second_pass,
        )
        self._served = ServedReports(self._redis, self.id, self._sessions)
        self._totals = TotalsWriter(self._redis, self._telemetry.metrics)
        self._publisher = Publisher(self._telemetry, self._traces, self._writer.mark)
        self._diarized = DiarizedSessions(
            settings.speakers,
            self._redis,
            self._loop,
            held=self._held,
            publish=self._publisher.publish,
            mark=self._mark_released,
            wake_reader=self._wake_reader,
        )
        self._started = threading.Event()
        self._stop_requested = asyncio.Event()
        self._hurry = asyncio.Event()
        self._tasks_ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run_loop, name="session-io", daemon=True)

    def start(self) -> None:
        """Start both threads; return when sessions can be served. The engine must be warm."""
        self._engine.start()
        self._revising.start()
        self._thread.start()
        self._started.wait()

    def announce(self) -> None:
        """Report this worker, which now accepts tasks, to the frontends. Any thread may call it."""
        self._loop.call_soon_threadsafe(self._heartbeat.announce)

    def serve(self, session_id: str, options: dict[str, Any], key_name: str = "") -> dict[str, Any]:
        """Claim a session and serve it until it ends, or until another worker owns it. Blocks; called by a pool thread.

        `options` and `key_name` are those of the task; they are sent along if it is passed on to another worker.
        """
        bind_session(session_id)
        session = asyncio.run_coroutine_threadsafe(self._join(session_id, options, key_name), self._loop).result()
        if session is None:
            log.debug("session_not_claimed")
            return {"outcome": "not claimed"}
        began, from_s = session.claim.seq == 0, seconds(session.claim.checkpoint_samples)
        about = {"mode": session.options.mode.value, "language": session.options.language, "from_s": from_s}
        log.info("session_started" if began else "session_taken_over", **about)
        session.finished.wait()
        summary = session.summary()
        fields = {field: value for field, value in summary.items() if field != "key_name"}  # a field `key…` is masked
        log.info("session_ended", name=summary["key_name"], **fields)
        return summary

    def stop(self, *, at_once: bool = False) -> None:
        """Hand every session over to another worker, and stop. Any thread may call it.

        Sessions that remain after `session.drain_timeout_s`, or `at_once`, end with `model_unavailable`.
        """
        self._loop.call_soon_threadsafe(self._request_stop, at_once)

    def _request_stop(self, at_once: bool) -> None:
        if at_once:
            self._hurry.set()
        self._stop_requested.set()

    def join(self) -> None:
        """Wait until `stop` has finished. Until this is called, `serve` works, since a task may arrive late."""
        self._loop.call_soon_threadsafe(self._tasks_ended.set)
        self._thread.join(2 * STOP_TIMEOUT_S)
        self._revising.stop()
        self._engine.stop(STOP_TIMEOUT_S)
        self._diarized.stop(STOP_TIMEOUT_S)
        self._traces.close()

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._run())
        except Exception as error:  # noqa: BLE001 -- whatever it is, the worker must not run without its I/O loop
            self._on_failure(error)

    async def _run(self) -> None:
        loops = [
            asyncio.create_task(loop, name=name)
            for name, loop in (
                ("reader", self._reader.run()),
                ("writer", self._writer.run()),
                ("leases", self._leases.run()),
                ("heartbeat", self._heartbeat.run()),
                ("served", self._served.run()),
                ("totals", self._totals.run()),
                ("dismissals", self._dismiss()),
            )
        ]
        stopping = asyncio.create_task(self._stop_requested.wait())
        self._started.set()
        done, _ = await asyncio.wait([*loops, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopping}:
            task.result()  # a loop never returns: this raises the error that ended it
        await self._shut_down()
        await end_all(loops)
        await self._tasks_ended.wait()
        await self._blocking.aclose()
        await self._writing.aclose()
        await self._redis.aclose()

    @property
    def _free_slots(self) -> int:
        taken = sum(session.slots for session in self._sessions.values())
        return self._info.slots - taken - self._joining_slots

    async def _join(self, session_id: str, options: dict[str, Any], key_name: str) -> WorkerSession | None:
        if session_id in self._sessions and not self._heartbeat.draining:
            return None  # its lease expired while Redis was unavailable, and is about to be renewed
        free_slots, needed = self._free_slots, SessionOptions.from_wire(options).slots
        self._joining_slots += needed
        try:
            found = await self._claim(session_id, needed, free_slots)
        finally:
            self._joining_slots -= needed
        if isinstance(found, WorkerSession):
            await self._reader.wake(self._redis)
            return found
        if found == UNREADABLE:  # its frontend dispatches it again, and another worker may claim it
            log.warning("session_protocol_unsupported", protocol=OWN.number, session_id=session_id)
        elif found in (ELSEWHERE, NO_ROOM):
            if found == NO_ROOM:
                await asyncio.sleep(PASS_ON_S)
            await self._dispatch(session_id, SessionOptions.from_wire(options), "stream", key_name)
        return None

    async def _claim(self, session_id: str, slots: int, free_slots: int) -> WorkerSession | int | None:
        """The session, or why it was not claimed: the answer of the script. Nothing is awaited after `_admit`."""
        if self._heartbeat.draining:
            return ELSEWHERE
        found = await claim(self._scripts, session_id, self._info.model, self.id, slots=slots, free_slots=free_slots)
        if not isinstance(found, list):
            return found
        held = dict(zip(found[::2], found[1::2], strict=True))
        finals = [orjson.loads(final) for final in await self._redis.lrange(keys.finals(session_id), 0, -1)]
        owner = Owner(session_id, self._info.model, self.id, int(held[b"fence"]))
        revisions = self._revising.revisions()
        session = claimed(owner, held, finals, time.monotonic(), self._kept_samples, revisions=revisions)
        past = await past_of(session, finals, self._redis, self._kept_samples) if self._remembers else []
        is_new = session.options.diarize and not session.claim.speakers
        recordings = await read_voices(self._redis, session_id) if is_new else {}
        self._admit(session, past)
        self._diarized.begin(session, recordings)
        return session

    def _admit(self, session: WorkerSession, past: list[Command]) -> None:
        former = self._sessions.get(session.session_id)
        if former is not None:  # this worker's own lease had expired, and no other worker has claimed it
            self._drop(former)
        self._sessions[session.session_id] = session
        self._telemetry.sessions_total += 1
        self._traces.began(session)
        options = session.claim.options
        openings = [Open(one.handle, options, one.checkpoint_samples, one.segment) for one in session.openings]
        self._engine.post([*openings, *past])
        self._writer.mark(session)

    def _on_step(self, report: StepReport) -> None:
        """Called on the engine thread."""
        self._loop.call_soon_threadsafe(self._take_step, report)

    def _take_step(self, report: StepReport) -> None:
        self._telemetry.observe_step(report, time.monotonic())
        started_ms = report.started_s * 1000
        for handle, output in report.outputs:
            session = self._held(handle)
            if session is not None and not self._diarized.take(session, output, handle, started_ms, report.step_ms):
                self._publisher.publish(session, output, handle, started_ms=started_ms, step_ms=report.step_ms)
        released = False
        for handle, standing in report.standings.items():  # after the outputs of the step, which they include
            session = self._held(handle)
            if session is not None:
                released = self._diarized.advance(session, handle, *standing) or released
                if session.is_due:
                    self._writer.mark(session)
        self._revising.collect(filter(None, map(self._held, dict.fromkeys((*dict(report.outputs), *report.standings)))))
        if released:
            self._wake_reader()

    def _hear(self, commands: list[Command]) -> None:
        self._engine.post(commands)
        self._diarized.hear(commands)

    def _wake_reader(self) -> None:
        task = self._loop.create_task(self._reader.wake(self._redis))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _held(self, handle: str) -> WorkerSession | None:
        session = self._sessions.get(handle.partition("/")[0])
        return session if session is not None and handle in session.handles else None

    def _mark_released(self, session: WorkerSession) -> None:
        """Finals of a diarized session are complete when they have their labels."""
        self._revising.collect([session])
        self._writer.mark(session)

    def _drop(self, session: WorkerSession) -> None:
        """Remove a session that has ended or that another worker now owns."""
        if self._sessions.get(session.session_id) is session:
            del self._sessions[session.session_id]
            self._engine.post([Close(handle) for handle in session.handles])
            self._telemetry.observe_end(session)
            self._diarized.forget(session)
            self._traces.ended(session)
            self._revising.forget(session)
            session.finished.set()

    async def _dismiss(self) -> None:
        while True:
            how, session_id = await self._reader.dismissed.get()
            if how is WorkerMessage.EMBED:
                await self._diarized.embed(session_id)
                continue
            if how is WorkerMessage.DRAIN:
                log.info("drain_requested")
                self._terminate()
                continue
            session = self._sessions.get(session_id)
            if session is None:
                continue
            if how is WorkerMessage.CANCEL:
                session.cancel()
                self._writer.mark(session)
            elif how is WorkerMessage.END:
                log.info("session_end_requested", session_id=session_id)
                self._diarized.release(session)
                session.fail(SessionExpiredError("An operator has ended the session."))
                self._writer.mark(session)
            elif session.is_awaited:
                session.give_way()
                self._engine.post([Finish(handle) for handle in session.handles])

    async def _shut_down(self) -> None:
        self._revising.stop_awaiting(*self._sessions.values())
        try:
            await self._heartbeat.drain()
        except (RedisError, OSError) as error:
            log.warning("drain_not_announced", reason=str(error))
        await Drain(
            sessions=self._sessions,
            scripts=self._scripts,
            dispatch=self._dispatch,
            timeout_s=self._settings.session.drain_timeout_s,
            on_fenced=self._drop,
        ).run(self._hurry)
        log.info("worker_drained", sessions_left=list(self._sessions))
        await self._end_all()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._heartbeat.leave()
                await self._totals.flush()
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("leave_not_recorded", reason=str(error))

    async def _end_all(self) -> None:
        for session in self._sessions.values():
            self._diarized.release(session)
            self._revising.stop_awaiting(session)
            session.fail(ModelUnavailableError("The worker is stopping; start a new session.", retry_after_s=2.0))
            self._writer.mark(session)
        deadline_s = time.monotonic() + STOP_TIMEOUT_S
        while self._sessions and time.monotonic() < deadline_s:  # noqa: ASYNC110 -- two seconds at most, once
            await asyncio.sleep(0.02)
        for session in list(self._sessions.values()):
            self._drop(session)

    def _on_failure(self, error: BaseException) -> None:
        """End the process: the supervisor starts another one, and sessions move to other workers."""
        log.critical("worker_failed", exc_info=error)
        os._exit(ENGINE_FAILED)
