"""Where every protocol meets the bus: sessions are opened, resumed, watched and released here.

One per frontend process. Owns the process's Redis connections, its one audio writer, its one subscription and its
decoders.
"""

import asyncio
import contextlib
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final, Self, cast

import orjson
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from frontend.access.access import Access
from frontend.access.meter import Meter, closed_on_failure
from frontend.access.principal import ANONYMOUS, Principal
from frontend.access.session_tokens import matches, new_resume_token
from frontend.decoding.decoders import Decoders
from frontend.monitoring.process_report import Tally
from frontend.sessions.admission import RETRY_AFTER_S, Admission
from frontend.sessions.disk_rewriting import DiskWatch
from frontend.sessions.erasure import Erasure
from frontend.sessions.outage import Outage
from frontend.sessions.placement import Placement
from frontend.sessions.recovery import Recovery
from frontend.sessions.running_models import RunningModel, running_models
from frontend.sessions.session import Session
from frontend.viewers.viewers import Viewers
from shared.bus import keys
from shared.bus.attachment import Attachment, attach
from shared.bus.audio import AudioWriter
from shared.bus.connect import connect
from shared.bus.event_log import EventSubscriber, Follower
from shared.bus.failures import reaching_store
from shared.bus.lua.sessions import Scripts
from shared.bus.registry import Registry
from shared.bus.states import SessionState, decoded
from shared.celery_config import Queue
from shared.config import Settings
from shared.dispatch import Dispatcher
from shared.errors import (
    ModelUnavailableError,
    ServerBusyError,
    SessionExpiredError,
    SessionUnknownError,
    VoxtralError,
)
from shared.events import EventType, SessionOptions
from shared.protocol import OWN, Protocol
from shared.tasks import Chores, end_all
from shared.version import VERSION

MAX_STARTING: Final = 16
"""Sessions of one queue that wait for a worker to claim them. Of a larger crowd the rest waits in order before it is
dispatched: a long queue of tasks would look as if a worker had died with them."""
FILE_BACKLOG_S: Final = 75.0
"""Audio of a recording that is taken ahead, at least: somewhat more than what a worker reads ahead."""

log = structlog.get_logger()


class Gateway:
    """Opens sessions and keeps what they share. Make it with `Gateway.running`."""

    def __init__(self, settings: Settings, kind: str) -> None:
        self._settings = settings
        self._redis: Redis = connect(settings)
        """For live sessions, the watches and heartbeats. A crowd of new clients does not delay it."""
        self._arrivals: Redis = connect(settings)
        self._scripts = Scripts(self._arrivals)
        self.registry = Registry(self._arrivals, self._scripts)
        self._placement = Placement(self.registry)
        self._admission = Admission(self.registry, self._placement, settings.session.claim_timeout_s)
        self._writer = AudioWriter(settings)
        self._subscriber = EventSubscriber(self._redis)
        self._dispatcher = Dispatcher(settings)
        self._sessions: dict[str, Session] = {}
        self._recovery = Recovery(
            self._redis, self._sessions, self._dispatcher.dispatch, settings.session.claim_timeout_s
        )
        self._outage = Outage(self._redis, self._writer, self._sessions, self._recovery)
        self._chores = Chores()
        self._starting: defaultdict[tuple[Queue, str], asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(MAX_STARTING)
        )
        """By queue and model: workers that hang hold up nobody who waits for others."""
        self.decoders = Decoders(
            settings.audio.decoders, settings.session.claim_timeout_s, most_live=settings.audio.live_decoders
        )
        self.viewers = Viewers(self._arrivals, self._subscriber, settings.viewers)
        self.access = Access(settings, self._arrivals)
        self.erasure = Erasure(self._arrivals, self._scripts, self.access)
        self._disk_watch = DiskWatch(self._redis, settings.session.retention_s)
        self.tally = Tally(kind, self._sessions, self.viewers)

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, settings: Settings, kind: str) -> AsyncIterator[Self]:
        """A gateway with its loops; on leaving, its sessions are detached and Redis is left.

        `kind` names the frontend (`websocket`, `tcp`, `web`) in reports.
        """
        gateway = cls(settings, kind)
        loops = [
            asyncio.create_task(loop, name=name)
            for name, loop in (
                ("audio-writer", gateway._writer.run()),
                ("subscriber", gateway._subscriber.run()),
                ("recovery", gateway._recovery.run()),
                ("outage", gateway._outage.run()),
                ("disk-watch", gateway._disk_watch.run()),
                ("viewers", gateway.viewers.run()),
                ("heartbeat", gateway.tally.beat(Registry(gateway._redis, Scripts(gateway._redis)))),
                ("access", gateway.access.run()),
                ("decoders", gateway.decoders.run()),
            )
        ]
        try:
            yield gateway
        finally:
            await gateway._shut_down(loops)

    async def open(
        self, options: SessionOptions, *, queue: Queue = "stream", principal: Principal = ANONYMOUS
    ) -> Session:
        """Start a session for whoever asks and wait until a worker has taken it; `ready` is its first event.

        A live session is refused at once when every slot is taken. A one-shot (`queue="batch"`) waits for a
        slot up to `session.claim_timeout_s`.

        Raises ServerBusyError, ModeUnsupportedError, ModelUnavailableError, InvalidFieldError, and for the principal's
        key UnauthorizedError and RateLimitedError.
        """
        session_id = secrets.token_hex(8)
        meter = await self.access.enter(principal, session_id)
        with closed_on_failure(meter):
            return await self._open(session_id, options, queue, meter)

    async def models(self) -> list[RunningModel]:
        """The models that run now, as their last heartbeats told."""
        with reaching_store():
            return await self._placement.models()

    async def check(self, options: SessionOptions) -> None:
        """Raises what `open` would raise for new options of a session, whose model is fixed. Takes no slot."""
        if all(model.name != options.model for model in await self.models()):
            raise ModelUnavailableError(f"No worker of {options.model} is running now.", retry_after_s=RETRY_AFTER_S)
        with reaching_store():
            await self._placement.candidates(options)

    async def resume(
        self, session_id: str, resume_token: str, seq: int, *, principal: Principal = ANONYMOUS
    ) -> Session:
        """Continue a session on this connection: events after `seq` come again.

        A connection that still has it, here or at another frontend, loses it and is told so.

        Raises SessionUnknownError (also for a wrong token), SessionExpiredError, and what `open` does for the key.
        """
        meter = await self.access.enter(principal, session_id)
        with closed_on_failure(meter):
            return await self._resume(session_id, resume_token, seq, meter)

    async def status(self) -> dict[str, Any]:
        """What `{"type": "status"}` answers."""
        with reaching_store():
            workers = await self._placement.workers()
        models = running_models(workers)
        return {
            "model_info": self._placement.model_info(workers),
            "connected_clients": self.tally.connected_clients,
            "sessions": len(self._sessions),
            "slots": sum(model.slots for model in models),
            "slots_free": sum(model.slots_free for model in models),
            "version": VERSION,
        }

    async def _open(self, session_id: str, options: SessionOptions, queue: Queue, meter: Meter) -> Session:
        resume_token = new_resume_token()
        chosen = await self._admission.admit(
            session_id, resume_token, options, waits=queue == "batch", key_name=meter.principal.key_name or ""
        )
        follower = await self._subscriber.follow(session_id)
        session = self._hold(
            session_id, resume_token, chosen, queue=queue, follower=follower, attachment=Attachment(), meter=meter
        )
        try:
            await self._start(session)
        except BaseException:
            session.detach()
            await self._cancel(session)
            raise
        self.tally.sessions_total += 1
        log.info(
            "session_opened", session_id=session_id, name=meter.principal.key_name, queue=queue, model=session.model
        )
        return session

    def _hold(
        self,
        session_id: str,
        resume_token: str,
        options: SessionOptions,
        *,
        queue: Queue = "stream",
        follower: Follower,
        attachment: Attachment,
        meter: Meter,
    ) -> Session:
        max_backlog_s = self._settings.session.max_backlog_s
        session = Session(
            session_id=session_id,
            resume_token=resume_token,
            options=options,
            queue=queue,
            track=self._writer.track(session_id, attachment),
            follower=follower,
            max_backlog_s=max_backlog_s if not options.recording else max(max_backlog_s, FILE_BACKLOG_S),
            release=lambda session: self._release(session, self._subscriber.unfollow(follower)),
            cancel=self._cancel,
            meter=meter,
        )
        meter.on_revoked = lambda error: self._revoke(session, error)
        self._sessions[session_id] = session
        return session

    async def _start(self, session: Session) -> None:
        """Have a worker claim a session, after those that came before it."""
        timeout_s = self._settings.session.claim_timeout_s
        try:
            async with asyncio.timeout(timeout_s), self._starting[session.queue, session.model]:
                await self._dispatcher.dispatch(session.id, session.options, session.queue)
                self._recovery.dispatched(session)
                event = await session.first_event()
        except TimeoutError:
            raise ServerBusyError(
                f"No worker took the session within {timeout_s:g} s.", retry_after_s=RETRY_AFTER_S
            ) from None
        if event.wire["type"] != EventType.READY:
            raise ModelUnavailableError(event.wire.get("message", "The worker refused the session."))
        session.put_first(event.wire | {"resume_token": session.resume_token, "viewer_token": session.viewer_token})

    async def _resume(self, session_id: str, resume_token: str, seq: int, meter: Meter) -> Session:
        wanted = ["state", "resume", "options", "seq", "protocol", "protocol_oldest"]
        held = await self._arrivals.hmget(keys.session(session_id), wanted)
        state, digest, encoded, last_seq, number, oldest = cast("list[bytes | None]", held)
        is_known = matches(resume_token, digest)
        if is_known and decoded(state) == SessionState.CANCELLED:
            raise SessionExpiredError(f"Session {session_id} was cancelled.")
        if not is_known or encoded is None:
            raise SessionUnknownError("No session has this session_id and resume_token, or it ended long ago.")
        if not OWN.fits(Protocol(int(number or 1), int(oldest or 1))):
            message = f"Session {session_id} is served by a version that does not work with version {VERSION} here."
            raise ModelUnavailableError(message, retry_after_s=RETRY_AFTER_S)
        seq = min(seq, int(last_seq or 0))  # an error that ended a connection has a `seq` that the log does not hold
        follower = await self._subscriber.follow(session_id, after_seq=seq)
        try:
            attachment = await attach(self._arrivals, session_id)
            if attachment is None:
                raise SessionUnknownError(f"Session {session_id} has just ended.")
        except BaseException:
            await self._quietly(self._subscriber.unfollow(follower))
            raise
        options = SessionOptions.from_wire(orjson.loads(encoded))
        session = self._hold(session_id, resume_token, options, follower=follower, attachment=attachment, meter=meter)
        session.put_first(
            {
                "type": EventType.READY,
                "session_id": session_id,
                "seq": seq,
                "model": session.model,
                "resume_token": resume_token,
                "viewer_token": session.viewer_token,
                "audio_received_samples": attachment.received_samples,
                "number": attachment.number,
                "ended": attachment.ended,
            }
        )
        session.fill()
        log.info("session_resumed", session_id=session_id, name=meter.principal.key_name, after_seq=seq)
        return session

    async def _cancel(self, session: Session) -> None:
        with contextlib.suppress(RedisError, OSError):  # without Redis the keys expire
            await self.erasure.erase(session.id, session.model)

    def _revoke(self, session: Session, error: VoxtralError) -> None:
        """Its client may no longer use the service: end the session here and at its worker."""
        session.fail_with(error)
        self._chores.start(self._cancel(session), "cancel")

    def _release(self, session: Session, unfollow: Coroutine[Any, Any, None]) -> None:
        if self._sessions.get(session.id) is session:  # else another connection has it now
            del self._sessions[session.id]
        self._chores.start(self._quietly(unfollow), "unfollow")

    async def _quietly(self, chore: Coroutine[Any, Any, None]) -> None:
        with contextlib.suppress(RedisError, OSError):  # a lost connection has forgotten the channel anyway
            await chore

    async def _shut_down(self, loops: list[asyncio.Task[None]]) -> None:
        for session in list(self._sessions.values()):
            session.detach()
        await self.viewers.close()
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(1.0):
                await self._writer.flushed()
                await self.registry.leave(self.tally.report())
        await end_all(loops)
        await self._chores.end()
        await self.access.close()
        self._dispatcher.close()
        await self._subscriber.close()
        await self._writer.close()
        await self._redis.aclose()
        await self._arrivals.aclose()
