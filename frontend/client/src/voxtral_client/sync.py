"""The same client for programs without asyncio.

    with TranscriptionClient("http://127.0.0.1:8000") as client:
        print(client.transcribe("speech.wav").text)
        with client.live(language="en") as session:
            session.send(pcm)
            session.stop()
            for event in session:
                print(event)

An event loop in a thread of its own runs the asynchronous client, so connections are kept alive, resumed and read while
the program does something else. Methods may be called from any thread: one may send while another one iterates.
"""

import asyncio
import os
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self, TypeVar, Unpack

from voxtral_client import client as asynchronous
from voxtral_client import session as asynchronous_session
from voxtral_client.events import Ready, Reply, SessionEvent
from voxtral_client.messages import ConnectionLostError
from voxtral_client.options import ConfigureOptions, LiveOptions, RequestOptions
from voxtral_client.wire import SAMPLE_RATE_HZ

DEFAULT_URL: Final = "http://127.0.0.1:8000"

T = TypeVar("T")


class _Loop:
    """An event loop in a thread, which ends with `close`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="voxtral client", daemon=True)
        self._thread.start()

    @property
    def is_closed(self) -> bool:
        return self._loop.is_closed()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of the coroutine. If the caller is interrupted, the coroutine is cancelled."""
        if self.is_closed:
            work.close()
            raise RuntimeError("The client is closed.")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except CancelledError:
            raise RuntimeError("The client was closed.") from None
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        if self.is_closed:
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _serve(self) -> None:
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(_end_tasks())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        finally:
            self._loop.close()


class LiveSession:
    """A live session: the methods of `voxtral_client.LiveSession`, each of which blocks until it is done."""

    def __init__(self, session: asynchronous_session.LiveSession, loop: _Loop) -> None:
        self._session = session
        self._loop = loop

    @property
    def ready(self) -> Ready:
        """The server's answer to `start`."""
        return self._session.ready

    @property
    def session_id(self) -> str:
        return self._session.session_id

    def send(self, audio: bytes) -> None:
        """Sends the next bytes of audio. Blocks while the server lacks too much of the earlier audio."""
        self._loop.run(self._session.send(audio))

    def commit(self) -> None:
        """Ends the current segment now; its final follows."""
        self._loop.run(self._session.commit())

    def configure(self, **options: Unpack[ConfigureOptions]) -> None:
        """Changes options, starting with the next segment."""
        self._loop.run(self._session.configure(**options))

    def stop(self) -> None:
        """Ends the audio. The remaining finals and `Done` follow."""
        self._loop.run(self._session.stop())

    def receive(self, timeout_s: float | None = None) -> SessionEvent | None:
        """The next event; None after `Done`. Raises TimeoutError if there is none within `timeout_s`; the next call
        returns it."""

        async def received() -> SessionEvent | None:
            async with asyncio.timeout(timeout_s):
                return await anext(self._session, None)

        return self._loop.run(received())

    def __iter__(self) -> Iterator[SessionEvent]:
        return self

    def __next__(self) -> SessionEvent:
        """The next event; the last one is `Done`. Raises the errors of `voxtral_client.LiveSession`."""
        event = self.receive()
        if event is None:
            raise StopIteration
        return event


class TranscriptionClient:
    """The parameters, methods and errors of `voxtral_client.TranscriptionClient`, without `await`.

    `on_reconnect` is called in the thread of the event loop.
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
        self._client = asynchronous.TranscriptionClient(
            url, *more_urls, key=key, tls=tls, resume_timeout_s=resume_timeout_s, on_reconnect=on_reconnect
        )
        self._loop = _Loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection of the one-shot requests, and ends the thread."""
        if self._loop.is_closed:
            return
        try:
            self._loop.run(self._client.close())
        finally:
            self._loop.close()

    @contextmanager
    def live(
        self, *, encoding: str = "pcm_s16le", sample_rate: int = SAMPLE_RATE_HZ, **options: Unpack[LiveOptions]
    ) -> Iterator[LiveSession]:
        """A session that accepts raw audio, or with `encoding="container"` bytes of a file or stream."""
        opening = self._client.live(encoding=encoding, sample_rate=sample_rate, **options)
        session = self._loop.run(_entered(opening))
        try:
            yield LiveSession(session, self._loop)
        finally:
            self._loop.run(_left(opening))

    def transcribe(
        self,
        audio: bytes | str | os.PathLike[str],
        *,
        encoding: str | None = None,
        sample_rate: int | None = None,
        **options: Unpack[RequestOptions],
    ) -> Reply:
        """The answer for a whole recording: a path, the bytes of a file, or raw samples of the given encoding."""
        return self._loop.run(self._client.transcribe(audio, encoding=encoding, sample_rate=sample_rate, **options))

    def embed_voice(self, audio: bytes | str | os.PathLike[str]) -> str:
        """The voice in a recording of one speaker, for `known_speakers`."""
        return self._loop.run(self._client.embed_voice(audio))

    def status(self) -> dict[str, Any]:
        """What the service reports to its clients: `model_info`, `slots`, `slots_free` and `version`."""
        return self._loop.run(self._client.status())

    def ping(self) -> float:
        """The server's response time in milliseconds."""
        return self._loop.run(self._client.ping())


def transcribe(
    audio: bytes | str | os.PathLike[str],
    url: str = DEFAULT_URL,
    *,
    key: str | None = None,
    tls: ssl.SSLContext | None = None,
    encoding: str | None = None,
    sample_rate: int | None = None,
    **options: Unpack[RequestOptions],
) -> Reply:
    """Transcribe one recording, a path or its bytes, at the service at `url`: `transcribe("speech.wav").text`."""
    with TranscriptionClient(url, key=key, tls=tls) as client:
        return client.transcribe(audio, encoding=encoding, sample_rate=sample_rate, **options)


async def _end_tasks() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


async def _entered(opening: Any) -> asynchronous_session.LiveSession:
    session: asynchronous_session.LiveSession = await opening.__aenter__()
    return session


async def _left(opening: Any) -> None:
    await opening.__aexit__(None, None, None)
