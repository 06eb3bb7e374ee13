"""A session on its current connection: its audio input, and the actions that its client requests."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import orjson

from frontend.connections.audio_input import ContainerIntake, Intake, RawIntake, Start
from frontend.decoding.decoders import Decoders
from frontend.protocols.audio_formats import changed_format
from frontend.protocols.dialect import AwaitEnd, Cancel, Change, Commit, Configure, Finish, Open, Resume
from frontend.sessions.gateway import Gateway
from frontend.sessions.session import Session
from shared.bus.event_log import LoggedEvent
from shared.errors import InvalidFieldError, VoxtralError
from shared.events import EventType
from shared.session_options import ChannelMode

Steering = Commit | Configure | Change | Finish | AwaitEnd | Cancel


class LiveSession:
    """Created when a session has been opened or resumed; `close` it when the connection no longer has it."""

    def __init__(
        self,
        session: Session,
        wanted: Open | Resume,
        *,
        gateway: Gateway,
        decoders: Decoders,
        report: Callable[[Exception], Awaitable[None]],
        start: Start,
    ) -> None:
        """`report` is called if previously accepted audio cannot be decoded, by a task that `start` starts."""
        self.session = session
        self.acknowledges = wanted.acknowledge
        """Whether its client keeps its audio, and may resume over another connection."""
        self.is_finishing = session.was_complete
        """Whether no more audio follows."""
        self.commit_after_s = wanted.commit_after_s if isinstance(wanted, Open) else None
        """See `Open`."""
        self.downlink: asyncio.Task[None] | None = None
        """Sends its events. None until its first one has been sent."""
        self._gateway = gateway
        self._decoders = decoders
        self._report = report
        self._start = start
        self._takes_container = isinstance(wanted, Resume) or wanted.is_native
        self._is_closed = False
        self._audio_format = wanted.audio_format
        self.intake = self._new_intake()
        """Accepts its audio, until the session has ended. Another one after a `Change` of the audio."""

    async def obey(self, action: Steering) -> None:
        """Execute a client's action; ignored if the session has ended. `close` it before a `Cancel`."""
        if isinstance(action, AwaitEnd):
            await self.ended()
        elif not self.session.ended:
            await self._steer(action)

    async def _steer(self, action: Commit | Configure | Change | Finish | Cancel) -> None:
        match action:
            case Commit():
                await self.intake.flush()
                await self.session.commit(action.number)
            case Configure():
                options = replace(action.options, model=self.session.model, channels=self.session.options.channels)
                await self._gateway.check(options)
                await self.session.configure(options)
            case Change():
                await self._change(action)
            case Finish():
                await self._finish(action)
            case Cancel():
                if self.downlink is not None:
                    self.downlink.cancel()
                await self.session.cancel()

    async def ended(self) -> None:
        """Wait until the session has ended and its client has been told so."""
        if self.downlink is not None:
            await asyncio.wait((self.downlink,))

    async def stop_events(self) -> None:
        """Send no more events of the session. May also be called by its downlink."""
        if self.downlink is not None and self.downlink is not asyncio.current_task():
            self.downlink.cancel()
            await asyncio.wait((self.downlink,))

    def close(self) -> None:
        """Accept no more audio."""
        self._is_closed = True
        self.intake.close()

    def last_event(self, error: VoxtralError) -> LoggedEvent:
        """The end of the session on this connection, which is not in the log."""
        seq = self.session.seq + 1
        wire = {"type": EventType.ERROR, **error.to_wire(), "session_id": self.session.id, "seq": seq}
        return LoggedEvent(orjson.dumps(wire), wire)

    async def _change(self, change: Change) -> None:
        options = replace(self.session.options, **change.changes)
        channels = change.audio_changes.get("channels")
        if channels not in (None, options.channels) and options.channels is not None:
            raise InvalidFieldError("channels", channels, f"{options.channels}: the session keeps its tracks")
        if change.changes:
            await self._gateway.check(options)
        if change.audio_changes:
            audio_format = changed_format(self._audio_format, change.audio_changes)
            await self.intake.finish()
            self.intake.close()
            if not self._is_closed:
                self._audio_format = audio_format
                self.intake = self._new_intake()
        await self.session.configure(options, change.number)

    async def _finish(self, action: Finish) -> None:
        is_repeated, self.is_finishing = self.is_finishing, True
        try:
            await self.intake.finish()
        finally:
            if not self.session.ended and not is_repeated:
                await self.session.finish(action.number)

    def _new_intake(self) -> Intake:
        audio_format, tracks = self._audio_format, self.session.options.channels
        if audio_format is None:
            return ContainerIntake(self.session, self._decoders, self._report, self._start)
        if tracks is not None:
            audio_format = replace(audio_format, channels=tracks, separate=True)
        elif audio_format.separate:
            raise InvalidFieldError("channel_mode", ChannelMode.SEPARATE.value, "mix: the session mixes its channels")
        return RawIntake(self.session, audio_format, takes_container=self._takes_container)
