"""The Python client of the native protocol: live sessions and one-shot requests over WebSocket.

    async with TranscriptionClient("ws://127.0.0.1:8765") as client:
        async with client.live(language="en") as session:
            await session.send(pcm)
            await session.stop()
            async for event in session:
                print(event)
        reply = await client.transcribe(wav_bytes)

Each live session has a connection of its own, so that the back-pressure of one never holds another. A session whose
connection is lost goes on over a new one by itself. Knows nothing of files, microphones or terminals; see
`frontend.cli` for those.
"""

import asyncio
import base64
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from frontend.client.messages import ConnectionLostError, ServerError, UnexpectedMessageError, decoded, encoded
from frontend.client.servers import Servers, closing_error
from frontend.client.session import LiveSession
from shared.wire_events import Reply


class TranscriptionClient:
    """A transcription server at `url` (`ws://` or `wss://`). Connects when it is first used.

    `key` is an API key or a client token, where the service needs one. `tls` says whose certificates are accepted at
    `wss://`: `ssl.create_default_context(cafile="ca.pem")`, for example; without it, those of the system's authorities.
    `more_urls` are other frontends of the same service: where one does not answer, the next is asked. A live session
    that loses its connection is resumed by itself; `on_reconnect` is called each time, before the first attempt. If no
    attempt succeeds the session ends with `ConnectionLostError`, as soon as the server no longer keeps it, or after
    `resume_timeout_s` if that is less.

    Every method raises `UnreachableError` when nothing answers, `ServerError` for the server's own errors, and
    `ConnectionLostError` when the connection ends too early.
    """

    def __init__(
        self,
        url: str,
        *more_urls: str,
        key: str | None = None,
        tls: ssl.SSLContext | None = None,
        resume_timeout_s: float | None = None,
        on_reconnect: Callable[[ConnectionLostError], None] | None = None,
    ) -> None:
        self._key = key
        self._servers = Servers(url, *more_urls, key=key, tls=tls)
        self._resume_timeout_s = resume_timeout_s
        self._on_reconnect = on_reconnect
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
        languages: Sequence[str] | None = None,
        prompt: str | None = None,
        model: str | None = None,
        max_new_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        encoding: str = "pcm_s16le",
        sample_rate: int = 16_000,
        delay_ms: int | None = None,
        commit_delay: str | None = None,
        numerals: bool | None = None,
        profanity: str | None = None,
        filler_words: str | None = None,
        redact: Sequence[str] | None = None,
        redact_terms: Sequence[str] | None = None,
        words: bool = True,
        partials: bool = True,
    ) -> AsyncIterator[LiveSession]:
        """A session that takes raw audio of the given encoding (mono, `sample_rate` in Hz) as it is spoken, or faster.

        With the encoding `container` it takes WebM, Ogg, MP4 in fragments, MP3, AAC, FLAC or WAV. Such a session ends
        with its connection, since nobody knows from which byte on it could continue.

        `model` names one of those that run; without it the server takes the best for the mode. `languages` are those of
        which each segment has one; `commit_delay` is `fast`, `balanced` or `accurate`. `numerals`, `profanity`,
        `filler_words`, `redact` and `redact_terms` say how text is written (docs/features.md).
        Leaving the block before `done` drops the session on the server, too.
        """
        options = {
            "mode": mode,
            "language": language,
            "languages": None if languages is None else list(languages),
            "prompt": prompt,
            "model": model,
            "max_new_tokens": max_new_tokens,
            "temperature": temperature,
            "top_p": top_p,
            "encoding": encoding,
            "sample_rate": sample_rate,
            "delay_ms": delay_ms,
            "commit_delay": commit_delay,
            "numerals": numerals,
            "profanity": profanity,
            "filler_words": filler_words,
            "redact": redact if redact is None else list(redact),
            "redact_terms": redact_terms if redact_terms is None else list(redact_terms),
            "words": words,
            "partials": partials,
        }
        session = LiveSession(
            Servers(*self._servers.urls, key=self._key, tls=self._servers.tls),
            _given(options),
            resume_timeout_s=self._resume_timeout_s,
            on_reconnect=self._on_reconnect,
        )
        try:
            await session.open()
            yield session
        finally:
            await session.close()

    async def transcribe(
        self,
        audio: bytes,
        *,
        mode: str = "transcribe",
        language: str | None = None,
        languages: Sequence[str] | None = None,
        prompt: str | None = None,
        model: str | None = None,
        max_new_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        encoding: str | None = None,
        sample_rate: int | None = None,
        numerals: bool | None = None,
        profanity: str | None = None,
        filler_words: str | None = None,
        redact: Sequence[str] | None = None,
        redact_terms: Sequence[str] | None = None,
        strict: bool | None = None,
    ) -> Reply:
        """The answer for a whole recording: a file's bytes, or raw samples where `encoding` says so.

        A damaged recording is answered as far as it goes, and the `warnings` of the reply say what is missing; with
        `strict` it is an error. `encoding="container"` says that the bytes are a file, of whatever kind.
        Requests of one client are answered one after another. Cancelling drops the request.
        """
        request = {
            "type": "audio",
            "audio_data": base64.b64encode(audio).decode(),
            "mode": mode,
            "language": language,
            "languages": None if languages is None else list(languages),
            "prompt": prompt,
            "model": model,
            "max_new_tokens": max_new_tokens,
            "temperature": temperature,
            "top_p": top_p,
            "encoding": encoding,
            "sample_rate": sample_rate,
            "numerals": numerals,
            "profanity": profanity,
            "filler_words": filler_words,
            "redact": redact if redact is None else list(redact),
            "redact_terms": redact_terms if redact_terms is None else list(redact_terms),
            "strict": strict,
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
                self._connection = await self._servers.connect()
            try:
                with suppress(ConnectionClosed):  # what the server said before it closed is still to be read
                    await self._connection.send(encoded(request))
                answer = decoded(await self._connection.recv())
            except ConnectionClosed as closed:
                self._connection = None
                raise closing_error(self._servers.url, closed) from None
            except BaseException:
                await self.close()  # a late reply must not be taken for that of the next request
                raise
        if answer.get("type") == "error":
            raise ServerError.from_wire(answer)
        return answer


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
