"""Responses that are computed while their client waits, whole or as server-sent events.

If the client disconnects, the work ends at once. Knows no dialect.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any, Final, NoReturn

import orjson
from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from frontend.connections.timeouts import SEND_STALL_S
from frontend.monitoring.process_report import Tally
from frontend.servers.asgi import client_left, stream_start
from frontend.servers.direct_writes import wire_of
from frontend.sessions.session import Session
from frontend.transcripts.recording import Transcript
from shared.bus.event_log import LoggedEvent
from shared.config.settings import Settings
from shared.errors import VoxtralError
from shared.events import EventType, seconds
from shared.incidents import incident
from shared.tasks import end_all

PROGRESS_S: Final = 2.0
"""How often a stream reports its progress. Proxies close connections that are silent for about a minute."""

WARNING_HEADER: Final = "x-voxtral-warning"
MAX_HEADER_CHARS: Final = 2000

Push = Callable[[bytes], Awaitable[None]]
Work = Callable[[Request, "Exchange"], Awaitable[None]]


@contextlib.contextmanager
def counted(tally: Tally, settings: Settings) -> Iterator[None]:
    """Counts a client while it is served. Raises ServerBusyError if there are too many clients."""
    with tally.connection():
        tally.check_room(settings.server.max_connections)
        yield


class Answering(Response):
    """A response that `work` sends itself. An exception of `work` before that becomes the response."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._work(Request(scope, receive), Exchange(scope, receive, send))


class Exchange:
    """The response half of one request, after its body has been read."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send

    async def while_connected(self, work: Coroutine[Any, Any, None]) -> None:
        """Does the work. If the client disconnects, cancels the work and raises starlette's ClientDisconnect."""
        working = asyncio.create_task(work, name="answer")
        leaving = asyncio.create_task(client_left(self._receive), name="client leaves")
        try:
            await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise ClientDisconnect
            await working
        finally:
            await end_all((working, leaving))

    async def break_off(self) -> NoReturn:
        """Close the connection after the data that was sent, without the end of the response. Raises
        ClientDisconnect."""
        wire = wire_of(self._scope)
        wire.close()
        try:
            async with asyncio.timeout(SEND_STALL_S):
                await client_left(self._receive)
        except TimeoutError:
            wire.abort()
        raise ClientDisconnect

    async def reply(self, response: Response) -> None:
        await response(self._scope, self._receive, self._send)

    @contextlib.asynccontextmanager
    async def events(self, refused: Callable[[VoxtralError], bytes]) -> AsyncIterator[Push]:
        """Yields a function that sends server-sent events. A failure after the first event is sent as frames of
        `refused`."""
        begun = False

        async def push(frames: bytes) -> None:
            nonlocal begun
            if not begun:
                begun = True
                await self._send(stream_start())
            if frames:
                await self.send({"type": "http.response.body", "body": frames, "more_body": True})

        try:
            yield push
        except Exception as failure:
            if not begun or isinstance(failure, ClientDisconnect):
                raise
            await push(refused(failure if isinstance(failure, VoxtralError) else incident(failure, None)))
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def send(self, message: Message) -> None:
        """Send a part of the response. Raises starlette's ClientDisconnect if the client does not read."""
        try:
            async with asyncio.timeout(SEND_STALL_S):
                await self._send(message)
        except TimeoutError:
            raise ClientDisconnect from None


def warned(response: Response, transcript: Transcript) -> Response:
    """The response, with a header for warnings: some formats have no field for them."""
    if transcript.warnings:
        told = " | ".join(warning["message"] for warning in transcript.warnings)
        response.headers[WARNING_HEADER] = told.encode("ascii", "replace").decode()[:MAX_HEADER_CHARS]
    return response


async def transcript_of(session: Session) -> Transcript:
    """The transcript of a recording, when it is complete, with the warnings about its audio.

    Raises the error with which its session ends.
    """
    transcript = Transcript(session.model)
    async for event in session.events():
        _check(event)
        transcript.take(event.wire)
    transcript.warnings += session.recording_warnings
    return transcript


@contextlib.asynccontextmanager
async def events_and_progress(session: Session) -> AsyncIterator[AsyncIterator[LoggedEvent | bytes]]:
    """A session's events, mixed with comments for its client: how much audio has been received, and how much processed.

    Reading them raises the error that the session ends with. Event readers ignore comments, as every SDK does; a client
    that wants to show progress reads them.
    """
    async with contextlib.aclosing(_mixed(session)) as mixed:
        yield mixed


async def _mixed(session: Session) -> AsyncGenerator[LoggedEvent | bytes, None]:
    events = aiter(session.events())
    coming: asyncio.Task[LoggedEvent] | None = None
    told_at_s = -PROGRESS_S
    try:
        while True:
            if time.monotonic() - told_at_s >= PROGRESS_S:
                told_at_s = time.monotonic()
                yield _progress(session)
            coming = coming or asyncio.create_task(_next(events))
            done, _ = await asyncio.wait((coming,), timeout=PROGRESS_S)
            if done:
                try:
                    event = coming.result()
                except StopAsyncIteration:
                    return
                coming = None
                _check(event)
                yield event
    finally:
        if coming is not None and not coming.done():
            await end_all((coming,))


def _check(event: LoggedEvent) -> None:
    if event.type == EventType.ERROR:
        raise VoxtralError.from_wire(event.wire)


async def _next(events: AsyncIterator[LoggedEvent]) -> LoggedEvent:
    return await anext(events)


def _progress(session: Session) -> bytes:
    told = {
        "received_s": seconds(session.audio_received_samples),
        "heard_s": seconds(min(session.heard_samples, session.audio_received_samples)),
    }
    return b": progress " + orjson.dumps(told) + b"\n\n"
