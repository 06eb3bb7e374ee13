"""One client, from its first message to its last, in any dialect and over any transport.

The uplink handles one message at a time, so that replies are in order and backpressure reaches the client. A downlink
for each session sends its events. Watch tasks end connections that are silent, do not read, or have lost their key.
The first of these tasks to end also ends the others.

Nothing here knows what messages mean: the dialect turns them into actions, which are executed here.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

import orjson
import structlog

from frontend.access.guard import Guard
from frontend.connections import one_shot
from frontend.connections.closing import cause_of, close_transport, drop_frames
from frontend.connections.live_session import LiveSession, Steering
from frontend.connections.timeouts import INTERVAL_S, Patience
from frontend.decoding.decoders import Decoders
from frontend.monitoring.process_report import Tally
from frontend.protocols import dialect as actions
from frontend.protocols.close_codes import CLOSE_CODES
from frontend.protocols.dialect import EARLIER_AUDIO, Action, Append, Dialect, Hangup, Send
from frontend.protocols.long_text import Message
from frontend.protocols.native import states as native
from frontend.servers.transports import DisconnectedError, Transport
from frontend.sessions.gateway import Gateway
from frontend.sessions.model_names import resolve
from frontend.sessions.placement import candidates, none_runs
from frontend.sessions.recordings import Recordings
from frontend.sessions.session import TERMINAL, Session
from shared.bus.event_log import LoggedEvent
from shared.config.settings import Settings
from shared.errors import MessageTooLargeError, VoxtralError
from shared.events import EventType
from shared.incidents import incident
from shared.metrics.families import CLIENTS_STALLED
from shared.session_options import SessionOptions
from shared.tasks import end_all

VIEWERS_MAY_COME: Final = "voxtral.session"
SERVICE_RESTART: Final = Hangup(1012, "server stops")

log = structlog.get_logger(__name__)


class HangupError(Exception):
    """The dialect requests that the connection be closed."""

    def __init__(self, hangup: Hangup) -> None:
        super().__init__(hangup.reason)
        self.hangup = hangup


@dataclass(frozen=True, slots=True)
class Parts:
    """What all connections of a process share."""

    settings: Settings
    gateway: Gateway
    decoders: Decoders
    recordings: Recordings
    tally: Tally


class Connection:
    def __init__(
        self,
        transport: Transport,
        dialect: Dialect,
        guard: Guard,
        parts: Parts,
        *,
        tells_viewer_token: bool = False,
        at_end: Callable[[], Iterable[Action]] | None = None,
    ) -> None:
        """`at_end` returns the actions after the client has sent its last message. With it, or `tells_viewer_token`,
        the audio of a client that disconnects is still transcribed, for viewers."""
        self._transport = transport
        self._dialect = dialect
        self._guard = guard
        self._gateway = parts.gateway
        self._decoders = parts.decoders
        self._recordings = parts.recordings
        self._tally = parts.tally
        self._max_connections = parts.settings.server.max_connections
        self._tells_viewer_token = tells_viewer_token
        self._at_end = at_end
        idle_timeout_s = max(parts.settings.session.idle_timeout_s, dialect.quiet_s)
        self._patience = Patience(transport, idle_timeout_s, self._note_stalled)
        self._tasks = asyncio.TaskGroup()
        self._live: LiveSession | None = None
        self._ahead: asyncio.Task[Message | None] | None = None
        """The next message, while the current one is being answered."""

    async def run(self) -> None:
        """Serve the client until it disconnects or the connection must be closed."""
        last_words: list[Action] = []
        hangup = SERVICE_RESTART
        try:
            async with self._tasks:
                self._tasks.create_task(self._patience.watch(self._is_finishing), name="watch")
                self._tasks.create_task(self._guard.watch(), name="guard")
                self._tally.check_room(self._max_connections)
                await self._guard.greet()
                await self._obey(self._dialect.greet())
                await self._uplink()
        except ExceptionGroup as failures:
            last_words, hangup = self._last_words(failures)
            drop_frames(failures)
        finally:
            self._guard.close()
            live = self._release()
            if live is not None:
                await self._leave(live.session)
            if self._ahead is not None:
                ahead, self._ahead = self._ahead, None
                await end_all((ahead,))
            texts = [_text(word) for word in last_words if isinstance(word, Send)]
            linger_s = 0.0 if hangup is SERVICE_RESTART else self._dialect.linger_s
            await close_transport(self._transport, texts, hangup.code, hangup.reason, linger_s=linger_s)

    def _is_finishing(self) -> bool:
        return self._live is not None and self._live.is_finishing

    def _note_stalled(self, after_s: float) -> None:
        self._tally.metrics.counter(CLIENTS_STALLED).add()
        log.warning("client_stalled", session_id=self._session_id, after_s=round(after_s, 1))

    @property
    def _session_id(self) -> str | None:
        return None if self._live is None else self._live.session.id

    async def _uplink(self) -> None:
        """Never returns: raises DisconnectedError when the client sends nothing more and needs no more answers."""
        while (message := await self._next_message()) is not None:
            await self._handle(message)
        if self._at_end is not None:
            await self._obey(self._at_end())
        if self._live is not None and self._has_left(self._live):
            await self._live.obey(actions.Finish())
        if self._live is not None and self._live.is_finishing and not self._transport.gone:
            await self._live.ended()
        raise DisconnectedError

    def _has_left(self, live: LiveSession) -> bool:
        """Whether a client that could resume has disconnected for good, without having ended its audio.

        A relay that fails ends its TCP connections in the same way as a client that disconnects.
        """
        may_return = live.acknowledges and not self._transport.gone
        return self._dialect.resumes and self._transport.left and not live.is_finishing and not may_return

    async def _next_message(self) -> Message | None:
        live = self._live
        if live is None or live.is_finishing or live.commit_after_s is None:
            return await self._received()
        try:
            async with asyncio.timeout(live.commit_after_s):
                return await self._received()
        except TimeoutError:
            if self._live is live:
                await self._attempt(lambda: [actions.Commit()], None)
        return await self._received()

    async def _received(self) -> Message | None:
        ahead, self._ahead = self._ahead, None
        try:
            return await self._patience.hear(self._transport.receive() if ahead is None else ahead)
        except MessageTooLargeError as error:
            raise self._guard.about(error) from None
        finally:
            del ahead  # if it failed, its traceback would hold it, and it would hold the traceback

    async def _handle(self, message: Message) -> None:
        def wanted() -> Iterable[Action]:
            self._guard.check(message)
            return self._dialect.receive(message)

        await self._attempt(wanted, message)

    async def _attempt(self, wanted: Callable[[], Iterable[Action]], message: Message | None) -> None:
        """Execute what a message, or the lack of one, asks for. Raises only errors that end the connection."""
        try:
            await self._obey(wanted())
        except (DisconnectedError, HangupError):
            raise
        except VoxtralError as error:
            await self._refuse(error, message)
        except Exception as error:  # noqa: BLE001 -- our bug; the client learns that, and no internals
            await self._give_up(incident(error, self._session_id), message)

    async def _downlink(self, events: AsyncIterator[LoggedEvent]) -> None:
        """Send the events of a session to its client until the session ends."""
        try:
            async for event in events:
                if event.type in TERMINAL:
                    self._release()  # before it is sent: a client that has read it may start the next session at once
                    if event.type == EventType.ERROR:
                        self._tally.count_error(event.wire["code"])
                try:
                    await self._obey(self._dialect.render(event))
                except VoxtralError as error:
                    await self._refuse(error, None)
                if event.arrived_s is not None:
                    self._tally.observe_delivery(event.arrived_s)
        except (DisconnectedError, HangupError, VoxtralError):
            raise
        except Exception as error:  # noqa: BLE001 -- as in _attempt
            await self._give_up(incident(error, self._session_id), None)

    async def _refuse(self, error: VoxtralError, message: Message | None) -> None:
        """Send an error to the client, unless it closes the connection: then it is sent at the end."""
        if error.closes_connection:
            raise error
        told = tuple(self._dialect.refuse(error, message))
        if told:
            self._tally.count_error(error.code)
        await self._obey(told)

    async def _give_up(self, error: VoxtralError, message: Message | None) -> None:
        """Leave the session, if there is one: this connection can no longer serve it."""
        live = self._release()
        if live is None:
            await self._refuse(error, message)
            return
        self._tally.count_error(error.code)
        await live.stop_events()
        told = tuple(self._dialect.render(live.last_event(error)))  # it follows the last of them
        await self._leave(live.session)
        await self._obey(told)

    async def _leave(self, session: Session) -> None:
        """Keep the session if its client can resume it. Otherwise finish it for its viewers or its webhook, or
        free its slot."""
        if self._dialect.resumes:
            await session.leave()
        elif not session.ended:
            is_read = self._tells_viewer_token or self._at_end is not None or session.has_webhook
            await (session.conclude() if is_read else session.cancel())

    async def _obey(self, wanted: Iterable[Action]) -> None:
        """Execute actions in order; the first error skips the rest."""
        for action in tuple(wanted):
            await self._execute(action)

    async def _execute(self, action: Action) -> None:
        match action:
            case Send():
                await self._patience.send(_text(action))
            case Append():
                await self._append(action)
            case Hangup():
                raise HangupError(action)
            case actions.Check():
                await self._resolved(action.options)
            case actions.Identify():
                await self._guard.identify(action.key)
            case actions.UseProtocolKey():
                self._guard.use_protocol_key(action.protocol)
            case actions.Open() | actions.Resume():
                await self._open(action)
            case actions.OneShot():
                await self._answer(action)
            case actions.Embed():
                await self._embed(action)
            case actions.Status():
                await self._send_status(action)
            case actions.ListModels():
                await self._list_models(action)
            case _:
                await self._steer(action)

    async def _append(self, action: Append) -> None:
        self._tally.received_bytes += len(action.audio)
        if self._live is not None and not self._live.session.ended:
            await self._live.intake.take(action.audio)

    async def _steer(self, action: Steering) -> None:
        live = self._live
        if live is not None:
            if isinstance(action, actions.Cancel):
                self._release()
            await live.obey(action)

    async def _resolved(self, options: SessionOptions) -> SessionOptions:
        """The options with the name of a running model. Raises what opening would raise, except for a lack of slots."""
        models = await self._gateway.models()
        options = replace(options, model=resolve(options.model, models, options.mode))
        candidates(models, options)
        return options

    async def _open(self, wanted: actions.Open | actions.Resume) -> None:
        assert self._live is None
        principal = await self._guard.admit()
        if isinstance(wanted, actions.Resume):
            session = await self._gateway.resume(
                wanted.session_id, wanted.resume_token, wanted.seq, principal=principal
            )
        else:
            options = wanted.options if wanted.is_native else await self._resolved(wanted.options)
            session = await self._gateway.open(options, principal=principal, identity=wanted.identity)
        if wanted.acknowledge:
            session.acknowledge()
        try:
            live = self._live = LiveSession(
                session,
                wanted,
                gateway=self._gateway,
                decoders=self._decoders,
                report=self._report_undecodable,
                start=self._tasks.create_task,
            )
        except VoxtralError:
            session.detach()
            raise
        events = session.events()
        await self._obey(self._dialect.render(await anext(events)))
        if self._tells_viewer_token:
            told = {"type": VIEWERS_MAY_COME, "session_id": session.id, "viewer_token": session.viewer_token}
            await self._obey((Send(told),))
        live.downlink = self._tasks.create_task(self._downlink(events), name=f"downlink {session.id}")

    async def _report_undecodable(self, error: Exception) -> None:
        """A stream in a container cannot be decoded any further."""
        with contextlib.suppress(DisconnectedError):
            told = error if isinstance(error, VoxtralError) else incident(error, self._session_id)
            await self._refuse(told, EARLIER_AUDIO)

    async def _answer(self, request: actions.OneShot) -> None:
        """Answer a one-shot request, unless its client disconnects meanwhile."""
        self._tally.received_bytes += len(request.audio)
        principal = await self._guard.admit(len(request.audio))
        answering = asyncio.create_task(
            one_shot.answer(request, self._recordings, self._tally, self._patience.send, principal), name="one-shot"
        )
        self._ahead = asyncio.create_task(self._transport.receive(), name="read ahead")
        try:
            await asyncio.wait((answering, self._ahead), return_when=asyncio.FIRST_COMPLETED)
            while not answering.done():
                if self._transport.closed:
                    raise DisconnectedError
                await asyncio.wait((answering,), timeout=INTERVAL_S)
            await self._patience.send(await answering)
        finally:
            await end_all((answering,))
            del answering  # it may have failed: its error would hold this frame, and this frame the error

    async def _embed(self, action: actions.Embed) -> None:
        self._tally.received_bytes += len(action.audio)
        await self._guard.admit(len(action.audio))
        await self._patience.send(native.voice(await self._gateway.embedding(action.audio), action.request_id))

    async def _send_status(self, action: actions.Status) -> None:
        facts = await self._gateway.status() | {"connected_clients": self._tally.connected_clients}
        await self._patience.send(native.status(facts, action.request_id))

    async def _list_models(self, action: actions.ListModels) -> None:
        models = await self._gateway.models()
        if not models:
            raise none_runs()
        await self._patience.send(action.message(models))

    def _release(self) -> LiveSession | None:
        """Detach the session from this connection."""
        live, self._live = self._live, None
        if live is not None:
            live.close()
        return live

    def _last_words(self, failures: ExceptionGroup[Exception]) -> tuple[list[Action], Hangup]:
        """The last messages of a connection, and its close."""
        wanted = next((cause.hangup for cause in failures.exceptions if isinstance(cause, HangupError)), None)
        causes = [cause for cause in failures.exceptions if not isinstance(cause, HangupError)]
        error = cause_of(causes, self._session_id)
        if error is None:
            return [], wanted or Hangup(1000, "")
        self._tally.count_error(error.code)
        words = list(self._dialect.refuse(error, None))
        wanted = next((action for action in words if isinstance(action, Hangup)), wanted)
        return words, wanted or Hangup(CLOSE_CODES.get(error.code, 1000), error.code)


def _text(action: Send) -> bytes:
    message = action.message
    if isinstance(message, bytes):
        return message
    return orjson.dumps(message() if callable(message) else message)
