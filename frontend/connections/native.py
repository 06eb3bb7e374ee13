"""One client of the native protocol, from its first message to its last, over any transport.

The uplink reads messages one at a time and acts on each before it reads the next, so that replies come in order and
the client feels the brake. A downlink for each session sends its events. A watch ends connections that went silent
or that do not read. Whichever of them ends first ends the others.
"""

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import Any

from frontend.access.guard import Guard
from frontend.connections import one_shot
from frontend.connections.audio_input import ContainerIntake, Intake, RawIntake
from frontend.connections.closing import cause_of, let_go, say_goodbye
from frontend.connections.timeouts import Patience
from frontend.protocols.long_text import LongMessage, Message
from frontend.protocols.native import messages as commands
from frontend.protocols.native import states as native
from frontend.protocols.native.states import BINARY, Move, NativeProtocol, State
from frontend.servers.transports import DisconnectedError, Transport
from frontend.sessions.gateway import Gateway
from frontend.sessions.session import TERMINAL, Session
from shared.audio.live import UnsupportedStreamError
from shared.audio.pcm import AudioFormat
from shared.config import Settings
from shared.errors import InvalidJsonError, MessageTooLargeError, ServerBusyError, VoxtralError
from shared.events import EventType
from shared.incidents import incident
from shared.tasks import end_all


async def serve_connection(
    transport: Transport, gateway: Gateway, settings: Settings, presented_key: str | None = None
) -> None:
    """Serve one client until it leaves or has to. `presented_key` is what it showed before its first message.

    Cancelling it says goodbye, detaches a live session, and returns: for the servers that run it this is an orderly
    end, and some would log a cancelled handler as a failure.
    """
    with contextlib.suppress(asyncio.CancelledError), gateway.tally.connection():
        try:
            gateway.tally.check_room(settings.server.max_connections)
        except ServerBusyError as busy:
            gateway.tally.count_error(busy.code)
            await say_goodbye(transport, busy)
        else:
            await Connection(transport, gateway, settings, presented_key).run()


@dataclass(frozen=True, slots=True)
class LiveSession:
    session: Session
    intake: Intake
    audio_format: AudioFormat | None
    downlink: asyncio.Task[None]
    resumes: bool
    """Whether its client keeps its audio, to go on over another connection."""
    was_refused: bool = False
    """Whether the client has got the error that its audio cannot be decoded. The server sends it once."""


class Connection:
    def __init__(self, transport: Transport, gateway: Gateway, settings: Settings, presented_key: str | None) -> None:
        self._transport = transport
        self._patience = Patience(transport, settings.session.idle_timeout_s)
        self._gateway = gateway
        self._settings = settings
        self._guard = Guard(gateway.access, transport, transport.address, presented_key)
        self._protocol = NativeProtocol()
        self._tasks = asyncio.TaskGroup()
        self._live: LiveSession | None = None
        self._ahead: asyncio.Task[Message | None] | None = None
        """The next message, while the current one is being answered."""

    async def run(self) -> None:
        farewell: VoxtralError | None = None
        try:
            async with self._tasks:
                self._tasks.create_task(self._patience.watch(self._is_finishing), name="watch")
                self._tasks.create_task(self._guard.watch(), name="guard")
                await self._guard.greet()
                await self._uplink()
        except ExceptionGroup as failures:
            farewell = cause_of(failures.exceptions, self._session_id)
            if farewell is not None:
                self._gateway.tally.count_error(farewell.code)
            let_go(failures)
        finally:
            self._guard.close()
            live = self._release()
            if live is not None:
                await live.session.leave()
            if self._ahead is not None:
                ahead, self._ahead = self._ahead, None
                await end_all((ahead,))
            await say_goodbye(self._transport, farewell)

    def _is_finishing(self) -> bool:
        return self._protocol.state is State.FINISHING

    @property
    def _session_id(self) -> str | None:
        return None if self._live is None else self._live.session.id

    async def _uplink(self) -> None:
        """Never returns: raises DisconnectedError when the client has no more to say and needs no more answers."""
        while (message := await self._next_message()) is not None:
            await self._handle(message)
        if self._live is not None and self._has_left(self._live):
            await self._steer(commands.Stop())
        if self._live is not None and self._is_finishing() and not self._transport.gone:
            await asyncio.wait((self._live.downlink,))
        raise DisconnectedError

    def _has_left(self, live: LiveSession) -> bool:
        """Whether the client is gone for good, though it has not said `stop`.

        A relay that dies ends its TCP connections like a client that leaves.
        """
        may_return = live.resumes and not self._transport.gone
        return self._transport.left and self._protocol.state is State.LIVE and not may_return

    async def _next_message(self) -> Message | None:
        ahead, self._ahead = self._ahead, None
        try:
            return await self._patience.hear(self._transport.receive() if ahead is None else ahead)
        except MessageTooLargeError as error:
            raise self._guard.about(error) from None
        finally:
            del ahead  # of a failed one the traceback would hold it, and it the traceback

    async def _handle(self, message: Message) -> None:
        """Act on one message. Raises only what ends the connection."""
        wire: dict[str, Any] | None = None
        try:
            self._guard.check(message)
            if isinstance(message, bytes):
                await self._take_audio(BINARY, message)
            elif (wire := self._decoded(message)) is None:
                assert isinstance(message, str)
                await self._take_audio(BINARY, message.encode())
            else:
                self._guard.check_kind(wire.get("type"))
                await self._obey(commands.parse_command(wire, self._settings.audio))
        except DisconnectedError:
            raise
        except VoxtralError as error:
            if error.closes_connection:
                raise
            await self._tell(error, commands.request_id_of(wire))
        except Exception as error:  # noqa: BLE001 -- ours; the client is told so, and nothing of the inside
            await self._lose_session(incident(error, self._session_id), commands.request_id_of(wire))

    def _decoded(self, message: str | LongMessage) -> dict[str, Any] | None:
        """The JSON object of a text message; None where it is audio that passed for text."""
        try:
            return commands.decode_message(message)
        except InvalidJsonError:
            may_be_audio = self._transport.guesses_text and self._protocol.state is State.LIVE
            if may_be_audio and isinstance(message, str) and not native.looks_like_json(message):
                return None
            raise

    async def _obey(self, command: commands.Command) -> None:
        if isinstance(command, commands.Chunk):
            await self._take_audio(command.kind, command.audio)
            return
        if self._protocol.must_wait(command.kind) and self._live is not None:
            await asyncio.wait((self._live.downlink,))
        if self._protocol.admit(command.kind):
            match command:
                case commands.Auth():
                    await self._guard.identify(command.key)
                    await self._patience.send(native.authorized(command.request_id))
                case commands.OneShot():
                    await self._answer(command)
                case commands.Ping():
                    await self._patience.send(native.pong(command.request_id))
                case commands.Status():
                    await self._patience.send(native.status(await self._gateway.status(), command.request_id))
                case commands.Start() | commands.Resume():
                    await self._open(command)
                case _:
                    await self._steer(command)

    async def _take_audio(self, kind: str, audio: bytes) -> None:
        self._gateway.tally.received_bytes += len(audio)
        if self._protocol.admit(kind) and audio:
            assert self._live is not None
            live = self._live
            try:
                await live.intake.take(audio)
            except UnsupportedStreamError as error:
                if live.was_refused:
                    return
                if self._live is live:
                    self._live = replace(live, was_refused=True)
                raise error from None

    async def _answer(self, request: commands.OneShot) -> None:
        """Answer a one-shot request, unless its client leaves meanwhile."""
        self._gateway.tally.received_bytes += len(request.audio)
        principal = await self._guard.admit(len(request.audio))
        max_duration_s = self._settings.audio.longest_s(request.options.mode)
        answering = asyncio.create_task(
            one_shot.answer(request, self._gateway, max_duration_s, self._patience.send, principal), name="one-shot"
        )
        self._ahead = asyncio.create_task(self._transport.receive(), name="read ahead")
        try:
            await asyncio.wait((answering, self._ahead), return_when=asyncio.FIRST_COMPLETED)
            if not answering.done() and self._transport.gone:
                raise DisconnectedError
            await self._patience.send(await answering)
        finally:
            await end_all((answering,))
            del answering  # it may have failed: its error would hold this frame, and this frame the error

    async def _open(self, command: commands.Start | commands.Resume) -> None:
        try:
            principal = await self._guard.admit()
            if isinstance(command, commands.Start):
                session = await self._gateway.open(command.options, principal=principal)
            else:
                session = await self._gateway.resume(
                    command.session_id, command.resume_token, command.seq, principal=principal
                )
        except BaseException:
            self._protocol.move(Move.REFUSED)
            raise
        if command.acknowledge:
            session.acknowledge()
        self._adopt(session, command)

    def _adopt(self, session: Session, command: commands.Start | commands.Resume) -> None:
        self._protocol.move(Move.OPENED)
        downlink = self._tasks.create_task(self._downlink(session), name=f"downlink {session.id}")
        intake = self._new_intake(session, command.audio_format)
        self._live = LiveSession(session, intake, command.audio_format, downlink, command.acknowledge)

    def _new_intake(self, session: Session, audio_format: AudioFormat | None) -> Intake:
        if audio_format is not None:
            return RawIntake(session, audio_format, takes_container=True)
        return ContainerIntake(session, self._gateway.decoders, self._tell_undecoded)

    async def _tell_undecoded(self, error: Exception) -> None:
        """A stream in a container cannot be decoded any further."""
        with contextlib.suppress(DisconnectedError):
            await self._tell(error if isinstance(error, VoxtralError) else incident(error, self._session_id))

    async def _steer(self, command: commands.Command) -> None:
        live = self._live
        assert live is not None
        match command:
            case commands.Commit():
                await live.intake.flush()
                await live.session.commit(command.number)
            case commands.Configure():
                await self._configure(live, command)
            case commands.Stop():
                self._protocol.move(Move.STOPPED)
                try:
                    await live.intake.finish()
                finally:
                    if not live.session.ended:
                        await live.session.finish(command.number)
            case commands.Cancel():
                self._protocol.move(Move.CANCELLED)
                self._release()
                live.downlink.cancel()
                await live.session.cancel()

    async def _configure(self, live: LiveSession, command: commands.Configure) -> None:
        options = replace(live.session.options, **command.changes)
        audio_format = commands.changed_format(live.audio_format, command.audio_changes)
        await self._gateway.check(options)
        if command.audio_changes:
            await live.intake.finish()
            live.intake.close()
            if self._live is live:
                intake = self._new_intake(live.session, audio_format)
                self._live = replace(live, intake=intake, audio_format=audio_format, was_refused=False)
        await live.session.configure(options, command.number)

    def _release(self) -> LiveSession | None:
        """This connection has no session any more."""
        live, self._live = self._live, None
        if live is not None:
            live.intake.close()
        return live

    async def _downlink(self, session: Session) -> None:
        """Forward a session's events until it ends."""
        try:
            async for event in session.events():
                if event.type in TERMINAL:
                    # Before it is sent: who has read it may at once start the next session.
                    self._release()
                    self._protocol.move(Move.DONE if event.type == EventType.DONE else Move.FAILED)
                if event.type == EventType.ERROR:
                    self._gateway.tally.count_error(event.wire["code"])
                await self._patience.send(event.raw)
        except DisconnectedError:
            raise
        except Exception as error:  # noqa: BLE001 -- as in _handle
            await self._lose_session(incident(error, self._session_id))

    async def _tell(self, error: VoxtralError, request_id: str | int | None = None) -> None:
        self._gateway.tally.count_error(error.code)
        await self._patience.send(native.error_message(error, request_id=request_id, session_id=self._session_id))

    async def _lose_session(self, error: VoxtralError, request_id: str | int | None = None) -> None:
        """Give the session up, if there is one: this connection can no longer serve it, and another may resume it."""
        live = self._release()
        if live is None:
            await self._tell(error, request_id)
            return
        self._protocol.move(Move.FAILED)
        if live.downlink is not asyncio.current_task():
            live.downlink.cancel()
            await asyncio.wait((live.downlink,))  # the error comes after the last event
        await live.session.leave()
        self._gateway.tally.count_error(error.code)
        last = native.error_message(error, request_id=request_id, session_id=live.session.id, seq=live.session.seq + 1)
        await self._patience.send(last)
