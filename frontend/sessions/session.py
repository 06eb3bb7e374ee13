"""One live session as a frontend sees it: audio goes in, events come out.

Knows no protocol. Created only by `Gateway.open` and `Gateway.resume`.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Final, Protocol

import orjson
import structlog

from frontend.access.meter import Meter
from frontend.access.session_tokens import viewer_token
from frontend.sessions.backpressure import Backpressure
from shared.audio.damage import AudioWarning
from shared.bus.audio import AudioTrack
from shared.bus.event_log import AUDIO_PROCESSED, Follower, LoggedEvent
from shared.bus.messages import ControlWord
from shared.celery_config import Queue
from shared.errors import RateLimitedError, SessionResumedError, VoxtralError
from shared.events import SAMPLE_RATE_HZ, EventType
from shared.session_options import SessionOptions

BACKLOG_POLL_S: Final = 1.0
"""Progress is reported by pub/sub; a writer that waits for it also polls it this often."""
MAX_UNWRITTEN_ENTRIES: Final = 2000
"""Limit for one session: above it no control messages or audio are accepted while Redis confirms none."""
RESUME_ENTRIES: Final = MAX_UNWRITTEN_ENTRIES - 100
ROOM_SAMPLES: Final = SAMPLE_RATE_HZ // 10
"""The longest entry of the audio stream. A writer resumes when the backlog has room for one."""
ACKNOWLEDGE_SAMPLES: Final = SAMPLE_RATE_HZ // 2
"""How often a client that requested it is informed how much of its audio is stored."""
TERMINAL: Final = (EventType.DONE, EventType.ERROR)

log = structlog.get_logger()


class SessionListener(Protocol):
    """The holder of sessions, which each session informs of its end."""

    async def on_cancelled(self, session: "Session") -> None:
        """Its client requests that it be erased. The session has ended here."""

    def on_revoked(self, session: "Session", error: VoxtralError) -> None:
        """The key of its client is no longer valid."""

    def on_ended(self, session: "Session", follower: Follower) -> None:
        """It has ended on this connection, which is reported once; `follower` is no longer read."""


class Session:
    """A client's hold on a session. One task writes; another may follow `events`."""

    def __init__(
        self,
        *,
        session_id: str,
        resume_token: str,
        options: SessionOptions,
        queue: Queue,
        track: AudioTrack,
        follower: Follower,
        max_backlog_s: float,
        meter: Meter,
        listener: SessionListener,
    ) -> None:
        self.id = session_id
        self.resume_token = resume_token
        self.options = options
        self.queue = queue
        self.ended = False
        """Set when this connection no longer has the session."""
        self.has_webhook = False
        """Whether a webhook is still to get its last events when it has ended."""
        self.is_done = False
        """Set when a `done` has been read."""
        self.error_code = ""
        """The code of the error that ended the session, if it is known here. A takeover by another connection is
        none."""
        self.faults: list[AudioWarning] = []
        """Those of the recording that it is fed; complete when it is done."""
        self._track = track
        self._track.on_refused = self._taken_over
        self._follower = follower
        self._follower.on_attached = self._note_connection
        most_samples = int(max_backlog_s * SAMPLE_RATE_HZ)
        self._backlog = Backpressure(high=most_samples, low=most_samples - ROOM_SAMPLES)
        self._unwritten = Backpressure(high=MAX_UNWRITTEN_ENTRIES, low=RESUME_ENTRIES)
        self._meter = meter
        self._meter.on_revoked = self._revoke
        self._listener = listener
        self._is_slowed = False
        self._first: list[LoggedEvent] = []
        self._source = aiter(follower)
        self._follower.progress(track.attachment.consumed_samples)
        self._follower.on_progress = self._tell_progress
        self._acknowledged_samples = track.written_samples
        self._note_connection(follower.last_attached)

    @property
    def connection(self) -> int:
        """Counts the connections of the session; a higher number is a later one."""
        return self._track.attachment.connection

    @property
    def was_complete(self) -> bool:
        """Whether no more audio was to follow when this connection began."""
        return self._track.attachment.is_complete

    @property
    def viewer_token(self) -> str:
        """The token with which others can view the session, without any key."""
        return viewer_token(self.resume_token)

    @property
    def key_name(self) -> str:
        """The name of the API key that opened it; empty without keys."""
        return self._meter.principal.key_name or ""

    @property
    def recording_warnings(self) -> list[dict[str, Any]]:
        """The faults of its recording, as clients get them."""
        return [fault.wire() for fault in self.faults]

    @property
    def audio_received_samples(self) -> int:
        """Audio accepted since the session began, over all connections."""
        return self._track.end_samples

    @property
    def heard_samples(self) -> int:
        """Audio that the worker has processed, as it last reported."""
        return self._follower.consumed_samples

    @property
    def model(self) -> str:
        """The model whose workers serve the session, also after a takeover. `Gateway.open` puts it into the options."""
        assert self.options.model is not None
        return self.options.model

    def is_quiet(self, for_s: float) -> bool:
        """Whether the worker has sent nothing for so long, or the session waits for an event that it may have
        missed."""
        return self._follower.is_quiet(for_s)

    def put_first(self, event: dict[str, Any]) -> None:
        """Place an event before all others."""
        self._first.append(LoggedEvent(orjson.dumps(event), event))

    @property
    def seq(self) -> int:
        """Number of the last event read from the log."""
        return self._follower.seq

    def acknowledge(self) -> None:
        """From now on inform the client, between its events, how much of its audio is in Redis."""
        self._track.on_stored = self._acknowledge

    async def write(self, pcm: bytes) -> None:
        """Append s16le 16 kHz audio: mono, or whole frames of all tracks, each of which counts for the key's limit.

        Waits while there is backpressure (see `frontend.sessions.backpressure`).

        Cancelling it while it waits leaves the audio unwritten; returns at once if the session has ended.
        """
        await self._room()
        if not self.ended:
            self._track.append(pcm)
            self._meter.add(len(pcm) // 2)

    async def commit(self, number: int | None = None) -> None:
        """End the open segment at the audio written so far. Waits like `write`; so does `configure`.

        A duplicate `number`, on this connection or an earlier one, is ignored; also in `configure`.
        """
        await self._room()
        self._track.control(ControlWord.COMMIT, number=number)

    async def configure(self, options: SessionOptions, number: int | None = None) -> None:
        """Use these options from the next segment on. The session keeps its webhook."""
        await self._room()
        options = replace(options, webhook=None, webhook_events=None)
        self.options = options
        self._track.control(ControlWord.CONFIGURE, orjson.dumps(options.to_wire()), number)

    async def finish(self, number: int | None = None) -> None:
        """No more audio follows; `done` is sent when all of it has been transcribed. Does not wait.

        A `number` that is not higher than earlier ones is not recorded, but the audio ends: a session without an end
        would wait for it in vain.
        """
        is_new = number is not None and number > self._track.number
        self._track.control(ControlWord.END, number=number if is_new else None)

    async def cancel(self) -> None:
        """Erase the session at once: its audio and its text are deleted, and its worker stops."""
        self._stop()
        await self._listener.on_cancelled(self)

    async def release(self) -> None:
        """The session of a recording is read, or its client has disconnected: nobody else knows it, so erase it.

        If it has a webhook and has ended, its text stays for that until it expires.
        """
        if not (self.ended and self.has_webhook):
            await self.cancel()

    async def conclude(self) -> None:
        """The client has disconnected and cannot resume: transcribe the rest for its viewers or its webhook."""
        if self.audio_received_samples:
            await self.finish()
            self._stop()
        else:
            await self.cancel()

    async def leave(self) -> None:
        """The client has disconnected: keep the session so that it can be resumed, if it has any audio."""
        if self.audio_received_samples:
            self.detach()
        else:
            await self.cancel()

    def detach(self) -> None:
        """The client has disconnected. Its session waits a while for it to resume, then ends by itself."""
        if not self.ended:
            self._track.control(ControlWord.DETACH)
        self._stop()

    def fail(self, error: VoxtralError) -> None:
        """End the session from this side, with an error that is not in the log of its events.

        Its `seq` follows that of the last event. It tells a client that the session is over on this connection.
        """
        if not self.error_code:
            self.error_code = error.code
            name = self._meter.principal.key_name
            log.warning("session_failed", session_id=self.id, name=name, code=error.code, reason=error.message)
        self._end_with(error)

    def _end_with(self, error: VoxtralError) -> None:
        self._follower.end_with({"type": EventType.ERROR, "session_id": self.id, **error.to_wire()})

    def tell(self, event: dict[str, Any]) -> None:
        """Send the client an event that is not in the log and has no `seq`, such as a warning."""
        self._follower.tell(event["type"], LoggedEvent(orjson.dumps(event), event))

    def warn(self, code: str, message: str) -> None:
        """Send the client a warning that is not in the log. A warning with another code does not replace it."""
        event = {"type": EventType.WARNING, "session_id": self.id, "code": code, "message": message}
        self._follower.tell(f"{EventType.WARNING} {code}", LoggedEvent(orjson.dumps(event), event))

    def fill(self) -> None:
        self._follower.fill()

    def progress(self, consumed_samples: int) -> None:
        self._follower.progress(consumed_samples)

    async def events(self) -> AsyncIterator[LoggedEvent]:
        """Every event in order, `ready` first. Ends after `done` or `error`."""
        while self._first:
            yield self._first.pop(0)
        while not self.ended:
            event = await anext(self._source)
            if event.wire["type"] in TERMINAL:
                self.is_done = event.wire["type"] == EventType.DONE
                if not self.is_done and event.wire["code"] != SessionResumedError.code:
                    self.error_code = event.wire["code"]
                self._stop()
            yield event

    async def first_event(self) -> LoggedEvent:
        """The worker's first event after it has claimed the session; `events` does not repeat it."""
        while "seq" not in (event := await anext(self._source)).wire:
            pass  # not from the worker
        return event

    async def _room(self) -> None:
        """Wait until there is room for more, and the client's key allows it."""
        while self._is_full():
            self._follower.progressed.clear()
            if self._is_full():
                await self._progress_or_poll()
        while not self.ended and (wait_s := self._meter.wait_s):
            self._tell_slowed()
            await asyncio.sleep(min(wait_s, BACKLOG_POLL_S))

    def _is_full(self) -> bool:
        if self.ended:
            return False
        is_behind = self._backlog.update(self._track.end_samples - self._follower.consumed_samples)
        return self._unwritten.update(self._track.unwritten_entries) or is_behind

    def _tell_slowed(self) -> None:
        if not self._is_slowed:
            self._is_slowed = True
            self.warn(RateLimitedError.code, self._meter.limit_text)

    async def _progress_or_poll(self) -> None:
        try:
            async with asyncio.timeout(BACKLOG_POLL_S):
                await self._follower.progressed.wait()
        except TimeoutError:
            self._follower.request_lookup()

    def _acknowledge(self, stored_samples: int) -> None:
        if stored_samples - self._acknowledged_samples >= ACKNOWLEDGE_SAMPLES:
            self._acknowledged_samples = stored_samples
            self.tell({"type": "received", "session_id": self.id, "audio_received_samples": stored_samples})

    def _tell_progress(self, consumed_samples: int) -> None:
        if self.options.progress_ms is not None:
            self.tell({"type": AUDIO_PROCESSED, "session_id": self.id, "audio_processed_samples": consumed_samples})

    def _note_connection(self, connection: int) -> None:
        if connection > self.connection:
            self._taken_over()

    def _taken_over(self) -> None:
        self._meter.hand_over()
        self._end_with(SessionResumedError("The session was resumed over another connection."))

    def _revoke(self, error: VoxtralError) -> None:
        self._listener.on_revoked(self, error)

    def _stop(self) -> None:
        if not self.ended:
            self.ended = True
            self._follower.progressed.set()
            self._meter.close()
            self._listener.on_ended(self, self._follower)
