"""One client of a realtime dialect, from its greeting to its last message, over any transport.

Like `connection`: the uplink handles one message at a time, so that replies come in order and the client feels the
brake; a downlink sends what its session says; watches end connections that went silent, do not read, or have lost
their key. Knows nothing of what messages mean; the dialect turns them into actions, which are obeyed here. No client of
a dialect can resume, so a session ends with its connection.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from typing import Final, TypeVar

import orjson

from frontend.access.guard import watch_key
from frontend.access.principal import ANONYMOUS, Principal
from frontend.connections.audio_input import RawIntake
from frontend.connections.closing import cause_of, let_go, part
from frontend.connections.timeouts import Patience
from frontend.protocols.close_codes import CLOSE_CODES
from frontend.protocols.dialect import (
    Action,
    Append,
    Check,
    Commit,
    Configure,
    Dialect,
    Finish,
    Hangup,
    Open,
    Send,
)
from frontend.protocols.long_text import Message
from frontend.servers.transports import DisconnectedError, Transport
from frontend.sessions.gateway import Gateway
from frontend.sessions.model_names import resolve
from frontend.sessions.placement import candidates
from frontend.sessions.session import Session
from shared.bus.event_log import LoggedEvent
from shared.config import Settings
from shared.errors import VoxtralError
from shared.events import EventType, SessionOptions

LINGER_S: Final = 1.0
"""Before a connection is closed on a client, what it still sends is read and dropped for this long: some clients'
sending fails when the connection closes at once, and they never get to see why."""
VIEWERS_MAY_COME: Final = "voxtral.session"
SERVICE_RESTART: Final = Hangup(1012, "server stops")

T = TypeVar("T", Message, LoggedEvent)


class HangupError(Exception):
    """The dialect wants the connection closed."""

    def __init__(self, hangup: Hangup) -> None:
        super().__init__(hangup.reason)
        self.hangup = hangup


async def serve_dialect(
    transport: Transport,
    dialect: Dialect,
    gateway: Gateway,
    settings: Settings,
    principal: Principal = ANONYMOUS,
    *,
    tells_viewer_token: bool = False,
) -> None:
    """Serve one client until it leaves or has to. Cancelling it closes the connection and returns.

    `principal` is whom `Access.admit_websocket` has let in. With `tells_viewer_token` the client gets a message of
    ours, in no dialect, whenever a session of its begins: with it others may read along.
    """
    with contextlib.suppress(asyncio.CancelledError), gateway.tally.connection():
        serving = DialectConnection(
            transport, dialect, gateway, settings, principal, tells_viewer_token=tells_viewer_token
        )
        await serving.run()


class LiveSession:
    def __init__(self, session: Session, opening: Open) -> None:
        self.session = session
        self.intake = RawIntake(session, opening.audio_format)
        self.finishing = False


class DialectConnection:
    def __init__(
        self,
        transport: Transport,
        dialect: Dialect,
        gateway: Gateway,
        settings: Settings,
        principal: Principal,
        *,
        tells_viewer_token: bool,
    ) -> None:
        self._transport = transport
        self._dialect = dialect
        self._gateway = gateway
        self._principal = principal
        self._tells_viewer_token = tells_viewer_token
        self._max_connections = settings.server.max_connections
        self._patience = Patience(transport, max(settings.session.idle_timeout_s, dialect.quiet_s))
        self._tasks = asyncio.TaskGroup()
        self._translating = asyncio.Lock()
        """A dialect is asked one thing at a time."""
        self._live: LiveSession | None = None
        """The last session that was opened; it may have ended."""

    async def run(self) -> None:
        last_words: list[Action] = []
        hangup = SERVICE_RESTART
        try:
            async with self._tasks:
                self._tasks.create_task(self._patience.watch(self._is_finishing), name="watch")
                self._tasks.create_task(watch_key(self._gateway.access, self._principal), name="guard")
                self._gateway.tally.check_room(self._max_connections)
                await self._obey(self._dialect.greet())
                await self._uplink()
        except ExceptionGroup as failures:
            last_words, hangup = self._farewell(failures)
            let_go(failures)
        finally:
            await self._leave()
            texts = [orjson.dumps(action.message) for action in last_words if isinstance(action, Send)]
            linger_s = 0.0 if hangup is SERVICE_RESTART else LINGER_S
            await part(self._transport, texts, hangup.code, hangup.reason, linger_s=linger_s)

    async def _leave(self) -> None:
        """What a client has said is answered for those who read along; where nobody does, its slot is free at once."""
        if self._live is not None and not self._live.session.ended:
            session = self._live.session
            await (session.conclude() if self._tells_viewer_token else session.cancel())

    def _is_finishing(self) -> bool:
        return self._live is not None and self._live.finishing and not self._live.session.ended

    async def _uplink(self) -> None:
        """Never returns: raises DisconnectedError when the client has gone."""
        while (message := await self._patience.hear(self._transport.receive())) is not None:
            try:
                await self._obey(await self._translate(self._dialect.receive, message))
            except VoxtralError as error:
                await self._refuse(error, message)
        raise DisconnectedError

    async def _downlink(self, events: AsyncIterator[LoggedEvent]) -> None:
        """Tell the client of its session's events until it ends."""
        async for event in events:
            if event.type == EventType.ERROR:
                self._gateway.tally.count_error(event.wire["code"])
            try:
                await self._obey(await self._translate(self._dialect.render, event))
            except VoxtralError as error:
                await self._refuse(error, None)

    async def _translate(self, ask: Callable[[T], Iterable[Action]], told: T) -> list[Action]:
        async with self._translating:
            return list(ask(told))

    async def _refuse(self, error: VoxtralError, message: Message | None) -> None:
        if error.closes_connection:
            raise error
        self._gateway.tally.count_error(error.code)
        async with self._translating:
            actions = list(self._dialect.refuse(error, message))
        await self._obey(actions)

    async def _obey(self, actions: Iterable[Action]) -> None:
        """Act in order; the first error keeps the rest from being done."""
        for action in actions:
            match action:
                case Send():
                    await self._patience.send(orjson.dumps(action.message))
                case Check():
                    await self._resolved(action.options)
                case Open():
                    await self._open(action)
                case Hangup():
                    raise HangupError(action)
                case _:
                    await self._steer(action)

    async def _resolved(self, options: SessionOptions) -> SessionOptions:
        """The options with the name of a model that runs. Raises what an opening with them would, but for slots."""
        models = await self._gateway.models()
        options = replace(options, model=resolve(options.model, models, options.mode, is_live=True))
        candidates(models, options)
        return options

    async def _open(self, opening: Open) -> None:
        assert self._live is None or self._live.session.ended
        session = await self._gateway.open(await self._resolved(opening.options), principal=self._principal)
        self._live = LiveSession(session, opening)
        events = session.events()
        await self._obey(await self._translate(self._dialect.render, await anext(events)))
        if self._tells_viewer_token:
            told = {"type": VIEWERS_MAY_COME, "session_id": session.id, "viewer_token": session.viewer_token}
            await self._obey([Send(told)])
        self._tasks.create_task(self._downlink(events), name=f"downlink {session.id}")

    async def _steer(self, action: Append | Commit | Configure | Finish) -> None:
        live = self._live
        assert live is not None
        if live.session.ended:
            return  # by itself, after the client had said this
        match action:
            case Append():
                self._gateway.tally.received_bytes += len(action.audio)
                await live.intake.take(action.audio)
            case Commit():
                await live.intake.flush()
                await live.session.commit()
            case Configure():
                options = replace(action.options, model=live.session.model)
                await self._gateway.check(options)
                await live.session.configure(options)
            case Finish():
                live.finishing = True
                try:
                    await live.intake.finish()
                finally:
                    await live.session.finish()

    def _farewell(self, failures: ExceptionGroup[Exception]) -> tuple[list[Action], Hangup]:
        """What the client is told at the end of its connection, and how that ends."""
        wanted = next((cause.hangup for cause in failures.exceptions if isinstance(cause, HangupError)), None)
        causes = [cause for cause in failures.exceptions if not isinstance(cause, HangupError)]
        error = cause_of(causes, None if self._live is None else self._live.session.id)
        if error is None:
            return [], wanted or Hangup(1000, "")
        self._gateway.tally.count_error(error.code)
        words = list(self._dialect.refuse(error, None))
        wanted = next((action for action in words if isinstance(action, Hangup)), wanted)
        return words, wanted or Hangup(CLOSE_CODES.get(error.code, 1000), error.code)
