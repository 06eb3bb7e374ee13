"""The Python client of the native protocol: live sessions and one-shot requests over WebSocket.

    async with TranscriptionClient("ws://127.0.0.1:8765") as client:
        async with client.live(language="en") as session:
            await session.send(pcm)
            await session.stop()
            async for event in session:
                print(event)
        reply = await client.transcribe(wav_bytes)

Each live session has its own connection, so that backpressure on one session never blocks another. A session that loses
its connection resumes automatically over a new one. This module does not handle files, microphones or terminals; see
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

LIST_OPTIONS = frozenset({"languages", "redact", "redact_terms"})
"""Users give them as any sequence."""


class TranscriptionClient:
    """A transcription server at `url` (`ws://` or `wss://`). Connects on first use.

    `key` is an API key or a client token, if the service requires one. `tls` sets which certificates are accepted at
    `wss://`: `ssl.create_default_context(cafile="ca.pem")`, for example; without it, those of the system's authorities.
    `more_urls` are other frontends of the same service: if one does not answer, the client tries the next. A live
    session that loses its connection is resumed automatically; `on_reconnect` is called each time, before the first
    attempt. If no attempt succeeds, the session ends with `ConnectionLostError` as soon as the server no longer keeps
    it, or after `resume_timeout_s` if that is less.

    Every method raises `UnreachableError` if no server answers, `ServerError` for the server's own errors, and
    `ConnectionLostError` if the connection ends too early.
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
        """Closes the connection of the one-shot requests. Live sessions end with their own `async with`."""
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
        """A session that accepts raw audio of the given encoding (mono, `sample_rate` in Hz) at real time or faster.

        With the encoding `container` it accepts WebM, Ogg, fragmented MP4, MP3, AAC, FLAC or WAV. Such a session ends
        with its connection, since the byte at which it could continue is not known.

        `model` names one of the running models; without it the server chooses the best one for the mode. `languages`
        lists the languages that the speech can have; each segment has one of them. `commit_delay` is `fast`, `balanced`
        or `accurate`. `numerals`, `profanity`, `filler_words`, `redact` and `redact_terms` control how the text is
        written (docs/features.md). Leaving the block before `done` also drops the session on the server.
        """
        options = {
            "mode": mode,
            "language": language,
            "languages": languages,
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
            "redact": redact,
            "redact_terms": redact_terms,
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
        """The answer for a whole recording: the bytes of a file, or raw samples if `encoding` names their format.

        A damaged recording is transcribed as far as it can be decoded, and the `warnings` of the reply say what is
        missing; with `strict` it is an error. `encoding="container"` says that the bytes are a file of any kind.
        Requests of one client are answered one after another. Cancelling drops the request.
        """
        request = {
            "type": "audio",
            "audio_data": base64.b64encode(audio).decode(),
            "mode": mode,
            "language": language,
            "languages": languages,
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
            "redact": redact,
            "redact_terms": redact_terms,
            "strict": strict,
        }
        answer = await self._ask(_given(request))
        try:
            return Reply.from_wire(answer)
        except (KeyError, TypeError):
            raise UnexpectedMessageError(str(answer)) from None

    async def ping(self) -> float:
        """The server's response time in milliseconds."""
        asked_at = time.perf_counter()
        answer = await self._ask({"type": "ping"})
        if answer.get("type") != "pong":
            raise UnexpectedMessageError(str(answer))
        return (time.perf_counter() - asked_at) * 1000

    async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send one request and return its reply. Raises `ServerError` if the reply is an error."""
        async with self._asking:
            if self._connection is None or self._connection.state is not State.OPEN:
                await self.close()
                self._connection = await self._servers.connect()
            try:
                with suppress(ConnectionClosed):  # the server's last messages can still be read
                    await self._connection.send(encoded(request))
                answer = decoded(await self._connection.recv())
            except ConnectionClosed as closed:
                self._connection = None
                raise closing_error(self._servers.url, closed) from None
            except BaseException:
                await self.close()  # a late reply must not be taken for the reply to the next request
                raise
        if answer.get("type") == "error":
            raise ServerError.from_wire(answer)
        return answer


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """The options that are set, in types that JSON has."""
    return {
        name: list(value) if name in LIST_OPTIONS else value for name, value in options.items() if value is not None
    }
