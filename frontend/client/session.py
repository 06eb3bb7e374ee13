"""One live session of the Python client: audio out, events in, over one connection after another.

When a connection is lost the session goes on over the next one as if nothing had happened: the server is told which
event came last, and tells which audio and which control messages it has.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from frontend.client.messages import (
    ClientError,
    ConnectionLostError,
    ServerError,
    UnreachableError,
    decoded,
    encoded,
    parse_event,
)
from frontend.client.outbox import AudioForgottenError, Control, Outbox
from frontend.client.servers import GIVEN_UP, Servers, closing_error, greet, pauses_s
from shared.audio.live import CONTAINER
from shared.wire_events import Done, Final, Partial, Ready, SessionEvent

READY_TIMEOUT_S = 30.0
"""A server answers `start` with `ready` or an error well within this, whatever its own limits."""
ATTEMPT_TIMEOUT_S = 5.0
"""One attempt to resume, at each step of it."""
CANCEL_TIMEOUT_S = 1.0
GONE = {"session_unknown", "session_expired"}
TAKEN = "session_resumed"
FAREWELLS = {"message_too_large", "frame_invalid", "unauthorized", "idle_timeout"}
"""Errors behind which the server closes the connection, and which would come again."""


class LiveSession:
    """One live session: send audio and iterate over its events, from one task or from two.

    Events wait here until they are read; of the unread partials of a segment only the latest is kept, so that a slow
    reader costs no more memory than the transcript.
    """

    def __init__(
        self,
        servers: Servers,
        options: dict[str, Any],
        *,
        resume_timeout_s: float,
        on_reconnect: Callable[[ConnectionLostError], None] | None = None,
    ) -> None:
        self._servers = servers
        self._options = options
        self._resume_timeout_s = resume_timeout_s
        self._on_reconnect = on_reconnect
        self._outbox = Outbox(options["encoding"], options["sample_rate"])
        self._connection: ClientConnection | None = None
        self._inbox: deque[SessionEvent | ServerError] = deque()
        self._news = asyncio.Event()
        self._seq = 0
        """Of the last event that came."""
        self._farewell: ServerError | None = None
        self._has_late_resume = False
        """A `resume` went out over a connection that broke: the server may obey it yet, behind the next one."""
        self._is_overtaken = False
        self._end: ClientError | Done | None = None
        """How the session ended. What is in the inbox still comes first."""
        self._carrying: asyncio.Task[None] | None = None
        self.ready = Ready(session_id="", seq=0, model="", resume_token=None)

    @property
    def session_id(self) -> str:
        return self.ready.session_id

    async def open(self) -> None:
        """Starts the session. Raises `UnreachableError`, and `ServerError` where the server refuses it."""
        connection = await self._servers.connect()
        try:
            await self._start(connection)
        except BaseException:
            await connection.close()
            raise
        self._connection = connection
        self._carrying = asyncio.create_task(self._carry(connection), name=f"carry session {self.session_id}")

    async def close(self) -> None:
        """Ends the connection, and with it a session that is not done."""
        if self._carrying is None:
            return
        if self._connection is not None and self._end is None:
            with suppress(ConnectionClosed, TimeoutError):
                async with asyncio.timeout(CANCEL_TIMEOUT_S):
                    await self._connection.send(encoded({"type": "cancel"}))
        self._carrying.cancel()
        await asyncio.wait((self._carrying,))
        if self._connection is not None:
            await self._connection.close()

    async def send(self, audio: bytes) -> None:
        """Takes in the next bytes of audio; they may be cut anywhere.

        Waits while the server does not have what came `client_outbox.KEEP_S` of audio before them, be it that it
        takes no more or that it cannot be reached. Cancelled then, a part of the audio may have been taken in.
        Raises how the session ended, where it did.
        """
        self._check()
        await self._outbox.put(audio)
        self._check()

    async def commit(self) -> None:
        """Ends the current segment now; its final follows."""
        self._tell("commit")

    async def configure(self, **options: str | float | list[str] | None) -> None:
        """Changes options from the next segment on.

        They are `language`, `languages`, `prompt`, `delay_ms`, `commit_delay`, `max_new_tokens`, `temperature` and
        `top_p`.
        """
        self._tell("configure", **options)

    async def stop(self) -> None:
        """Says that no more audio comes. The remaining finals and `Done` follow."""
        self._tell("stop")

    def __aiter__(self) -> AsyncIterator[SessionEvent]:
        return self

    async def __anext__(self) -> SessionEvent:
        """The next event; the last one is `Done`. Cancelling loses nothing.

        Raises `ServerError` where the server reports one, and `ConnectionLostError` where no connection could be had
        for the client's `resume_timeout_s`, or the server has given the session up. The session goes on after an
        error that only refuses a message of this client (a wrong `configure`).
        """
        while not self._inbox:
            self._check()
            if self._end is not None:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        event = self._inbox.popleft()
        if isinstance(event, ServerError):
            raise event
        return event

    async def _carry(self, connection: ClientConnection) -> None:
        """Carries the session over one connection after another, until it ends."""
        try:
            while True:
                closed = await self._exchange(connection)
                if closed is None:
                    return
                self._connection = None
                self._connection = connection = await self._reconnect(closed)
        except ClientError as error:
            self._end = error
        finally:
            if self._end is None:
                self._end = ConnectionLostError(self._servers.url, "the session was left")
            self._outbox.close()
            self._news.set()

    async def _exchange(self, connection: ClientConnection) -> ConnectionClosed | None:
        """Sends and receives over one connection: returns its end, or None when the session has ended."""
        uplink = asyncio.create_task(self._uplink(connection), name=f"uplink {self.session_id}")
        try:
            while self._end is None:
                self._take(decoded(await connection.recv()))
                self._news.set()
                if self._is_overtaken:
                    self._is_overtaken = False
                    await connection.close(GIVEN_UP)
        except ConnectionClosed as closed:
            return closed
        finally:
            uplink.cancel()
            await asyncio.wait((uplink,))
        return None

    async def _uplink(self, connection: ClientConnection) -> None:
        with suppress(ConnectionClosed):  # the other direction reports it
            while True:
                content = await self._outbox.next()
                await connection.send(encoded(content.message) if isinstance(content, Control) else content)

    async def _reconnect(self, closed: ConnectionClosed) -> ClientConnection:
        """The next connection, with the session on it. Raises the `ClientError` with which the session ends.

        A stream in a container ends with its connection: only its recorder could begin another.
        """
        lost = self._farewell or closing_error(self._servers.url, closed)
        if not isinstance(lost, ConnectionLostError) or self._options["encoding"] == CONTAINER:
            raise lost
        if self._on_reconnect is not None:
            self._on_reconnect(lost)
        deadline_s = time.monotonic() + self._resume_timeout_s
        for pause_s in pauses_s():
            try:
                async with asyncio.timeout(deadline_s - time.monotonic()):
                    await asyncio.sleep(pause_s)
                    return await self._resume()
            except TimeoutError:
                raise lost from None
            except ServerError as refusal:
                if refusal.code in GONE:
                    raise ConnectionLostError(self._servers.url, refusal.message.rstrip(".")) from None
                self._servers.turn_to_next()
            except UnreachableError:
                continue
            except ConnectionLostError as again:
                lost = again
                self._has_late_resume = True
                self._servers.turn_to_next()
        raise AssertionError("the pauses never end")

    async def _resume(self) -> ClientConnection:
        connection = await self._servers.connect(ATTEMPT_TIMEOUT_S)
        try:
            resume = {
                "type": "resume",
                "session_id": self.session_id,
                "resume_token": self.ready.resume_token,
                "seq": self._seq,
                "encoding": self._options["encoding"],
                "sample_rate": self._options["sample_rate"],
                "acknowledge": True,
            }
            try:
                ready = await greet(connection, self._servers.url, resume, ATTEMPT_TIMEOUT_S)
            except ServerError as refusal:
                # A session that was lost before any audio came is not kept by the server, and nothing is lost with it.
                if refusal.code not in GONE or self._seq > self.ready.seq or not self._outbox.is_whole:
                    raise
                ready = await self._start(connection)
            if not ready.ended:
                self._outbox.rewind(ready.audio_received_samples, ready.number)
        except AudioForgottenError:
            await connection.close(GIVEN_UP)
            raise ServerError("session_expired", "the server has lost audio of the session") from None
        except BaseException:
            await connection.close(GIVEN_UP)
            raise
        return connection

    async def _start(self, connection: ClientConnection) -> Ready:
        start = {"type": "start", "acknowledge": True, **self._options}
        self.ready = await greet(connection, self._servers.url, start, READY_TIMEOUT_S)
        self._seq = self.ready.seq
        return self.ready

    def _take(self, wire: dict[str, Any]) -> None:
        if wire.get("type") == "received":
            self._outbox.confirm(wire["audio_received_samples"])
            return
        try:
            event = parse_event(wire)
        except ServerError as error:
            self._take_error(error, is_last="seq" in wire or error.code == "internal_error")
            return
        seq = wire.get("seq")
        if event is None or (seq is not None and seq <= self._seq):
            return
        self._seq = self._seq if seq is None else seq
        self._keep(event)
        if isinstance(event, Done):
            self._end = event

    def _take_error(self, error: ServerError, *, is_last: bool) -> None:
        if error.code == TAKEN and self._has_late_resume:
            self._has_late_resume, self._is_overtaken = False, True
        elif is_last:
            self._end = error
        elif error.code in FAREWELLS:
            self._farewell = error
        else:
            self._inbox.append(error)

    def _keep(self, event: SessionEvent) -> None:
        last = self._inbox[-1] if self._inbox else None
        if isinstance(event, Partial | Final) and isinstance(last, Partial) and last.segment == event.segment:
            self._inbox.pop()
        self._inbox.append(event)

    def _tell(self, kind: str, **fields: object) -> None:
        self._check()
        self._outbox.put_control({"type": kind, **fields})

    def _check(self) -> None:
        if isinstance(self._end, ClientError):
            raise self._end
