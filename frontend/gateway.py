"""Where every protocol meets the bus: sessions are opened, resumed, watched and released here.

One per frontend process. Owns the process's Redis connections, its one audio writer and its one subscription.
"""

import asyncio
import contextlib
import hashlib
import hmac
import secrets
import time
from collections.abc import AsyncIterator, Coroutine
from dataclasses import asdict, replace
from typing import Any, Final, Self, cast

import orjson
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from frontend.models import running_models
from frontend.placement import Placement
from frontend.session import Session
from frontend.tally import Tally
from frontend.watch import Watch
from shared.bus import keys
from shared.bus.audio import AudioWriter
from shared.bus.connect import connect
from shared.bus.event_log import EventSubscriber
from shared.bus.registry import Registry
from shared.bus.scripts import Scripts
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
from shared.version import VERSION

ADMIT_RETRY_S: Final = 0.1
RETRY_AFTER_S: Final = 2.0
"""The hint that a refused client gets: sessions end, and workers start, in seconds."""

log = structlog.get_logger()


class Gateway:
    """Opens sessions and keeps what they share. Make it with `Gateway.running`."""

    def __init__(self, settings: Settings, kind: str) -> None:
        self._settings = settings
        self._redis: Redis = connect(settings)
        self._scripts = Scripts(self._redis)
        self.registry = Registry(self._redis, self._scripts)
        self._placement = Placement(self.registry)
        self._writer = AudioWriter(self._redis)
        self._subscriber = EventSubscriber(self._redis)
        self._dispatcher = Dispatcher(settings)
        self._sessions: dict[str, Session] = {}
        self._watch = Watch(self._redis, self._sessions, self._dispatcher, settings.session.claim_timeout_s)
        self._chores: set[asyncio.Task[None]] = set()
        self.tally = Tally(kind, self._sessions)

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
                ("watch", gateway._watch.run()),
                ("heartbeat", gateway.tally.beat(gateway.registry)),
            )
        ]
        try:
            yield gateway
        finally:
            await gateway._shut_down(loops)

    async def open(self, options: SessionOptions, *, queue: Queue = "stream") -> Session:
        """Start a session and wait until a worker has taken it; `ready` is its first event.

        A live session is refused at once when every slot is taken. A one-shot (`queue="batch"`) waits for a
        slot up to `session.claim_timeout_s`.

        Raises ServerBusyError, ModeUnsupportedError, ModelUnavailableError, InvalidFieldError.
        """
        try:
            return await self._open(options, queue)
        except (RedisError, OSError) as error:
            log.warning("redis_unreachable", reason=str(error))
            raise _store_unreachable() from error

    async def check(self, options: SessionOptions) -> None:
        """Raises what `open` would raise for new options of a session, whose model is fixed. Takes no slot."""
        if all(model.name != options.model for model in await self._placement.models()):
            raise ModelUnavailableError(f"No worker of {options.model} is running now.", retry_after_s=RETRY_AFTER_S)
        await self._placement.candidates(options)

    async def resume(self, session_id: str, resume_token: str, seq: int) -> Session:
        """Continue a session on this connection: events after `seq` come again.

        Raises SessionUnknownError (also for a wrong token) and SessionExpiredError.
        """
        try:
            return await self._resume(session_id, resume_token, seq)
        except (RedisError, OSError) as error:
            raise _store_unreachable() from error

    async def status(self) -> dict[str, Any]:
        """What `{"type": "status"}` answers."""
        try:
            workers = await self._placement.workers()
        except (RedisError, OSError) as error:
            raise _store_unreachable() from error
        models = running_models(workers)
        return {
            "model_info": self._placement.model_info(workers),
            "connected_clients": self.tally.connected_clients,
            "sessions": len(self._sessions),
            "slots": sum(model.slots for model in models),
            "slots_free": sum(model.slots_free for model in models),
            "version": VERSION,
        }

    async def _open(self, options: SessionOptions, queue: Queue) -> Session:
        session_id, resume_token = secrets.token_hex(8), secrets.token_urlsafe(24)
        deadline_s = time.monotonic() + self._settings.session.claim_timeout_s
        while (chosen := await self._admit(session_id, resume_token, options)) is None:
            if queue == "stream" or time.monotonic() > deadline_s:
                raise ServerBusyError("Every slot is taken; try again shortly.", retry_after_s=RETRY_AFTER_S)
            await asyncio.sleep(ADMIT_RETRY_S)
        session = await self._hold(session_id, resume_token, chosen, queue)
        try:
            await self._dispatcher.dispatch(session_id, session.wire_options(), queue)
            await self._await_claim(session)
        except BaseException:
            session.detach()
            await self._cancel(session)
            raise
        self.tally.sessions_total += 1
        log.debug("session_opened", session_id=session_id, queue=queue, model=session.model)
        return session

    async def _admit(self, session_id: str, resume_token: str, options: SessionOptions) -> SessionOptions | None:
        """Reserve a slot of the best model that has one; the options with that model in them, or None.

        The model stays in the stored options, so that whoever takes the session over runs the same one.
        """
        for model in await self._placement.candidates(options):
            chosen = replace(options, model=model.name)
            if await self.registry.admit(
                session_id,
                model.name,
                capacity=model.slots,
                claim_timeout_s=self._settings.session.claim_timeout_s,
                options=orjson.dumps(asdict(chosen)),
                resume_digest=_digest(resume_token),
            ):
                return chosen
        return None

    async def _hold(
        self, session_id: str, resume_token: str, options: SessionOptions, queue: Queue, *, start: int = 0, seq: int = 0
    ) -> Session:
        follower = await self._subscriber.follow(session_id, after_seq=seq)
        session = Session(
            session_id=session_id,
            resume_token=resume_token,
            options=options,
            queue=queue,
            track=self._writer.track(session_id, start),
            follower=follower,
            max_backlog_s=self._settings.session.max_backlog_s,
            release=lambda session: self._release(session, self._subscriber.unfollow(follower)),
            cancel=self._cancel,
        )
        self._sessions[session_id] = session
        return session

    async def _await_claim(self, session: Session) -> None:
        timeout_s = self._settings.session.claim_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                event = await session.first_event()
        except TimeoutError:
            raise ServerBusyError(
                f"No worker took the session within {timeout_s:g} s.", retry_after_s=RETRY_AFTER_S
            ) from None
        if event.wire["type"] != EventType.READY:
            raise ModelUnavailableError(event.wire.get("message", "The worker refused the session."))
        session.put_first(event.wire | {"resume_token": session.resume_token})

    async def _resume(self, session_id: str, resume_token: str, seq: int) -> Session:
        held = await self._redis.hmget(keys.session(session_id), ["state", "resume", "options"])
        state, digest, encoded = cast("list[bytes | None]", held)
        if digest is None or encoded is None or not hmac.compare_digest(digest.decode(), _digest(resume_token)):
            raise SessionUnknownError("No session has this session_id and resume_token, or it ended long ago.")
        if state == b"cancelled":
            raise SessionExpiredError(f"Session {session_id} was cancelled.")
        received = await self._received_samples(session_id)
        options = SessionOptions(**orjson.loads(encoded))
        session = await self._hold(session_id, resume_token, options, "stream", start=received, seq=seq)
        session.put_first(
            {
                "type": EventType.READY,
                "session_id": session_id,
                "seq": seq,
                "resume_token": resume_token,
                "audio_received_samples": received,
            }
        )
        session.fill()
        session.attach()
        return session

    async def _received_samples(self, session_id: str) -> int:
        """The end position of the last audio entry, which the stream knows even when it has been trimmed."""
        try:
            info = await self._redis.xinfo_stream(keys.audio(session_id))
        except RedisError:
            return 0  # no stream: no audio came, or the session has ended
        return int(info["last-generated-id"].partition(b"-")[0])

    async def _cancel(self, session: Session) -> None:
        session_keys = [name(session.id) for name in (keys.session, keys.audio, keys.events, keys.finals)]
        with contextlib.suppress(RedisError, OSError):  # without Redis the keys expire
            owner = await self._scripts.abandon(keys=session_keys)
            if owner:
                await self._redis.xadd(keys.control(owner.decode()), {"cancel": session.id})
            else:
                await self.registry.release(session.id, session.model)

    def _release(self, session: Session, unfollow: Coroutine[Any, Any, None]) -> None:
        self._sessions.pop(session.id, None)
        chore = asyncio.create_task(self._quietly(unfollow), name="unfollow")
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)

    async def _quietly(self, chore: Coroutine[Any, Any, None]) -> None:
        with contextlib.suppress(RedisError, OSError):  # a lost connection has forgotten the channel anyway
            await chore

    async def _shut_down(self, loops: list[asyncio.Task[None]]) -> None:
        for session in list(self._sessions.values()):
            session.detach()
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(1.0):
                await self._writer.flushed()
                await self.registry.leave(self.tally.report())
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, *self._chores, return_exceptions=True)
        self._dispatcher.close()
        await self._subscriber.close()
        await self._redis.aclose()


def _digest(resume_token: str) -> str:
    return hashlib.sha256(resume_token.encode()).hexdigest()


def _store_unreachable() -> VoxtralError:
    return ModelUnavailableError("The service cannot reach its store; try again shortly.", retry_after_s=RETRY_AFTER_S)
