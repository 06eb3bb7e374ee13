"""The asynchronous client: live sessions and one-shot requests over WebSocket.

    async with TranscriptionClient("http://127.0.0.1:8000") as client:
        async with client.live(language="en") as session:
            await session.send(pcm)
            await session.stop()
            async for event in session:
                print(event)
        reply = await client.transcribe("speech.wav")

Each live session has its own connection, so that backpressure on one session never blocks another. A session that loses
its connection resumes automatically over a new one. `voxtral_client.sync` has the same without `await`.
"""

import asyncio
import base64
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from voxtral_client.events import Reply
from voxtral_client.messages import ConnectionLostError, ServerError, UnexpectedMessageError, decoded, encoded
from voxtral_client.options import LiveOptions, RequestOptions, given
from voxtral_client.servers import Servers, closing_error
from voxtral_client.session import LiveSession
from voxtral_client.wire import SAMPLE_RATE_HZ


class TranscriptionClient:
    """A transcription server at `url`: `http(s)://host:port`, `ws(s)://host:port` or `host:port`. Connects on first
    use.

    `key` is an API key or a client token, if the service requires one. `tls` sets which certificates are accepted:
    `ssl.create_default_context(cafile="ca.pem")`, for example; without it, those of the system's authorities.
    `more_urls` are other frontends of the same service: if one does not answer, the client tries the next. A live
    session that loses its connection is resumed automatically; `on_reconnect` is called each time, before the first
    attempt. If no attempt succeeds, the session ends with `ConnectionLostError` as soon as the server no longer keeps
    it, or after `resume_timeout_s` if that is less.

    Proxies of the environment (`https_proxy`, `no_proxy`, …) are used, but never for this machine.

    Raises `AddressError` for a text that is no address, and `KeyFormatError` for one that cannot be a key. Every
    method raises `UnreachableError` if no server answers, `ServerError` for the server's own errors, and
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
        self, *, encoding: str = "pcm_s16le", sample_rate: int = SAMPLE_RATE_HZ, **options: Unpack[LiveOptions]
    ) -> AsyncIterator[LiveSession]:
        """A session that accepts raw audio of the given encoding (`sample_rate` in Hz) at real time or faster.

        The audio is mono, or has interleaved `channels`. With `channel_mode="separate"` each channel is transcribed as
        its own track, and events have its number as `channel`; otherwise the channels are mixed.

        With the encoding `container` it accepts WebM, Ogg, fragmented MP4, MP3, AAC, FLAC or WAV. Such a session ends
        with its connection, since the byte at which it could continue is not known.

        Leaving the block before `done` also drops the session on the server.
        """
        session = LiveSession(
            Servers(*self._servers.urls, key=self._key, tls=self._servers.tls),
            {"encoding": encoding, "sample_rate": sample_rate, **given(options, LiveOptions)},
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
        audio: bytes | str | os.PathLike[str],
        *,
        encoding: str | None = None,
        sample_rate: int | None = None,
        **options: Unpack[RequestOptions],
    ) -> Reply:
        """The answer for a whole recording: a path, the bytes of a file, or raw samples if `encoding` names their
        format.

        A damaged recording is transcribed as far as it can be decoded, and the `warnings` of the reply say what is
        missing; with `strict` it is an error. `encoding="container"` says that the bytes are a file of any kind. With
        `channel_mode="separate"` the answer has a line for each turn.
        Requests of one client are answered one after another. Cancelling drops the request. The server limits the size
        of one request; send a longer recording through a live session.
        """
        request: dict[str, Any] = {"type": "audio", "mode": "transcribe", **given(options, RequestOptions)}
        if encoding is None and sample_rate is None and not isinstance(audio, bytes):
            encoding = "container"  # or the server takes a file that is no recording for raw samples
        if encoding is not None:
            request["encoding"] = encoding
        if sample_rate is not None:
            request["sample_rate"] = sample_rate
        recording = audio if isinstance(audio, bytes) else await asyncio.to_thread(Path(audio).read_bytes)
        request["audio_data"] = base64.b64encode(recording).decode()
        answer = await self._ask(request)
        try:
            return Reply.from_wire(answer)
        except (KeyError, TypeError):
            raise UnexpectedMessageError(str(answer)) from None

    async def embed_voice(self, audio: bytes | str | os.PathLike[str]) -> str:
        """The voice in a recording of one speaker, for `known_speakers`; 1 to 10 s of speech are enough.

        It identifies a person, and the server does not keep it.
        """
        recording = audio if isinstance(audio, bytes) else await asyncio.to_thread(Path(audio).read_bytes)
        answer = await self._ask({"type": "voice", "audio_data": base64.b64encode(recording).decode()})
        if not isinstance(answer.get("embedding"), str):
            raise UnexpectedMessageError(str(answer))
        return str(answer["embedding"])

    async def status(self) -> dict[str, Any]:
        """What the service reports to its clients: `model_info`, `slots`, `slots_free` and `version`."""
        answer = await self._ask({"type": "status"})
        if answer.get("type") != "status":
            raise UnexpectedMessageError(str(answer))
        return answer

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
