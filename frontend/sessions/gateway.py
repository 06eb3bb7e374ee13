"""Opens and resumes sessions, lists what could serve them, and holds the sessions of this process.

Every protocol meets the bus here. `frontend.process` creates, starts and stops the parts that the gateway uses.
"""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any, Final, cast

import orjson
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from frontend.access.access import Access
from frontend.access.meter import Meter, closed_on_failure
from frontend.access.principal import ANONYMOUS, Principal
from frontend.access.session_tokens import SessionIdentity, matches, new_identity
from frontend.sessions.admission import RETRY_AFTER_S, Admission
from frontend.sessions.erasure import Erasure
from frontend.sessions.identities import sole_opening
from frontend.sessions.placement import Placement, candidates
from frontend.sessions.recovery import Recovery
from frontend.sessions.running_models import RunningModel, running_models
from frontend.sessions.session import Session
from frontend.sessions.tracing import SessionTraces
from frontend.sessions.voices import Voices
from shared.bus import keys
from shared.bus.attachment import Attachment, attach
from shared.bus.audio import AudioWriter
from shared.bus.event_log import EventSubscriber, Follower
from shared.bus.failures import reaching_store
from shared.bus.states import ENDED, SessionState, decoded
from shared.bus.webhooks import register
from shared.celery_config import Queue
from shared.config.sections import SessionSettings
from shared.dispatch import Dispatcher
from shared.errors import (
    ModelUnavailableError,
    ServerBusyError,
    SessionExpiredError,
    SessionUnknownError,
    VoxtralError,
)
from shared.events import EventType
from shared.protocol import OWN, Protocol
from shared.session_options import SessionOptions
from shared.tasks import BackgroundTasks
from shared.version import VERSION

MAX_STARTING: Final = 16
"""Sessions of one queue that wait for a worker to claim them. The others wait in order before they are dispatched: with
a long queue of tasks it would look as if their worker had died."""
FILE_BACKLOG_S: Final = 75.0
"""The minimum of a recording's audio that is accepted ahead: somewhat more than what a worker reads ahead."""
NO_ROOM: Final = (ServerBusyError.code, ModelUnavailableError.code)
"""Rejections for which a client can do nothing."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Held:
    """What Redis holds of a session that can be resumed."""

    options: SessionOptions
    last_seq: int
    has_ended: bool


class Gateway:
    """One per frontend process."""

    def __init__(
        self,
        settings: SessionSettings,
        redis: Redis,
        sessions: dict[str, Session],
        *,
        access: Access,
        placement: Placement,
        admission: Admission,
        writer: AudioWriter,
        subscriber: EventSubscriber,
        dispatcher: Dispatcher,
        recovery: Recovery,
        erasure: Erasure,
        voices: Voices,
        traces: SessionTraces | None = None,
    ) -> None:
        """`redis` is for requests of new clients, which may slow it down. `sessions` is filled here."""
        self._settings = settings
        self._redis = redis
        self.sessions = sessions
        """The sessions of clients of this process, by id."""
        self._access = access
        self._placement = placement
        self._admission = admission
        self._writer = writer
        self._subscriber = subscriber
        self._dispatcher = dispatcher
        self._recovery = recovery
        self._erasure = erasure
        self._traces = traces or SessionTraces(None)
        self._voices = voices
        self._chores = BackgroundTasks()
        self._starting: defaultdict[tuple[Queue, str], asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(MAX_STARTING)
        )
        """By queue and model: workers that hang delay only sessions of their model."""
        self.opened_total = 0
        """Sessions opened by this process since it started."""

    @property
    def waiting(self) -> int:
        """Recordings that wait for a slot."""
        return self._admission.waiting

    @property
    def orphaned(self) -> int:
        """Sessions without a worker: it is gone, or none has claimed them."""
        return self._recovery.orphaned

    async def open(
        self,
        options: SessionOptions,
        *,
        queue: Queue = "stream",
        principal: Principal = ANONYMOUS,
        identity: SessionIdentity | None = None,
    ) -> Session:
        """Start a session and wait until a worker has claimed it; `ready` is its first event.

        A live session is rejected at once if every slot is taken. A one-shot (`queue="batch"`) waits for a
        slot up to `session.claim_timeout_s`.

        Raises ServerBusyError, ModeUnsupportedError, ModelUnavailableError, InvalidFieldError, VoiceError, for the
        principal's key UnauthorizedError and RateLimitedError, and SessionResumedError if a session has the identity or
        is being opened with it.
        """
        if identity is None:
            return await self._admit(new_identity(), options, queue, principal)
        async with sole_opening(self._redis, identity.session_id, self._settings.claim_timeout_s):
            return await self._admit(identity, options, queue, principal)

    async def models(self) -> list[RunningModel]:
        """The running models, as of their last heartbeats."""
        with reaching_store():
            return await self._placement.models()

    async def check(self, options: SessionOptions) -> None:
        """Raises what `open` would raise for new options of a session, whose model is fixed. Uses no slot."""
        models = await self.models()
        if all(model.name != options.model for model in models):
            raise ModelUnavailableError(f"No worker of {options.model} is running now.", retry_after_s=RETRY_AFTER_S)
        candidates(models, options)

    async def resume(
        self, session_id: str, resume_token: str, seq: int, *, principal: Principal = ANONYMOUS
    ) -> Session:
        """Continue a session on this connection: events after `seq` are sent again, and the last one in any case.

        A connection that still has it, here or at another frontend, loses it and gets an error.

        Raises SessionUnknownError (also for a wrong token), SessionExpiredError, and what `open` raises for the key.
        """
        held = await self._resumable(session_id, resume_token)
        meter = await self._access.enter(principal, session_id)  # at its end it frees the place of the session
        with closed_on_failure(meter):
            return await self._resume(session_id, resume_token, held, seq, meter)

    async def embedding(self, audio: bytes) -> str:
        """The voice in a recording, for `known_speakers`; see `Voices.embedding`."""
        return await self._voices.embedding(audio)

    async def status(self) -> dict[str, Any]:
        """What a client may know about this process and the workers."""
        with reaching_store():
            workers = await self._placement.workers()
        models = running_models(workers)
        return {
            "model_info": self._placement.model_info(workers),
            "sessions": len(self.sessions),
            "slots": sum(model.slots for model in models),
            "slots_free": sum(model.slots_free for model in models),
            "version": VERSION,
        }

    async def on_cancelled(self, session: Session) -> None:
        """Delete what Redis holds of a session and stop its worker. Part of `SessionListener`, like the next two."""
        await self._quietly(self._erasure.erase(session.id, session.model))

    def on_revoked(self, session: Session, error: VoxtralError) -> None:
        """The client may no longer use the service: end its session here and at its worker."""
        session.fail(error)
        self._chores.start(self.on_cancelled(session), "cancel")

    def on_ended(self, session: Session, follower: Follower) -> None:
        """The session has ended on this connection: remove it, and stop following its events."""
        self._traces.ended(session)
        if self.sessions.get(session.id) is session:  # otherwise another connection has it now
            del self.sessions[session.id]
        self._chores.start(self._quietly(self._subscriber.unfollow(follower)), "unfollow")

    def detach_all(self) -> None:
        """The process stops: clients may resume their sessions at another process."""
        for session in list(self.sessions.values()):
            session.detach()

    async def close(self) -> None:
        """Wait for the remaining work of ended sessions."""
        await self._chores.end()

    async def _admit(
        self, identity: SessionIdentity, options: SessionOptions, queue: Queue, principal: Principal
    ) -> Session:
        meter = await self._access.enter(principal, identity.session_id)
        try:
            with closed_on_failure(meter):
                return await self._open(identity, options, queue, meter)
        except VoxtralError as error:
            if error.code in NO_ROOM:
                who = {"session_id": identity.session_id, "name": principal.key_name}
                log.warning("session_rejected", **who, code=error.code, reason=error.message, model=options.model)
            raise

    async def _open(self, identity: SessionIdentity, options: SessionOptions, queue: Queue, meter: Meter) -> Session:
        requested_s = time.time()
        session_id, resume_token = identity.session_id, identity.resume_token
        webhook = self._access.webhooks.chosen(options, meter.principal, meter.key)
        options, voices = await self._voices.decoded(replace(options, webhook=None, webhook_events=None))
        chosen = await self._admission.admit(
            session_id, resume_token, options, waits=queue == "batch", key_name=meter.principal.key_name or ""
        )
        assert chosen.model is not None
        try:
            follower = await self._subscriber.follow(session_id)
        except BaseException:
            await self._quietly(self._erasure.erase(session_id, chosen.model))  # it has slots already
            raise
        session = self._hold(
            session_id, resume_token, chosen, queue=queue, follower=follower, attachment=Attachment(), meter=meter
        )
        self._traces.opened(session, requested_s)
        try:
            if webhook is not None:
                await register(self._redis, session_id, webhook, self._access.webhooks.kept_s)
                session.has_webhook = True
            await self._voices.store(session_id, voices)
            with self._traces.claim(session):
                await self._start(session)
        except BaseException as error:
            if isinstance(error, VoxtralError):
                session.error_code = error.code
            session.detach()
            await self.on_cancelled(session)
            raise
        self.opened_total += 1
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
        max_backlog_s = self._settings.max_backlog_s
        session = Session(
            session_id=session_id,
            resume_token=resume_token,
            options=options,
            queue=queue,
            track=self._writer.track(session_id, attachment, options.slots),
            follower=follower,
            max_backlog_s=max_backlog_s if not options.recording else max(max_backlog_s, FILE_BACKLOG_S),
            meter=meter,
            listener=self,
        )
        held = self.sessions.get(session_id)
        if held is None or held.connection <= session.connection:  # otherwise a later connection was answered first
            self.sessions[session_id] = session
        return session

    async def _start(self, session: Session) -> None:
        """Have a worker claim a session, after the sessions that came before it."""
        timeout_s = self._settings.claim_timeout_s
        try:
            async with asyncio.timeout(timeout_s), self._starting[session.queue, session.model]:
                await self._dispatcher.dispatch(session.id, session.options, session.queue, session.key_name)
                self._recovery.dispatched(session)
                event = await session.first_event()
        except TimeoutError:
            raise ServerBusyError(
                f"No worker claimed the session within {timeout_s:g} s.", retry_after_s=RETRY_AFTER_S
            ) from None
        if event.wire["type"] == EventType.ERROR:
            raise VoxtralError.from_wire(event.wire)
        session.put_first(event.wire | self._how_to_resume(session))

    def _how_to_resume(self, session: Session) -> dict[str, Any]:
        """The fields that `ready` adds for its client."""
        return {
            "resume_token": session.resume_token,
            "resume_timeout_s": self._settings.resume_timeout_s,
            "viewer_token": session.viewer_token,
        }

    async def _resumable(self, session_id: str, resume_token: str) -> _Held:
        """What is stored of the session of this token. Raises SessionUnknownError, SessionExpiredError,
        ModelUnavailableError."""
        wanted = ["state", "resume", "options", "seq", "protocol", "protocol_oldest"]
        with reaching_store():
            found = await self._redis.hmget(keys.session(session_id), wanted)
        state, digest, options, last_seq, number, oldest = cast("list[bytes | None]", found)
        is_known = matches(resume_token, digest)
        if is_known and decoded(state) == SessionState.CANCELLED:
            raise SessionExpiredError(f"Session {session_id} was cancelled.")
        if not is_known or options is None:
            raise SessionUnknownError("No session has this session_id and resume_token, or it ended too long ago.")
        if not OWN.fits(Protocol(int(number or 1), int(oldest or 1))):
            message = f"Session {session_id} is served by a version that is incompatible with version {VERSION} here."
            raise ModelUnavailableError(message, retry_after_s=RETRY_AFTER_S)
        return _Held(SessionOptions.from_wire(orjson.loads(options)), int(last_seq or 0), decoded(state) in ENDED)

    async def _resume(self, session_id: str, resume_token: str, held: _Held, seq: int, meter: Meter) -> Session:
        # An error that ended a connection has a `seq` that is not in the log, or that of another event. So the last
        # event of a session is always sent: otherwise a client might wait for it for ever.
        seq = min(seq, max(0, held.last_seq - held.has_ended))
        follower = await self._subscriber.follow(session_id, after_seq=seq)
        try:
            attachment = await attach(self._redis, session_id)
            if attachment is None:
                raise SessionUnknownError(f"Session {session_id} has just ended.")
        except BaseException:
            await self._quietly(self._subscriber.unfollow(follower))
            raise
        session = self._hold(
            session_id, resume_token, held.options, follower=follower, attachment=attachment, meter=meter
        )
        self._traces.resumed(session)
        session.put_first(
            {
                "type": EventType.READY,
                "session_id": session_id,
                "seq": seq,
                "model": session.model,
                "audio_received_samples": attachment.received_samples,
                "number": attachment.number,
                "ended": attachment.ended,
            }
            | self._how_to_resume(session)
        )
        session.fill()
        log.info("session_resumed", session_id=session_id, name=meter.principal.key_name, after_seq=seq)
        return session

    async def _quietly(self, chore: Coroutine[Any, Any, object]) -> None:
        """Without Redis, keys expire, and a lost connection has lost its subscriptions."""
        with contextlib.suppress(RedisError, OSError):
            await chore
