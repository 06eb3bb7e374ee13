"""The diarized sessions of a worker: passes their audio and finals to the speaker thread, and its labels back.

Belongs to the I/O loop. Costs nothing while no session asks for speakers.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.bus import voices
from shared.config.sections import SpeakerSettings
from shared.final_speakers import DIARIZE_UNAVAILABLE
from worker.engine_thread import Command, Configure, Feed
from worker.engines import base
from worker.session import WorkerSession
from worker.speakers.model_file import is_available
from worker.speakers.outputs import HOLD_RECORDING_S, HOLD_S, HeldOutputs, Released
from worker.speakers.reports import (
    Embed,
    Embedding,
    Follow,
    Forget,
    Hear,
    Label,
    Labelled,
    Limit,
    Ready,
    Report,
    Stopped,
    Tracked,
    Warned,
)
from worker.speakers.service import SpeakerService

NO_MODEL: Final = "This worker has no model that tells speakers apart. Finals have no speaker."

log = structlog.get_logger()


class Publish(Protocol):
    def __call__(
        self,
        session: WorkerSession,
        output: base.Output,
        handle: str,
        *,
        started_ms: float,
        step_ms: float,
        released: Released | None = None,
    ) -> None:
        """Take an output in its turn."""


class DiarizedSessions:
    """`held` finds a session by its handle; `mark` has a session written.

    If the channels of a session are separate, each is tracked on its own, by its handle.
    """

    def __init__(
        self,
        settings: SpeakerSettings,
        redis: Redis,
        loop: asyncio.AbstractEventLoop,
        *,
        held: Callable[[str], WorkerSession | None],
        publish: Publish,
        mark: Callable[[WorkerSession], None],
        wake_reader: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._redis = redis
        self._loop = loop
        self._held = held
        self._publish = publish
        self._mark = mark
        self._wake_reader = wake_reader
        self._service = SpeakerService(settings.model_path, settings.similarity, self._on_report)
        self._outputs: dict[str, HeldOutputs] = {}
        self._warned: set[str] = set()
        """Handles of sessions that know that there are no labels."""
        self._replies: set[asyncio.Task[None]] = set()

    def begin(self, session: WorkerSession, recordings: dict[str, bytes]) -> None:
        """Track a session that asks for speakers. `recordings`: PCM of its known speakers by name."""
        for handle in session.handles:
            self._begin(session, handle, recordings)

    def _begin(
        self, session: WorkerSession, handle: str, recordings: dict[str, bytes], unheard_samples: int = 0
    ) -> None:
        """`unheard_samples`: audio that was read and is still to be passed to `hear`."""
        track = session.track(handle)
        options = session.options
        if not options.diarize or handle in self._outputs or handle in self._warned:
            return
        if not is_available(self._settings.model_path):
            self._warned.add(handle)
            session.warn(DIARIZE_UNAVAILABLE, NO_MODEL)
            self._mark(session)
            return
        hold_s = HOLD_RECORDING_S if options.recording else HOLD_S
        self._outputs[handle] = HeldOutputs(lambda final: self._ask(handle, final), hold_s)
        start_samples = max(track.opening.checkpoint_samples, session.read_samples - unheard_samples)
        track.speakers.track_from(start_samples)
        self._service.post(
            Follow(
                handle,
                options.max_speakers or self._settings.max_speakers,
                start_samples,
                options.known_speakers or (),
                recordings,
                track.speakers.state or None,
                track.label_prefix,
            )
        )

    def hear(self, commands: Sequence[Command]) -> None:
        """What the engine gets from clients of these sessions."""
        for at, command in enumerate(commands):
            if isinstance(command, Feed):
                if command.session_id in self._outputs:
                    self._service.post(Hear(command.session_id, command.pcm))
            elif isinstance(command, Configure):
                self._configure(command, commands[at + 1 :])

    def _configure(self, command: Configure, later: Sequence[Command]) -> None:
        session = self._held(command.session_id)
        if session is None:
            return
        if command.session_id not in self._outputs:
            feeds = [one for one in later if isinstance(one, Feed) and one.session_id == command.session_id]
            self._begin(session, command.session_id, {}, sum(len(one.pcm) for one in feeds))
        elif command.options.diarize:
            limit = command.options.max_speakers or self._settings.max_speakers
            self._service.post(Limit(command.session_id, limit))
        else:
            self._end(session, command.session_id)

    def advance(self, session: WorkerSession, handle: str, absorbed_samples: int, checkpoint_samples: int) -> bool:
        """Record the engine's position after a step; call it after `take` of the step's outputs."""
        outputs = self._outputs.get(handle)
        if outputs is not None and outputs.checkpoint(checkpoint_samples):
            checkpoint_samples = 0  # not yet
        return session.advance(absorbed_samples, checkpoint_samples, handle)

    def take(self, session: WorkerSession, output: base.Output, handle: str, started_ms: float, step_ms: float) -> bool:
        """Take an output of a diarized session. False if the session is not diarized."""
        outputs = self._outputs.get(handle)
        if outputs is None:
            return False
        self._release(session, handle, outputs.take(output, started_ms, time.monotonic(), step_ms))
        due_s = outputs.next_due_s() if isinstance(output, base.Final | base.Finished) else None
        if due_s is not None:
            self._loop.call_later(max(0.0, due_s - time.monotonic()), self._check, handle)
        return True

    def release(self, session: WorkerSession) -> None:
        """Publish what waits for labels, without them: the session is about to end."""
        for handle in session.handles:
            if (outputs := self._outputs.get(handle)) is not None:
                self._release(session, handle, outputs.release())

    def forget(self, session: WorkerSession) -> None:
        """The session has left this worker."""
        for handle in session.handles:
            self._warned.discard(handle)
            self._forget(handle)

    def _forget(self, handle: str) -> None:
        if self._outputs.pop(handle, None) is not None:
            self._service.post(Forget(handle))

    async def embed(self, request_id: str) -> None:
        """Answer a request of `shared.bus.voices`."""
        try:
            pcm = await voices.read_request(self._redis, request_id)
        except (RedisError, OSError) as error:
            log.warning("voice_request_lost", reason=str(error))
            return
        if pcm is not None:
            self._service.post(Embed(request_id, pcm))

    def stop(self, timeout_s: float) -> None:
        self._service.stop(timeout_s)

    def _ask(self, handle: str, final: base.Final) -> None:
        self._service.post(Label(handle, final.segment, final.start_samples, final.end_samples))

    def _check(self, handle: str) -> None:
        outputs, session = self._outputs.get(handle), self._held(handle)
        if outputs is None or session is None:
            return
        self._release(session, handle, outputs.overdue(time.monotonic()))
        if (due_s := outputs.next_due_s()) is not None:
            self._loop.call_later(max(0.01, due_s - time.monotonic()), self._check, handle)

    def _end(self, session: WorkerSession, handle: str) -> None:
        if (outputs := self._outputs.get(handle)) is not None:
            self._release(session, handle, outputs.release())
        session.track(handle).speakers.track_from(None)
        self._forget(handle)

    def _release(self, session: WorkerSession, handle: str, released: list[Released]) -> None:
        for one in released:
            if one.output is None:
                session.advance(session.track(handle).absorbed_samples, one.checkpoint_samples, handle)
            else:
                self._publish(session, one.output, handle, started_ms=one.started_ms, step_ms=one.step_ms, released=one)
        if released:
            self._mark(session)

    def _on_report(self, name: str, report: Report) -> None:
        """Called on the speaker thread."""
        self._loop.call_soon_threadsafe(self._take_report, name, report)

    def _take_report(self, name: str, report: Report) -> None:
        if isinstance(report, Embedding):
            task = self._loop.create_task(self._reply(name, report.text))
            self._replies.add(task)
            task.add_done_callback(self._replies.discard)
            return
        session, outputs = self._held(name), self._outputs.get(name)
        if session is None or outputs is None:
            return
        track, was_throttled = session.track(name), session.throttled
        match report:
            case Labelled():
                self._label(session, outputs, name, report)
            case Tracked():
                track.speakers.track_from(report.at_samples)
            case Ready():
                track.speakers.state = report.state
            case Warned():
                session.warn(report.code, report.message)
                if report.code == DIARIZE_UNAVAILABLE:
                    self._warned.add(name)
            case Stopped():
                self._end(session, name)
                self._warned.add(name)
        if was_throttled and not session.throttled:
            self._wake_reader()
        self._mark(session)

    def _label(self, session: WorkerSession, outputs: HeldOutputs, handle: str, labelled: Labelled) -> None:
        track = session.track(handle)
        released = outputs.labelled(labelled.segment, labelled.labelling, labelled.state)
        if released is not None:
            self._release(session, handle, released)
            session.relabel(handle, labelled.changed)
            return
        track.speakers.state = labelled.state
        session.relabel(handle, {labelled.segment: labelled.labelling, **labelled.changed})
        self._release(session, handle, outputs.released())

    async def _reply(self, request_id: str, text: str | None) -> None:
        try:
            await voices.reply(self._redis, request_id, text)
        except (RedisError, OSError) as error:
            log.warning("voice_reply_lost", reason=str(error))
