"""One live session of the Python client: audio out, events in, over a connection of its own."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.protocol import State

from frontend.client_events import (
    ClientError,
    ConnectionLostError,
    Done,
    Final,
    Partial,
    Ready,
    ServerError,
    SessionEvent,
    UnexpectedMessageError,
    decoded,
    encoded,
    parse_event,
)

READY_TIMEOUT_S = 30.0
"""A server answers `start` with `ready` or an error well within this, whatever its own limits."""
CANCEL_TIMEOUT_S = 1.0


class LiveSession:
    """One live session: send audio and iterate over its events, from one task or from two.

    Events wait here until they are read; of the unread partials of a segment only the latest is kept, so that a slow
    reader costs no more memory than the transcript.
    """

    def __init__(self, url: str, connection: ClientConnection) -> None:
        self._url = url
        self._connection = connection
        self._inbox: deque[SessionEvent | ServerError] = deque()
        self._news = asyncio.Event()
        self._end: ClientError | Done | None = None
        """How the session ended. What is in the inbox still comes first."""
        self._reader: asyncio.Task[None] | None = None
        self.ready = Ready(session_id="", seq=0, model="", resume_token=None)

    @property
    def session_id(self) -> str:
        return self.ready.session_id

    async def open(self, options: dict[str, Any]) -> None:
        """Starts the session. Raises `ServerError` where the server refuses it."""
        try:
            await self._tell("start", **options)
            async with asyncio.timeout(READY_TIMEOUT_S):
                ready = parse_event(decoded(await self._connection.recv()))
        except TimeoutError:
            raise ConnectionLostError(self._url, f"no answer to start within {READY_TIMEOUT_S:g} s") from None
        except ConnectionClosed as closed:
            raise closing_error(self._url, closed) from None
        if not isinstance(ready, Ready):
            raise UnexpectedMessageError(str(ready))
        self.ready = ready
        self._reader = asyncio.create_task(self._read(), name=f"read session {ready.session_id}")

    async def close(self) -> None:
        """Ends the connection, and with it a session that is not done."""
        if self._reader is not None and self._end is None:
            with suppress(ClientError, TimeoutError):
                async with asyncio.timeout(CANCEL_TIMEOUT_S):
                    await self._tell("cancel")
        if self._connection.state is not State.CLOSED:
            await self._connection.close()
        if self._reader is not None:
            await self._reader  # ends with the connection

    async def send(self, audio: bytes) -> None:
        """Sends the next bytes of audio; waits while the server takes no more. They may be cut anywhere."""
        try:
            await self._connection.send(audio)
        except ConnectionClosed as closed:
            raise self._loss(closed) from None

    async def commit(self) -> None:
        """Ends the current segment now; its final follows."""
        await self._tell("commit")

    async def configure(self, **options: str | float | None) -> None:
        """Changes options from the next segment on.

        They are `language`, `prompt`, `delay_ms`, `max_new_tokens`, `temperature` and `top_p`.
        """
        await self._tell("configure", **options)

    async def stop(self) -> None:
        """Says that no more audio comes. The remaining finals and `Done` follow."""
        await self._tell("stop")

    def __aiter__(self) -> AsyncIterator[SessionEvent]:
        return self

    async def __anext__(self) -> SessionEvent:
        """The next event; the last one is `Done`. Cancelling loses nothing.

        Raises `ServerError` where the server reports one. The session goes on after one that only refuses a message
        of this client (a wrong `configure`).
        """
        while not self._inbox:
            if isinstance(self._end, ClientError):
                raise self._end
            if self._end is not None:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        event = self._inbox.popleft()
        if isinstance(event, ServerError):
            raise event
        return event

    async def _read(self) -> None:
        """Takes the server's messages in until the session has ended or its connection has."""
        try:
            while self._end is None:
                self._take(decoded(await self._connection.recv()))
                self._news.set()
        except ConnectionClosed as closed:
            self._end = self._loss(closed)
        except UnexpectedMessageError as error:
            self._end = error
        finally:
            self._news.set()

    def _take(self, wire: dict[str, Any]) -> None:
        try:
            event = parse_event(wire)
        except ServerError as error:
            if "seq" in wire:  # an error in the session's own log is its last event
                self._end = error
            else:
                self._inbox.append(error)
            return
        if event is not None:
            self._keep(event)
        if isinstance(event, Done):
            self._end = event

    def _keep(self, event: SessionEvent) -> None:
        last = self._inbox[-1] if self._inbox else None
        if isinstance(event, Partial | Final) and isinstance(last, Partial) and last.segment == event.segment:
            self._inbox.pop()
        self._inbox.append(event)

    async def _tell(self, kind: str, **fields: object) -> None:
        try:
            await self._connection.send(encoded({"type": kind, **fields}))
        except ConnectionClosed as closed:
            raise self._loss(closed) from None

    def _loss(self, closed: ConnectionClosed) -> ClientError:
        """Why nothing can be sent or received any more: what the server said last, where it said something."""
        last = self._inbox[-1] if self._inbox else self._end
        return last if isinstance(last, ClientError) else closing_error(self._url, closed)


def closing_error(url: str, closed: ConnectionClosed) -> ClientError:
    """What the end of a connection means, where the server has sent no error before it."""
    if closed.rcvd is None:
        return ConnectionLostError(url, "it broke off")
    if closed.rcvd.code == CloseCode.MESSAGE_TOO_BIG:
        return ServerError("message_too_large", f"The message is too large for the server: {closed.rcvd.reason}.")
    return ConnectionLostError(url, closed.rcvd.reason or f"the server closed it with code {closed.rcvd.code}")
