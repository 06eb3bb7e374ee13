"""The Python client of the native protocol: live sessions and one-shot requests over WebSocket.

    async with TranscriptionClient("ws://127.0.0.1:8765") as client:
        async with client.live(language="en") as session:
            await session.send(pcm)
            await session.stop()
            async for event in session:
                print(event)
        reply = await client.transcribe(wav_bytes)

Each live session has a connection of its own, so that the back-pressure of one never holds another. Knows nothing of
files, microphones or terminals; see `frontend.cli` for those.
"""

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.protocol import State

from frontend.client_events import (
    ClientError,
    ConnectionLostError,
    Done,
    Final,
    Latency,
    Partial,
    Ready,
    Reply,
    ServerError,
    SessionEvent,
    SpeechStarted,
    SpeechStopped,
    UnexpectedMessageError,
    UnreachableError,
    Warned,
    Word,
    decoded,
    encoded,
)
from frontend.client_session import LiveSession, closing_error

__all__ = [
    "ClientError",
    "ConnectionLostError",
    "Done",
    "Final",
    "Latency",
    "LiveSession",
    "Partial",
    "Ready",
    "Reply",
    "ServerError",
    "SessionEvent",
    "SpeechStarted",
    "SpeechStopped",
    "TranscriptionClient",
    "UnexpectedMessageError",
    "UnreachableError",
    "Warned",
    "Word",
]

OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0


class TranscriptionClient:
    """A transcription server at `url` (`ws://` or `wss://`). Connects when it is first used.

    Every method raises `UnreachableError` when nothing answers, `ServerError` for the server's own errors, and
    `ConnectionLostError` when the connection ends too early.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection: ClientConnection | None = None
        self._asking = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection of the one-shot requests. Live sessions end with their own `async with`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    @asynccontextmanager
    async def live(
        self,
        *,
        mode: str = "transcribe",
        language: str | None = None,
        prompt: str | None = None,
        model: str | None = None,
        max_new_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        encoding: str = "pcm_s16le",
        sample_rate: int = 16_000,
        delay_ms: int | None = None,
        words: bool = True,
        partials: bool = True,
    ) -> AsyncIterator[LiveSession]:
        """A session that takes raw audio of the given encoding (mono, `sample_rate` in Hz) as it is spoken, or faster.

        `model` names one of those that run; without it the server takes the best for the mode.
        Leaving the block before `done` drops the session on the server, too.
        """
        options = {
            "mode": mode,
            "language": language,
            "prompt": prompt,
            "model": model,
            "max_new_tokens": max_new_tokens,
            "temperature": temperature,
            "top_p": top_p,
            "encoding": encoding,
            "sample_rate": sample_rate,
            "delay_ms": delay_ms,
            "words": words,
            "partials": partials,
        }
        connection = await self._connect()
        session = LiveSession(self.url, connection)
        try:
            await session.open(_given(options))
            yield session
        finally:
            await session.close()

    async def transcribe(
        self,
        audio: bytes,
        *,
        mode: str = "transcribe",
        language: str | None = None,
        prompt: str | None = None,
        model: str | None = None,
        max_new_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        encoding: str | None = None,
        sample_rate: int | None = None,
    ) -> Reply:
        """The answer for a whole recording: a file's bytes, or raw samples where `encoding` says so.

        Requests of one client are answered one after another. Cancelling drops the request.
        """
        request = {
            "type": "audio",
            "audio_data": base64.b64encode(audio).decode(),
            "mode": mode,
            "language": language,
            "prompt": prompt,
            "model": model,
            "max_new_tokens": max_new_tokens,
            "temperature": temperature,
            "top_p": top_p,
            "encoding": encoding,
            "sample_rate": sample_rate,
        }
        answer = await self._ask(_given(request))
        try:
            return Reply.from_wire(answer)
        except (KeyError, TypeError):
            raise UnexpectedMessageError(str(answer)) from None

    async def ping(self) -> float:
        """Milliseconds that the server took to answer."""
        asked_at = time.perf_counter()
        answer = await self._ask({"type": "ping"})
        if answer.get("type") != "pong":
            raise UnexpectedMessageError(str(answer))
        return (time.perf_counter() - asked_at) * 1000

    async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """One request, one reply. Raises `ServerError` where the reply is an error."""
        async with self._asking:
            if self._connection is None or self._connection.state is not State.OPEN:
                await self.close()
                self._connection = await self._connect()
            try:
                with suppress(ConnectionClosed):  # what the server said before it closed is still to be read
                    await self._connection.send(encoded(request))
                answer = decoded(await self._connection.recv())
            except ConnectionClosed as closed:
                self._connection = None
                raise closing_error(self.url, closed) from None
            except BaseException:
                await self.close()  # a late reply must not be taken for that of the next request
                raise
        if answer.get("type") == "error":
            raise ServerError.from_wire(answer)
        return answer

    async def _connect(self) -> ClientConnection:
        try:
            # Audio does not shrink, and deflating holds small messages back. A long transcript is one message.
            return await connect(
                self.url,
                compression=None,
                max_size=None,
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=CLOSE_TIMEOUT_S,
            )
        except (OSError, TimeoutError, InvalidHandshake, InvalidURI, EOFError) as error:
            raise UnreachableError(self.url, _cause(error)) from None


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _cause(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, TimeoutError):
        return f"no answer within {OPEN_TIMEOUT_S:g} s"
    return str(error).rstrip(".") or type(error).__name__
