"""Connects a live session to the server, over one connection after another, by `voxtral_client.resume_rules`.

That table defines the transitions; this module carries them out, and keeps the events until they are read.
`LiveSession` is the public interface to it.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from voxtral_client.events import Done, Final, Partial, SessionEvent
from voxtral_client.messages import (
    ClientError,
    ConnectionLostError,
    ServerError,
    UnexpectedMessageError,
    UnreachableError,
    decoded,
    encoded,
    parse_event,
    received_samples,
)
from voxtral_client.outbox import Control
from voxtral_client.resume_rules import SERVING, Action, Event, Machine, State, error_event, pause_s
from voxtral_client.resumption import Resumption
from voxtral_client.servers import GIVEN_UP, Servers, closing_error, greet
from voxtral_client.wire import CONTAINER

READY_TIMEOUT_S = 30.0
"""A server answers `start` with `ready` or an error well within this time, whatever its own limits are."""
ATTEMPT_TIMEOUT_S = 5.0
"""Limit of each step of an attempt to resume."""
CANCEL_TIMEOUT_S = 1.0


class ResumingConnection:
    """`options` are the fields of the `start` message; see `TranscriptionClient` for the other parameters."""

    def __init__(
        self,
        servers: Servers,
        options: dict[str, Any],
        *,
        resume_timeout_s: float | None,
        on_reconnect: Callable[[ConnectionLostError], None] | None,
    ) -> None:
        self._servers = servers
        self._is_container = options["encoding"] == CONTAINER
        self._longest_s = float("inf") if resume_timeout_s is None else resume_timeout_s
        """The user's own limit of the time in which the session can be resumed."""
        self._on_reconnect = on_reconnect
        self._machine = Machine()
        self._todo: deque[Action] = deque()
        """Actions that take time, in order."""
        self.memory = Resumption(options)
        self._websocket: ClientConnection | None = None
        self._inbox: deque[SessionEvent | ServerError] = deque()
        self._news = asyncio.Event()
        self._why: ClientError | Done | None = None
        """The subject of the machine's last event."""
        self._end: Exception | Done | None = None
        """How the session ended. The events in the inbox are still delivered first."""
        self._deadline_s = 0.0
        self._attempts = 0
        self._carrying: asyncio.Task[None] | None = None

    @property
    def is_serving(self) -> bool:
        """Whether the server has the session on this connection."""
        return self._machine.state in SERVING

    def check(self) -> None:
        """Raises the error that ended the session, if it ended before it was done."""
        if isinstance(self._end, Exception):
            raise self._end

    async def next_event(self) -> SessionEvent | None:
        """The next event; None after `Done`. Raises server errors in order, and the error that ended the session."""
        while not self._inbox:
            self.check()
            if self._end is not None:
                return None
            self._news.clear()
            await self._news.wait()
        event = self._inbox.popleft()
        if isinstance(event, ServerError):
            raise event
        return event

    async def open(self) -> None:
        """Starts the session. Raises `UnreachableError`, and `ServerError` if the server rejects it.

        A `start` without an answer is not repeated: the caller decides whether to try again.
        """
        self._websocket = websocket = await self._servers.connect()
        try:
            self._happens(Event.START)
            self._todo.clear()
            await self._greet()
            self.check()
        except BaseException:
            await websocket.close()
            raise
        self._carrying = asyncio.create_task(self._carry(), name=f"carry session {self.memory.session_id}")

    async def close(self) -> None:
        """Closes the connection, which also ends a session that is not done."""
        if self._carrying is None:
            return
        self._happens(Event.LEFT)
        is_to_leave = Action.LEAVE in self._todo
        self._todo.clear()
        if is_to_leave:
            await self._leave()
        self._carrying.cancel()
        await asyncio.wait((self._carrying,))
        if self._websocket is not None:
            await self._websocket.close()

    async def _carry(self) -> None:
        """Executes the pending actions until the session is over."""
        steps = {
            Action.GREET: self._greet,
            Action.SERVE: self._serve,
            Action.RECONNECT: self._reconnect,
            Action.GIVE_UP: self._give_up,
            Action.LEAVE: self._leave,
        }
        try:
            while self._todo:
                await steps[self._todo.popleft()]()
        except Exception as error:  # noqa: BLE001 -- the user gets it, from the next call
            self._end = self._end or error
        finally:
            if self._end is None:
                self._end = ConnectionLostError(self._servers.url, "the client left the session")
            self.memory.outbox.close()
            self._news.set()

    def _happens(self, event: Event, why: ClientError | Done | None = None) -> None:
        """Moves the machine. Actions that take no time are executed at once; the others wait for `_carry`, in order."""
        self._why = why or self._why
        for action in self._machine.move(event):
            match action:
                case Action.BEGIN_SEARCH:
                    self._begin_search()
                case Action.END_SEARCH:
                    self._attempts = 0
                case Action.START_OVER:
                    self.memory.start_over()
                case Action.REPORT:
                    assert isinstance(self._why, ServerError)
                    self._inbox.append(self._why)
                case Action.FINISH:
                    assert isinstance(self._why, Done)
                    self._inbox.append(self._why)
                    self._end = self._why
                case Action.FAIL:
                    cut = ConnectionLostError(self._servers.url, "the server ended the session before it had all audio")
                    self._end = self._why if isinstance(self._why, ClientError) else cut
                case _:
                    self._todo.append(action)
        self._news.set()

    def _begin_search(self) -> None:
        if not isinstance(self._why, ConnectionLostError):
            self._why = ConnectionLostError(self._servers.url, str(self._why).rstrip("."))
        self._deadline_s = time.monotonic() + min(self._longest_s, self.memory.resume_timeout_s)
        self._attempts = 0
        if self._on_reconnect is not None:
            self._on_reconnect(self._why)

    async def _reconnect(self) -> None:
        await self._give_up()
        try:
            async with asyncio.timeout(self._deadline_s - time.monotonic()):
                while self._websocket is None:
                    await asyncio.sleep(pause_s(self._attempts, random.random()))
                    self._attempts += 1
                    with suppress(UnreachableError):
                        self._websocket = await self._servers.connect(ATTEMPT_TIMEOUT_S)
        except TimeoutError:
            self._happens(Event.GIVEN_UP)
        else:
            self._happens(Event.OPENED)

    async def _greet(self) -> None:
        assert self._websocket is not None
        is_first = self._machine.state is State.STARTING
        timeout_s = READY_TIMEOUT_S if self.memory.ready is None else ATTEMPT_TIMEOUT_S
        left_s = None if is_first else self._deadline_s - time.monotonic()
        try:
            async with asyncio.timeout(left_s):
                ready = await greet(self._websocket, self._servers.url, self.memory.greeting, timeout_s)
        except TimeoutError:
            self._happens(Event.GIVEN_UP)
        except ServerError as error:
            self._handle_rejection(error)
        except ConnectionLostError as lost:
            self._servers.turn_to_next()
            self._happens(Event.GIVEN_UP if is_first else Event.SILENT, lost)
        except ClientError as error:
            self._happens(Event.FINAL, error)
        else:
            lacks = ServerError("session_expired", "the server needs audio that the client no longer keeps")
            event = self.memory.answered(ready)
            self._happens(event, lacks if event is Event.READY_FORGOTTEN else None)

    def _handle_rejection(self, error: ServerError) -> None:
        """The server has answered the greeting with an error."""
        event = error_event(error.code, ends_session=False, is_whole=self.memory.is_whole)
        if self._machine.state is State.STARTING or event is Event.FINAL:
            self._happens(event, error)
            return
        if event in (Event.TAKEN, Event.REJECTED):
            self._servers.turn_to_next()
        self._happens(event, ConnectionLostError(self._servers.url, error.message.rstrip(".")))

    async def _serve(self) -> None:
        """Sends and receives over one connection, until it or the session ends."""
        connection = self._websocket
        assert connection is not None
        try:
            async with asyncio.TaskGroup() as directions:
                uplink = directions.create_task(self._uplink(connection), name=f"uplink {self.memory.session_id}")
                await self._downlink(connection)
                uplink.cancel()
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _downlink(self, connection: ClientConnection) -> None:
        try:
            while self.is_serving:
                self._take(decoded(await connection.recv()))
        except ConnectionClosed as closed:
            error = closing_error(self._servers.url, closed)
            if not isinstance(error, ConnectionLostError):
                self._happens(Event.FINAL, error)
            else:
                # Only the recorder of a container could start another one.
                self._happens(Event.GIVEN_UP if self._is_container else Event.LOST, error)
        except UnexpectedMessageError as error:
            self._happens(Event.FINAL, error)

    async def _uplink(self, connection: ClientConnection) -> None:
        with suppress(ConnectionClosed):  # the other direction reports it
            while True:
                content = await self.memory.outbox.next()
                await connection.send(content.text if isinstance(content, Control) else content)

    async def _give_up(self) -> None:
        connection, self._websocket = self._websocket, None
        if connection is not None:
            await connection.close(GIVEN_UP)

    async def _leave(self) -> None:
        if self._websocket is not None:
            with suppress(ConnectionClosed, TimeoutError):
                async with asyncio.timeout(CANCEL_TIMEOUT_S):
                    await self._websocket.send(encoded({"type": "cancel"}))

    def _take(self, wire: dict[str, Any]) -> None:
        if wire.get("type") == "received":
            self.memory.outbox.confirm(received_samples(wire))
            return
        try:
            event = parse_event(wire)
        except ServerError as error:
            is_last = "seq" in wire or error.code == "internal_error"
            self._happens(error_event(error.code, ends_session=is_last, is_whole=self.memory.is_whole), error)
            return
        if event is None or not self.memory.is_news(wire.get("seq")):
            return
        if isinstance(event, Done):
            self._happens(Event.DONE, event)
        else:
            self._keep(event)

    def _keep(self, event: SessionEvent) -> None:
        last = self._inbox[-1] if self._inbox else None
        if isinstance(event, Partial | Final) and isinstance(last, Partial) and last.segment == event.segment:
            self._inbox.pop()
        self._inbox.append(event)
        self._news.set()
