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
from redis.asyncio import Redis

from shared.bus import keys
from shared.bus.connect import connect
from shared.bus.lua.sessions import ELSEWHERE, NO_ROOM, UNREADABLE
from shared.bus.messages import WorkerMessage
from shared.bus.moves import claim
from shared.bus.ownership import Owner
from shared.bus.voices import read_voices
from shared.config.settings import Settings
from shared.dispatch import Dispatch
from shared.errors import ModelUnavailableError, SessionExpiredError
from shared.events import SAMPLE_RATE_HZ, seconds
from shared.logs import bind_session
from shared.protocol import OWN
from shared.session_options import SessionOptions
from shared.tasks import end_all
from worker.audio_reader import AudioReader
from worker.claiming import claimed
from worker.drain import Drain
from worker.engine_thread import Close, Command, EngineThread, Finish, Open, StepReport
from worker.engines.base import Engine, Remembering
from worker.event_writer import EventWriter
from worker.leases import Leases
from worker.outputs import Outputs
from worker.redis_clients import RedisClients
from worker.reports import Reports
from worker.second_pass.second_pass import Model as SecondModel
from worker.session import WorkerSession
from worker.state import WorkerState
from worker.takeover import past_of

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
    ) -> None:
        """`client` creates a client of Redis with the arguments of `connect`. `second` decodes finals again."""
        self._dispatch = dispatch
        self._joining_slots = 0
        """Slots of the sessions that are being claimed."""
        self._remembers = isinstance(engine, Remembering)
        self._kept_samples = round(settings.session.rehear_s * SAMPLE_RATE_HZ) if self._remembers else 0
        self._state = state = WorkerState.of(settings, engine.info)
        self._clients = RedisClients(settings, client, engine.info.slots)
        self._writer = EventWriter(
            self._clients.writing,
            recent=self._clients.recent,
            retention_s=settings.session.retention_s,
            on_ended=self._drop,
            on_fenced=self._drop,
            on_written=state.traces.written,
        )
        self._outputs = Outputs(
            state, self._clients.redis, second, mark=self._writer.mark, wake_reader=self._wake_reader
        )
        revising = self._outputs.revising
        self._engine = EngineThread(
            engine, self._on_step, self._on_failure, settings.session.commit_delay, revising.idle
        )
        self._reader = AudioReader(self._clients.blocking, state.worker_id, state.sessions, self._hear)
        self._leases = Leases(
            scripts=self._clients.scripts,
            limits=settings.session,
            sessions=state.sessions,
            writer=self._writer,
            on_fenced=self._drop,
        )
        self._reports = Reports(
            state, self._clients, gpu_memory=lambda: self._engine.gpu_memory, second=revising.second_pass
        )
        self._started = threading.Event()
        self._stop_requested = asyncio.Event()
        self._hurry = asyncio.Event()
        self._tasks_ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run_loop, name="session-io", daemon=True)

    def start(self) -> None:
        """Start both threads; return when sessions can be served. The engine must be warm."""
        self._engine.start()
        self._outputs.revising.start()
        self._thread.start()
        self._started.wait()

    def announce(self) -> None:
        """Report this worker, which now accepts tasks, to the frontends. Any thread may call it."""
        self._loop.call_soon_threadsafe(self._reports.announce)

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
        self._outputs.revising.stop()
        self._engine.stop(STOP_TIMEOUT_S)
        self._outputs.diarized.stop(STOP_TIMEOUT_S)
        self._state.traces.close()

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._run())
        except Exception as error:  # noqa: BLE001 -- whatever it is, the worker must not run without its I/O loop
            self._on_failure(error)

    async def _run(self) -> None:
        named = {
            "reader": self._reader.run(),
            "writer": self._writer.run(),
            "leases": self._leases.run(),
            "messages": self._obey_messages(),
            **self._reports.loops(),
        }
        loops = [asyncio.create_task(loop, name=name) for name, loop in named.items()]
        stopping = asyncio.create_task(self._stop_requested.wait())
        self._started.set()
        done, _ = await asyncio.wait([*loops, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopping}:
            task.result()  # a loop never returns: this raises the error that ended it
        await self._shut_down()
        await end_all(loops)
        await self._tasks_ended.wait()
        await self._clients.close()

    @property
    def id(self) -> str:
        """The name of this worker, which is unique also after a restart."""
        return self._state.worker_id

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return self._state.loop

    @property
    def _sessions(self) -> dict[str, WorkerSession]:
        return self._state.sessions

    async def _join(self, session_id: str, options: dict[str, Any], key_name: str) -> WorkerSession | None:
        if session_id in self._sessions and not self._reports.draining:
            return None  # its lease expired while Redis was unavailable, and is about to be renewed
        free_slots, needed = self._state.free_slots - self._joining_slots, SessionOptions.from_wire(options).slots
        self._joining_slots += needed
        try:
            found = await self._claim(session_id, needed, free_slots)
        finally:
            self._joining_slots -= needed
        if isinstance(found, WorkerSession):
            await self._reader.wake(self._clients.redis)
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
        if self._reports.draining:
            return ELSEWHERE
        scripts, redis, model = self._clients.scripts, self._clients.redis, self._state.info.model
        found = await claim(scripts, session_id, model, self.id, slots=slots, free_slots=free_slots)
        if not isinstance(found, list):
            return found
        held = dict(zip(found[::2], found[1::2], strict=True))
        finals = [orjson.loads(final) for final in await redis.lrange(keys.finals(session_id), 0, -1)]
        owner = Owner(session_id, model, self.id, int(held[b"fence"]))
        revisions = self._outputs.revising.revisions()
        session = claimed(owner, held, finals, time.monotonic(), self._kept_samples, revisions=revisions)
        past = await past_of(session, finals, redis, self._kept_samples) if self._remembers else []
        is_new = session.options.diarize and not session.claim.speakers
        recordings = await read_voices(redis, session_id) if is_new else {}
        self._admit(session, past)
        self._outputs.diarized.begin(session, recordings)
        return session

    def _admit(self, session: WorkerSession, past: list[Command]) -> None:
        former = self._sessions.get(session.session_id)
        if former is not None:  # this worker's own lease had expired, and no other worker has claimed it
            self._drop(former)
        self._sessions[session.session_id] = session
        self._state.telemetry.sessions_total += 1
        self._state.traces.began(session)
        options = session.claim.options
        openings = [Open(one.handle, options, one.checkpoint_samples, one.segment) for one in session.openings]
        self._engine.post([*openings, *past])
        self._writer.mark(session)

    def _on_step(self, report: StepReport) -> None:
        """Called on the engine thread."""
        self._loop.call_soon_threadsafe(self._outputs.take, report)

    def _hear(self, commands: list[Command]) -> None:
        self._engine.post(commands)
        self._outputs.hear(commands)

    def _wake_reader(self) -> None:
        task = self._loop.create_task(self._reader.wake(self._clients.redis))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _drop(self, session: WorkerSession) -> None:
        """Remove a session that has ended or that another worker now owns."""
        if self._sessions.get(session.session_id) is session:
            del self._sessions[session.session_id]
            self._engine.post([Close(handle) for handle in session.handles])
            self._state.telemetry.observe_end(session)
            self._outputs.forget(session)
            self._state.traces.ended(session)
            session.finished.set()

    async def _obey_messages(self) -> None:
        """Execute messages of other processes; runs until cancelled."""
        while True:
            message, value = await self._reader.messages.get()
            if message is WorkerMessage.EMBED:
                await self._outputs.diarized.embed(value)
            elif message is WorkerMessage.DRAIN:
                log.info("drain_requested")
                os.kill(os.getpid(), signal.SIGTERM)  # as a rolling deploy does
            elif (session := self._sessions.get(value)) is not None:
                self._end(session, message)

    def _end(self, session: WorkerSession, message: WorkerMessage) -> None:
        """End a session that was erased, that an operator ends, or whose slot another session has taken."""
        match message:
            case WorkerMessage.CANCEL:
                session.cancel()
                self._writer.mark(session)
            case WorkerMessage.END:
                log.info("session_end_requested", session_id=session.session_id)
                self._outputs.diarized.release(session)
                session.fail(SessionExpiredError("An operator has ended the session."))
                self._writer.mark(session)
            case WorkerMessage.GIVE_WAY if session.is_awaited:
                session.give_way()
                self._engine.post([Finish(handle) for handle in session.handles])

    async def _shut_down(self) -> None:
        self._outputs.revising.stop_awaiting(*self._sessions.values())
        await self._reports.drain()
        await Drain(
            sessions=self._sessions,
            scripts=self._clients.scripts,
            dispatch=self._dispatch,
            timeout_s=self._state.settings.session.drain_timeout_s,
            on_fenced=self._drop,
        ).run(self._hurry)
        log.info("worker_drained", sessions_left=list(self._sessions))
        await self._end_all()
        await self._reports.leave(STOP_TIMEOUT_S)

    async def _end_all(self) -> None:
        for session in self._sessions.values():
            self._outputs.release(session)
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
